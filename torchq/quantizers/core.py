"""Quantization with a straight-through gradient: the functions that every quantizer ends in.

They return exactly ``q``, never ``x + (q - x)``, which drifts off the grid for large ``x``. They are
``torch.autograd.Function`` with a generated ``vmap`` rule, so they work under ``torch.func`` and under
``torch.compile(fullgraph=True)``, and save nothing but (where the gradient saturates) their input.
"""

# ruff: noqa: ARG004  (the signatures that torch.autograd.Function asks for)

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from torchq.formats import Rounding, round_to_integer

Number = float | Tensor

PRECISION = {torch.float64: 53, torch.float32: 24, torch.float16: 11, torch.bfloat16: 8}
"""The float types that are quantized, and how many binary digits they have."""


def fake_quantize(
    x: Tensor,
    step: Number,
    low: Number,
    high: Number,
    *,
    out: Number | None = None,
    rounding: Rounding = Rounding.RND_CONV,
    saturate: bool = False,
    passes: tuple[float, float] | None = None,
) -> Tensor:
    """``clamp(round(x / step), low, high) * out`` with a straight-through gradient.

    Infinities saturate, NaN stays NaN. A bound that the dtype of ``x`` cannot hold is moved toward zero, so
    that the result always stands on the grid and inside the range (24 bits in float32, 8 in bfloat16).

    Args:
        x: any shape, float64, float32, bfloat16 or float16.
        step: distance of the grid points, a number or a tensor that broadcasts against ``x``.
        low: smallest integer code, a number or a tensor.
        high: largest integer code, a number or a tensor.
        out: what one code is worth in the result; ``step`` if left out.
        rounding: what happens between the grid points.
        saturate: whether the gradient is zero where ``x / step`` is outside ``[low, high]``; otherwise it
            is one everywhere.
        passes: instead of ``saturate``, the two numbers strictly between which the gradient is one.

    Returns:
        The shape and dtype of ``x``.

    Example:
        >>> fake_quantize(torch.tensor([0.3, 7.0, -1e30]), 0.25, -4, 3).tolist()
        [0.25, 0.75, -1.0]
    """
    worth = step if out is None and not isinstance(step, Tensor) else out  # the compiler refuses one twice
    if not (isinstance(low, Tensor) or isinstance(high, Tensor)):
        low, high = fitting(low, x.dtype), fitting(high, x.dtype)
        if saturate and not isinstance(step, Tensor):
            passes = below(low * step, x.dtype), above(high * step, x.dtype)
        if passes is not None:
            return _applied(_Saturating, x, step, low, high, worth, rounding, *passes)
    if saturate:
        return _applied(_SaturatingScaled, x, step, low, high, worth, rounding)
    return _applied(_Identity, x, step, low, high, worth, rounding)


def straight_through(surrogate: Tensor, q: Tensor) -> Tensor:
    """The values of ``q`` with the gradient of ``surrogate``.

    Args:
        surrogate: what the gradient flows through; the shape of ``q``.
        q: the values.

    Example:
        >>> x = torch.tensor([0.4], requires_grad=True)
        >>> y = straight_through(x, torch.round(x.detach()))
        >>> y.backward(); y.item(), x.grad.item()
        (0.0, 1.0)
    """
    return _applied(_Straight, surrogate, q)


def blend(surrogate: Tensor, q: Tensor, noise: Tensor, *, ste: bool = True, through: bool = False) -> Tensor:
    """A share ``noise`` of the quantized values and the rest of the float ones.

    Args:
        surrogate: the float values.
        q: the quantized values.
        noise: the share, between 0 and 1; a tensor without dimensions.
        ste: the gradient to ``surrogate`` is 1; otherwise it is ``1 - noise``.
        through: ``q`` has a gradient of its own: ``1 - noise`` goes to ``surrogate`` and ``noise`` to ``q``.

    Returns:
        ``surrogate + noise * (q - surrogate)``, which is exactly ``q`` where ``noise`` is 1.
    """
    return _applied(_Blend, surrogate, q, noise, ste, through)


def fitting(code: float, dtype: torch.dtype) -> float:
    """The integer nearest to ``code``, not farther from zero, that ``dtype`` holds.

    Example:
        >>> fitting(32767, torch.bfloat16), fitting(127.0, torch.bfloat16)
        (32640.0, 127.0)
    """
    magnitude = int(abs(code))
    surplus = max(magnitude.bit_length() - PRECISION[dtype], 0)
    return math.copysign(float((magnitude >> surplus) << surplus), code)


def above(value: float, dtype: torch.dtype) -> float:
    """The number of ``dtype`` next above ``value`` (itself one of that dtype).

    Example:
        >>> above(1.0, torch.float32) == 1.0 + 2.0**-23, above(0.0, torch.float32) > 0
        (True, True)
    """
    if value == 0:
        return torch.finfo(dtype).tiny
    mantissa, exponent = math.frexp(value)
    at_power = value < 0 and mantissa == -0.5
    return value + math.ldexp(1.0, exponent - PRECISION[dtype] - int(at_power))


def below(value: float, dtype: torch.dtype) -> float:
    """The number of ``dtype`` next below ``value``."""
    return -above(-value, dtype)


def _grid(
    x: Tensor, step: Number, low: Number, high: Number, out: Number | None, rounding: Rounding
) -> Tensor:
    """The values; adding 0 turns -0 into 0 (no code stands for -0)."""
    out = step if out is None else out
    po2 = not isinstance(step, Tensor) and math.frexp(step)[0] == 0.5
    code = x * (1.0 / step) if po2 else x / step
    code = code.round_() if rounding is Rounding.RND_CONV else round_to_integer(code, rounding)
    if isinstance(low, Tensor) or isinstance(high, Tensor) or isinstance(out, Tensor):
        return torch.clamp(code, low, high).to(x.dtype) * out + 0.0  # type: ignore[arg-type]
    if torch._C._are_functorch_transforms_active():  # clamp_ has no vmap rule
        return code.clamp(low, high).mul_(out).add_(0.0)
    return code.clamp_(low, high).mul_(out).add_(0.0)


def _applied(function: type[torch.autograd.Function], *args: Any) -> Tensor:
    """Apply one of the functions below.

    Outside of ``torch.func`` and ``torch.compile`` its twin with a classic ``forward(ctx, ...)`` does the
    same and costs a fourth: torch inspects the signature of the other kind at each call.
    """
    if torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active():
        return function.apply(*args)  # type: ignore[no-any-return,no-untyped-call]
    return _EAGER[function].apply(*args)  # type: ignore[no-any-return,no-untyped-call]


class _Identity(torch.autograd.Function):
    """The grid, with gradient one everywhere."""

    generate_vmap_rule = True

    @staticmethod
    def forward(
        x: Tensor, step: Number, low: Number, high: Number, out: Number | None, rounding: Rounding
    ) -> Tensor:
        return _grid(x, step, low, high, out, rounding)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        return grads[0], None, None, None, None, None


class _Saturating(torch.autograd.Function):
    """The grid, with gradient one strictly between ``first`` and ``last`` and zero elsewhere."""

    generate_vmap_rule = True

    @staticmethod
    def forward(
        x: Tensor,
        step: float,
        low: float,
        high: float,
        out: float,
        rounding: Rounding,
        first: float,
        last: float,
    ) -> Tensor:
        return _grid(x, step, low, high, out, rounding)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(inputs[0])
        ctx.first, ctx.last = inputs[6], inputs[7]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (x,) = ctx.saved_tensors
        if torch.compiler.is_compiling():
            return grads[0] * _gate(x, ctx.first, ctx.last), *(None,) * 7
        through = torch.ops.aten.hardtanh_backward.default(grads[0], x, ctx.first, ctx.last)
        return through, *(None,) * 7


def _gate(x: Tensor, first: float, last: float) -> Tensor:
    """One strictly between ``first`` and ``last``, zero elsewhere, without a boolean tensor.

    The compiler would keep that for the backward pass instead of ``x``, and stores booleans very slowly.
    """
    gate = torch.sign(torch.clamp(x - first, min=0.0))
    return gate if last == math.inf else gate * torch.sign(torch.clamp(last - x, min=0.0))


class _Straight(torch.autograd.Function):
    """The second argument, with the gradient going to the first."""

    generate_vmap_rule = True

    @staticmethod
    def forward(surrogate: Tensor, q: Tensor) -> Tensor:
        return q + 0.0

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        return grads[0], None


class _SaturatingScaled(torch.autograd.Function):
    """The grid, with gradient one where ``x / step`` is inside ``[low, high]`` and zero elsewhere."""

    generate_vmap_rule = True

    @staticmethod
    def forward(
        x: Tensor, step: Number, low: Number, high: Number, out: Number | None, rounding: Rounding
    ) -> Tensor:
        return _grid(x, step, low, high, out, rounding)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        scaled = inputs[0] / inputs[1]
        ctx.save_for_backward((scaled >= inputs[2]) & (scaled <= inputs[3]))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (inside,) = ctx.saved_tensors
        return torch.where(inside, grads[0], 0.0), None, None, None, None, None


class _Blend(torch.autograd.Function):
    """The mixture; exactly ``q`` at noise 1."""

    generate_vmap_rule = True

    @staticmethod
    def forward(surrogate: Tensor, q: Tensor, noise: Tensor, ste: bool, through: bool) -> Tensor:
        noise = noise.to(q.dtype)
        mixed = surrogate + noise * (q - surrogate) if ste else (1 - noise) * surrogate + noise * q
        return torch.where(noise == 1, q, mixed) + 0.0

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(inputs[2])
        ctx.ste, ctx.through = inputs[3], inputs[4]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (noise,) = ctx.saved_tensors
        noise = noise.to(grads[0].dtype)
        whole = ctx.ste and not ctx.through
        direct = grads[0] if whole else grads[0] * (1 - noise)
        return direct, grads[0] * noise if ctx.through else None, None, None, None


def _eager(function: type[Any]) -> type[torch.autograd.Function]:
    """The twin of a function, with a classic ``forward(ctx, ...)``."""

    def forward(ctx: Any, *args: Any) -> Tensor:
        output: Tensor = function.forward(*args)
        function.setup_context(ctx, args, output)
        return output

    members = {"forward": staticmethod(forward), "backward": staticmethod(function.backward)}
    return type(f"{function.__name__}Eager", (torch.autograd.Function,), members)


_EAGER: dict[type[torch.autograd.Function], type[torch.autograd.Function]] = {
    f: _eager(f) for f in (_Identity, _Saturating, _SaturatingScaled, _Straight, _Blend)
}
