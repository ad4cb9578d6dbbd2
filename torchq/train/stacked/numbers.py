"""A quantizer as numbers: what one program computes for every family, candidate by candidate.

A program that is compiled for one scheme would be compiled anew for the next. Here the scheme is data: a row
of :data:`FIELDS` for each quantizer, and a handful of formulas (:class:`Families`) of which a program holds
those that its candidates need.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields

import torch

from torchq.formats import Rounding
from torchq.quantizers import Quantizer
from torchq.quantizers.binary import binary
from torchq.quantizers.bits import quantized_bits
from torchq.quantizers.core import PRECISION, above, below, fitting
from torchq.quantizers.fixed import fixed
from torchq.quantizers.linear import quantized_linear
from torchq.quantizers.power_of_two import quantized_po2, quantized_relu_po2
from torchq.quantizers.relu import quantized_relu
from torchq.quantizers.scaled import ScaledQuantizer
from torchq.quantizers.ternary import THRESHOLD, UNROLLS, ternary

STAIR, STEPS, PO2, PLAIN = 0.0, 1.0, 2.0, 3.0
"""The formulas: an even staircase, two steps (signs, with or without a dead band), powers of two, none."""

FOUND, SIGNS, BANDS = 4.0, 5.0, 6.0
"""Those that find the scale of each output from its weights: a staircase, signs, signs with a dead band."""

FINDING = frozenset({FOUND, SIGNS, BANDS})


@dataclass(frozen=True)
class Numbers:
    """One quantizer, with the relu before it.

    Attributes:
        formula: which formula gives the values.
        least: values below it are lifted to it first: 0 for a relu, minus infinity for none.
        inverse: codes a unit (staircase).
        low: the smallest code (staircase; what counts below zero, of signs) or exponent (powers of two).
        high: the largest one.
        worth: what a code (staircase) or a step is worth.
        upper: from where on a step counts +1.
        lower: below where it counts -1.
        first: the gradient is zero up to here.
        last: the gradient is zero from here on.
        tanh: 1 where the gradient is that of ``tanh``.
        unit: what the weights are measured in (found scales).
        inputs: weights that share a found scale.
        po2: 1 where a found scale is a power of two.
        least_power: its smallest exponent.
        most_power: its largest exponent.
    """

    formula: float = STAIR
    least: float = -math.inf
    inverse: float = 1.0
    low: float = 0.0
    high: float = 0.0
    worth: float = 1.0
    upper: float = 0.0
    lower: float = 0.0
    first: float = -math.inf
    last: float = math.inf
    tanh: float = 0.0
    unit: float = 1.0
    inputs: float = 1.0
    po2: float = 0.0
    least_power: float = -math.inf
    most_power: float = math.inf


FIELDS = tuple(entry.name for entry in fields(Numbers))


@dataclass(frozen=True)
class Families:
    """Which formulas a program holds; the fewer the faster.

    Attributes:
        formulas: of :data:`STAIR`, :data:`STEPS`, :data:`PO2`, :data:`PLAIN` and :data:`FINDING`.
        lifts: whether a relu comes before some quantizer.
        gates: whether some gradient ends somewhere.
        tanh: whether some gradient is that of ``tanh``.
    """

    formulas: frozenset[float] = field(default_factory=frozenset)
    lifts: bool = False
    gates: bool = False
    tanh: bool = False

    @classmethod
    def of(cls, numbers: Numbers) -> Families:
        """What one quantizer needs."""
        return cls(
            frozenset({numbers.formula}),
            numbers.least != -math.inf,
            numbers.first != -math.inf or numbers.last != math.inf,
            numbers.tanh != 0.0,
        )

    def __or__(self, other: Families) -> Families:
        return Families(
            self.formulas | other.formulas,
            self.lifts or other.lifts,
            self.gates or other.gates,
            self.tanh or other.tanh,
        )

    @property
    def zero_moves(self) -> bool:
        """Whether some quantizer makes something else of zero."""
        return bool(self.formulas & {STEPS, PO2, SIGNS})


def numbers_of(
    quantizer: Quantizer | None, dtype: torch.dtype, *, relu: bool = False, inputs: int = 0
) -> Numbers | str:
    """The numbers of a quantizer for values of a type, or why it has none.

    Args:
        quantizer: None stands for no quantization.
        dtype: of the values.
        relu: whether a relu comes before it.
        inputs: weights of each output, where it is the quantizer of weights.
    """
    if isinstance(quantizer, ScaledQuantizer) and quantizer.auto and inputs and not quantizer._blends:
        return _finding(quantizer, dtype, inputs)
    found = Numbers(PLAIN) if quantizer is None else _read(quantizer, dtype)
    if isinstance(found, str):
        return found
    if relu:
        values = {**vars(found), "least": max(found.least, 0.0), "first": max(found.first, 0.0)}
        return Numbers(**values)
    return found


def _read(q: Quantizer, dtype: torch.dtype) -> Numbers | str:
    if getattr(q, "use_stochastic_rounding", False):
        return f"{q} draws random numbers, which a stack would draw in another order"
    if q._blends:
        return f"{q} is mixed with float values"
    if type(q) is quantized_bits and q._fast:
        return _stair(q._step, q._low, q._high, dtype, worth=q._worth)
    if isinstance(q, quantized_bits | binary) and q.number is not None:
        if type(q) is quantized_bits:
            return _signs(q.number, dtype)
        if type(q) is binary:
            return _signs(q.number, dtype, zero_one=q.use_01, tanh=q.alpha is None)
    if type(q) is ternary and q.number is not None:
        band = THRESHOLD if q.threshold is None else q.threshold
        return _banded(q.number, band, dtype, tanh=q.alpha is None)
    if type(q) is quantized_relu and q._fast:
        last = math.inf if q._last == math.inf else above(q._last, dtype)
        found = _stair(q._step, 0.0, q._high, dtype)
        return found if isinstance(found, str) else Numbers(**{**vars(found), "first": 0.0, "last": last})
    if type(q) is quantized_linear and q._fast:
        return _stair(q._step * q._number, q._low, q._high, dtype, saturate=True)
    if type(q) is fixed and not q._in_buffers and q._saturates and q._rounding is Rounding.RND_CONV:
        step, low, high = q._scalars
        return _stair(step, low, high, dtype, saturate=True)
    if type(q) is quantized_po2 or (type(q) is quantized_relu_po2 and not q.negative_slope):
        return _powers(q, dtype)
    return f"{q} has no formula that is stacked"


def _stair(
    step: float,
    low: float,
    high: float,
    dtype: torch.dtype,
    *,
    worth: float | None = None,
    saturate: bool = False,
) -> Numbers | str:
    if math.frexp(step)[0] != 0.5:
        return f"a step of {step:g}, which is no power of two, is not stacked"
    low, high = fitting(low, dtype), fitting(high, dtype)
    first, last = (below(low * step, dtype), above(high * step, dtype)) if saturate else (-math.inf, math.inf)
    return Numbers(
        STAIR,
        inverse=1.0 / step,
        low=low,
        high=high,
        worth=step if worth is None else worth,
        first=first,
        last=last,
    )


def _finding(q: ScaledQuantizer, dtype: torch.dtype, inputs: int) -> Numbers | str:
    """A scale that is found for each output from its weights."""
    found = (
        None if q.scale_axis is not None or getattr(q, "use_stochastic_rounding", False) else _found(q, dtype)
    )
    if found is None:
        return f"{q} finds its scale in a way that is not stacked"
    common = {
        "inputs": float(inputs),
        "po2": float(q.alpha == "auto_po2"),
        "least_power": -math.inf if q.min_po2_exponent is None else q.min_po2_exponent,
        "most_power": math.inf if q.max_po2_exponent is None else q.max_po2_exponent,
    }
    return Numbers(**{**vars(found), **common})


def _found(q: ScaledQuantizer, dtype: torch.dtype) -> Numbers | None:
    if type(q) is quantized_bits and not q.freeze_scale and q.keep_negative:
        if q._sign:  # of other units the bounds and the smallest scale are others
            return Numbers(SIGNS, low=-1.0) if q.integer == 0 else None
        return Numbers(FOUND, high=fitting(q._high, dtype), worth=2.0**q._unsigned, unit=2.0**q.integer)
    if type(q) is binary:
        return Numbers(SIGNS, low=0.0 if q.use_01 else -1.0)
    if type(q) is ternary and q.number_of_unrolls == UNROLLS:
        return Numbers(BANDS)
    return None


def _signs(worth: float, dtype: torch.dtype, *, zero_one: bool = False, tanh: bool = False) -> Numbers:
    """+1 from zero on, -1 (or 0) below."""
    lower = -math.inf if zero_one else 0.0
    return Numbers(STEPS, worth=_held(worth, dtype), upper=0.0, lower=lower, tanh=float(tanh))


def _banded(worth: float, band: float, dtype: torch.dtype, *, tanh: bool) -> Numbers:
    """0 within the band, whose ends count outward."""
    edge = _held(band, dtype)
    upper, lower = (edge, above(-edge, dtype)) if edge else (torch.finfo(dtype).smallest_normal, 0.0)
    return Numbers(STEPS, worth=_held(worth, dtype), upper=upper, lower=lower, tanh=float(tanh))


def _powers(q: quantized_po2 | quantized_relu_po2, dtype: torch.dtype) -> Numbers | str:
    exponents = q.exponents
    info = torch.finfo(dtype)
    lowest, highest = math.frexp(info.smallest_normal)[1] - 1, math.frexp(info.max)[1] - 1
    if exponents.spread != 1 or exponents.floor:
        return f"{q} does not take the nearest power of two"
    if dtype not in (torch.float32, torch.float64) or exponents.low < lowest or exponents.high > highest:
        return f"{q} has exponents that {str(dtype).removeprefix('torch.')} does not hold"
    rectified = type(q) is quantized_relu_po2
    last = above(_held(q.max_value, dtype), dtype) if rectified and q.max_value is not None else math.inf
    return Numbers(
        PO2,
        least=0.0 if rectified else -math.inf,
        low=float(exponents.low),
        high=float(exponents.high),
        first=0.0 if rectified else -math.inf,
        last=last,
    )


def _held(value: float, dtype: torch.dtype) -> float:
    """The number as a tensor of this type holds it."""
    assert dtype in PRECISION  # noqa: S101 - quantizers accept no other
    return float(torch.tensor(value, dtype=dtype))
