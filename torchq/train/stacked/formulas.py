"""The formulas of :mod:`torchq.train.stacked.numbers` on tensors: values, and where the gradient passes.

A column of numbers has the shape ``[candidates, 1, 1]`` and meets values of ``[candidates, rows, columns]``.
Nothing here asks a tensor for its values, so a program made of it compiles as one graph.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from torchq.quantizers.bits import PO2_STEPS
from torchq.quantizers.scale import EPSILON
from torchq.quantizers.ternary import UNROLLS
from torchq.train.stacked.numbers import (
    BANDS,
    FIELDS,
    FOUND,
    PLAIN,
    PO2,
    SIGNS,
    STAIR,
    STEPS,
    Families,
    Numbers,
)

_BITS = {torch.float32: (torch.int32, 23, 127), torch.float64: (torch.int64, 52, 1023)}
"""The integer type of as many bits, the digits of the mantissa, and the offset of the exponent."""

_SQRT2 = {torch.float32: 0x3504F3, torch.float64: 0x6A09E667F3BCC}
"""The largest mantissa of each type below the square root of two, without its leading one."""


def columns(rows: Sequence[Numbers], dtype: torch.dtype) -> Tensor:
    """The numbers of one place, candidate by candidate: ``[candidates, fields]``."""
    return torch.tensor([[getattr(row, name) for name in FIELDS] for row in rows], dtype=dtype)


def _get(numbers: Tensor, name: str) -> Tensor:
    return numbers[:, FIELDS.index(name), None, None]


def values(x: Tensor, numbers: Tensor, families: Families) -> Tensor:
    """The quantized values.

    Args:
        x: ``[candidates, rows, columns]``; one candidate stands for all.
        numbers: ``[candidates, fields]``.
        families: the formulas that occur.
    """
    if families.lifts:
        x = torch.maximum(x, _get(numbers, "least"))
    made = [(formula, _FORMULAS[formula](x, numbers)) for formula in sorted(families.formulas)]
    (_, result), *others = made
    for formula, other in others:
        result = torch.where(_get(numbers, "formula") == formula, other, result)
    return result


def is_formula(numbers: Tensor, formula: float) -> Tensor:
    """Which candidates have this formula, ``[candidates, 1, 1]``."""
    return _get(numbers, "formula") == formula


def passed(gradient: Tensor, x: Tensor, numbers: Tensor, families: Families) -> Tensor:
    """The straight-through gradient at ``x`` of what :func:`values` makes of it."""
    if families.tanh:
        curve = torch.tanh(torch.maximum(x, _get(numbers, "least")) if families.lifts else x)
        gradient = torch.where(_get(numbers, "tanh") != 0, gradient * (1 - curve * curve), gradient)
    if families.gates:
        inside = (x > _get(numbers, "first")) & (x < _get(numbers, "last"))
        gradient = torch.where(inside, gradient, 0.0)
    return gradient


def _stair(x: Tensor, numbers: Tensor) -> Tensor:
    code = torch.round(x * _get(numbers, "inverse"))
    code = torch.minimum(torch.maximum(code, _get(numbers, "low")), _get(numbers, "high"))
    return code * _get(numbers, "worth") + 0.0


def _steps(x: Tensor, numbers: Tensor) -> Tensor:
    worth = _get(numbers, "worth")
    value = torch.where(
        x >= _get(numbers, "upper"), worth, torch.where(x < _get(numbers, "lower"), -worth, 0.0)
    )
    return torch.where(torch.isnan(x), x, value)


def _powers(x: Tensor, numbers: Tensor) -> Tensor:
    """From the bits of the float, as the logarithm of a float is not exact."""
    integer, digits, offset = _BITS[x.dtype]
    low, high = _get(numbers, "low"), _get(numbers, "high")
    size = x.abs()
    bits = size.view(integer)
    above = (bits & ((1 << digits) - 1)) > _SQRT2[x.dtype]
    code = ((bits >> digits) - offset).to(x.dtype) + above.to(x.dtype)
    code = torch.where(size < EPSILON, low, code)
    code = torch.minimum(torch.maximum(code, low), high)
    power = ((code.to(integer) + offset) << digits).view(x.dtype)
    value = torch.where(x < 0, -power, power)
    return torch.where(torch.isnan(x), x, value)


def _found(x: Tensor, numbers: Tensor) -> Tensor:
    """``quantized_bits`` with ``alpha="auto"`` or ``"auto_po2"``: one scale for each row of weights."""
    unit, worth, high = _get(numbers, "unit"), _get(numbers, "worth"), _get(numbers, "high")
    measured = x / unit
    finite = torch.where(torch.isfinite(measured), measured, 0.0)
    scale = finite.abs().amax(dim=2, keepdim=True) / high
    power = _power(scale)
    for _ in range(PO2_STEPS):
        power = _power(_fitted(finite, _codes(finite, power, high), numbers), numbers)
    scale = torch.where(_get(numbers, "po2") != 0, power, scale)
    return scale * worth * (unit * _codes(measured, scale, high) / worth)


def _scaled_signs(x: Tensor, numbers: Tensor) -> Tensor:
    """``binary``, and ``quantized_bits`` of one bit, with a scale for each row of weights."""
    codes = torch.where(x < 0, _get(numbers, "low"), torch.where(x >= 0, 1.0, x))
    there = torch.arange(x.shape[2], device=x.device) < _get(numbers, "inputs")  # of zeros too
    finite = torch.where(torch.isfinite(x), x, 0.0)
    scale = _fitted(finite, torch.where(there, codes, 0.0), numbers)
    return codes * torch.where(_get(numbers, "po2") != 0, _power(scale, numbers), scale)


def _scaled_bands(x: Tensor, numbers: Tensor) -> Tensor:
    """``ternary`` whose band and scale are found in turns for each row of weights."""
    po2 = _get(numbers, "po2") != 0
    finite = torch.where(torch.isfinite(x), x, 0.0)
    sign = torch.where(torch.isnan(x), x, torch.sign(x))
    scale = 2.0 * finite.abs().amax(dim=2, keepdim=True) / 3.0
    scale = torch.where(po2, _power(scale), scale)
    codes = torch.zeros_like(x)
    for _ in range(UNROLLS):
        size = (scale * torch.round(x / scale)).abs()
        codes = torch.where(size >= scale / 2.0, sign, sign * 0.0)
        scale = _fitted(finite, codes, numbers)
        scale = torch.where(po2, _power(scale), scale)
    return codes * scale


def _fitted(x: Tensor, codes: Tensor, numbers: Tensor) -> Tensor:
    """The scale of each row that makes codes fit best; sums instead of means, as padded weights are zero."""
    codes = torch.nan_to_num(codes)
    least = EPSILON * _get(numbers, "inputs")
    return (x * codes).sum(2, keepdim=True) / ((codes * codes).sum(2, keepdim=True) + least)


def _power(scale: Tensor, bounds: Tensor | None = None) -> Tensor:
    """The nearest power of two, between the bounds of a row of numbers."""
    exponent = torch.round(torch.log(scale + EPSILON) / math.log(2.0))
    if bounds is not None:
        least, most = _get(bounds, "least_power"), _get(bounds, "most_power")
        exponent = torch.minimum(torch.maximum(exponent, least), most)
    return torch.exp2(exponent)


def _codes(x: Tensor, scale: Tensor, high: Tensor) -> Tensor:
    """Integer codes; ties away from zero."""
    code = torch.minimum(torch.floor(x.abs() / scale + 0.5), high)
    return torch.sign(x) * torch.where(x == 0, 0.0, code)


def _plain(x: Tensor, numbers: Tensor) -> Tensor:  # noqa: ARG001 - as the others
    return x


_FORMULAS = {
    STAIR: _stair,
    STEPS: _steps,
    PO2: _powers,
    PLAIN: _plain,
    FOUND: _found,
    SIGNS: _scaled_signs,
    BANDS: _scaled_bands,
}
