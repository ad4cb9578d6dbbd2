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
from torchq.train.stacked.numbers import FIELDS, FOUND, PLAIN, PO2, STAIR, STEPS, Families, Numbers

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
    """The scales of ``quantized_bits(alpha="auto")`` and ``"auto_po2"``, one for each row of weights."""
    unit, worth, high = _get(numbers, "unit"), _get(numbers, "worth"), _get(numbers, "high")
    po2, bounds = _get(numbers, "po2"), (_get(numbers, "least_power"), _get(numbers, "most_power"))
    measured = x / unit
    finite = torch.where(torch.isfinite(measured), measured, 0.0)
    scale = finite.abs().amax(dim=2, keepdim=True) / high
    power = torch.exp2(torch.round(torch.log(scale + EPSILON) / math.log(2.0)))
    for _ in range(PO2_STEPS):
        codes = _codes(finite, power, high)
        # the padded weights are zero: sums instead of means
        fitted = (finite * codes).sum(2, keepdim=True) / (
            (codes * codes).sum(2, keepdim=True) + EPSILON * _get(numbers, "inputs")
        )
        exponent = torch.round(torch.log(fitted + EPSILON) / math.log(2.0))
        power = torch.exp2(torch.minimum(torch.maximum(exponent, bounds[0]), bounds[1]))
    scale = torch.where(po2 != 0, power, scale)
    return scale * worth * (unit * _codes(measured, scale, high) / worth)


def _codes(x: Tensor, scale: Tensor, high: Tensor) -> Tensor:
    """Integer codes; ties away from zero."""
    code = torch.minimum(torch.floor(x.abs() / scale + 0.5), high)
    return torch.sign(x) * torch.where(x == 0, 0.0, code)


def _plain(x: Tensor, numbers: Tensor) -> Tensor:  # noqa: ARG001 - as the others
    return x


_FORMULAS = {STAIR: _stair, STEPS: _steps, PO2: _powers, PLAIN: _plain, FOUND: _found}
