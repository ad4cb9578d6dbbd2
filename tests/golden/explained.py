"""What QKeras computes where we differ on purpose: for each place a key of ``docs/qkeras-differences.md``.

A place is a mask over the elements of a recorded call and the number that QKeras has there before its
``x + (q - x)``; the comparison accepts an element only if that number, put through QKeras's sum, is the
recorded one to the bit. So every difference is not only allowed but explained.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from recorded_quantizers import Case

from torchq.quantizers import Quantizer, get

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

GRADIENT_KEYS = {"infinities", "half-steps", "ulaw-gradient", "random-zero-channel"}
"""Differences that reach the gradient."""
SCALE_KEYS = {"unsigned-auto", "one-bit-auto", "random-zero-channel"}
"""Differences that reach the scale."""


class Place(NamedTuple):
    """Elements where QKeras computes something else."""

    key: str
    where: Mask
    theirs: Floats


def places(case: Case, q: Quantizer, ours: Floats) -> Iterator[Place]:
    """The differences that may occur in this call."""
    x = case.x
    yield Place("infinities", ~np.isfinite(x), np.full_like(x, np.nan))
    if isinstance(case.kwargs.get("alpha"), str) and case.quantizer in ("quantized_bits", "quantized_hswish"):
        yield from _auto(case, q)
    if case.quantizer == "quantized_relu":
        yield from _relu(case, q, ours)
    if case.training and case.kwargs.get("use_stochastic_rounding"):
        if case.quantizer in ("quantized_relu", "quantized_tanh", "quantized_sigmoid"):
            yield Place("half-steps", np.full(x.shape, True), _half_steps(case))
        if case.quantizer == "binary":
            yield Place(
                "random-zero-channel", np.broadcast_to((x == 0).all(0), x.shape), np.full_like(x, np.nan)
            )
    if case.quantizer in ("quantized_po2", "quantized_relu_po2"):
        yield from _po2(case, q, ours)


def _auto(case: Case, q: Any) -> Iterator[Place]:
    """1.1: one bit has no levels; negatives are kept by an unsigned quantizer."""
    everywhere = np.full(case.x.shape, True)
    if q.bits == 1:
        value = np.nan if q.alpha == "auto" else 0.0
        yield Place("one-bit-auto", everywhere, np.full_like(case.x, value))
    elif not q.keep_negative:
        signed = get(case.quantizer)(**{**case.kwargs, "keep_negative": True})
        yield Place("unsigned-auto", everywhere, signed(torch.from_numpy(case.x)).numpy())


def _relu(case: Case, q: Any, ours: Floats) -> Iterator[Place]:
    """1.3: the end of the negative range and the upper bound, where no code stands for them."""
    levels = 2.0 ** (q.bits - (q.negative_slope != 0))
    if q.negative_slope and q.negative_slope * levels < 1:
        lowest = np.float32(-q.negative_slope * 2.0**q.integer)
        yield Place("relu-slope-between-codes", np.full(ours.shape, True), ours + lowest)
    bound = q.relu_upper_bound
    if bound is not None and not q.is_quantized_clip and (bound * levels / 2.0**q.integer) % 1:
        yield Place("relu-bound-between-codes", case.x > 0, np.full_like(ours, bound))


def _half_steps(case: Case) -> Floats:
    """Rounding to halves of the last bit, with the recorded draws."""
    bits, integer = case.kwargs["bits"], case.kwargs.get("integer", 0)
    x, draw = case.x.astype(np.float64), case.draws[0]
    if case.quantizer == "quantized_tanh":
        m, p, low = 2.0 ** (bits - 1), np.clip(x, -1, 1), -(2.0 ** (bits - 1))
    elif case.quantizer == "quantized_sigmoid":
        m, p, low = 2.0**bits, np.clip(0.5 * x + 0.5, 0, 1), 0.0
    else:
        m, p, low = 2.0**bits, x / 2.0**integer, 0.0
    halves = (2 * (p * m)).astype(np.float32)
    part = halves - np.floor(halves)
    code = np.where(part < draw, np.floor(halves), np.ceil(halves)) / 2
    return (np.clip(code, low, m - 1) / m * 2.0**integer).astype(np.float32)


def _po2(case: Case, q: Any, ours: Floats) -> Iterator[Place]:
    """1.4: exponents above ``max_value``, one exponent too many, zero and ties of even exponents."""
    e, sign = q.exponents, np.where(ours < 0, np.float32(-1), np.float32(1))
    size = np.abs(case.x)
    if case.quantizer == "quantized_relu_po2":
        size = np.where(case.x >= 0, case.x, -case.x * np.float32(q.negative_slope))
    code_bits = q._bits - (case.quantizer == "quantized_po2")
    theirs_low = -(2 ** (code_bits - int(q.max_value is None or q.max_value > 1)))
    none = size < np.float32(1e-7)
    lowest = np.float32(2.0 ** (theirs_low * (1 if e.spread == 2 else e.spread)))
    if e.spread == 2:
        yield Place("po2-zero-of-even-exponents", none, sign * lowest)
        odd = np.frexp(size)
        yield Place("po2-ties", (odd[0] == 0.5) & (odd[1] % 2 == 0), ours * 4)
        yield Place("po2-ties", (odd[0] == 0.5) & (odd[1] % 2 == 0), ours / 4)
    if theirs_low < e.low:
        yield Place("po2-one-exponent-too-many", np.abs(ours) == np.float32(2.0 ** (e.low * e.spread)),
                    sign * np.float32(2.0 ** (theirs_low * e.spread)))  # fmt: skip
    if q.max_value is not None:
        at_top = np.abs(ours) == np.float32(2.0 ** (e.high * e.spread))
        for step in (1, 2):
            yield Place(
                "po2-above-max-value", at_top & (np.abs(ours) * 2.0**step > q.max_value), ours * 2**step
            )
    if q.use_stochastic_rounding:
        yield Place("po2-random-near-epsilon", size < np.float32(2e-7), ours * 2)
    flushed = np.abs(ours) < np.finfo(np.float32).tiny
    yield Place("subnormals", flushed, np.zeros_like(ours))
    yield Place("subnormals", none & (lowest < np.finfo(np.float32).tiny), np.zeros_like(ours))
