"""Rounding and saturating: what stands between two layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torchq.formats import FixedPoint, Overflow, Rounding
from torchq.formats.arithmetic import widest


@dataclass(frozen=True)
class Requantize:
    """How one number is brought from one format into another.

    Args:
        kept: bits that are left of it after rounding.
        width: of the output.
        dropped: bits that are rounded away.
        rounds: whether something is added, so that rounding takes an adder.
        saturates: whether it must be compared with the ends of the range.
        signed: whether the output has a negative end too.
    """

    kept: int
    width: int
    dropped: int
    rounds: bool
    saturates: bool
    signed: bool


def requantize(source: FixedPoint, made: FixedPoint, *, relu: bool = False) -> Requantize:
    """What it takes to go from one format to the other; formats per channel count as their widest.

    Args:
        source: of what comes.
        made: of what leaves.
        relu: whether negative numbers become zero.

    Example:
        >>> requantize(FixedPoint(14, 4), FixedPoint(6, 0, signed=False), relu=True)
        Requantize(kept=10, width=6, dropped=4, rounds=True, saturates=True, signed=False)
    """
    a, b = widest(source), widest(made)
    dropped = max(int(a.fraction) - int(b.fraction), 0)
    kept = max(int(a.width) - dropped, 0)
    rounds = dropped > 0 and b.rounding is not Rounding.TRN
    room = int(b.integer) - int(b.signed) - (int(a.integer) - int(a.signed))
    fits = room >= int(rounds) and (bool(b.signed) or not a.signed)
    saturates = (not fits and b.overflow is not Overflow.WRAP) or (relu and bool(a.signed))
    return Requantize(kept, int(b.width), dropped, rounds, saturates, bool(b.signed))


def activation_luts(step: Requantize, fitted: Mapping[str, float]) -> float:
    """LUTs of one number."""
    return sum(fitted[name] * value for name, value in lut_terms(step).items())


def lut_terms(step: Requantize) -> dict[str, float]:
    """What LUTs are spent on, each with one coefficient.

    Only bits above the output's must be compared, with one end of the range or with both; where there are
    none, negative numbers become zero by the reset of the output register.
    """
    above = max(step.kept - step.width, 0) if step.saturates else 0
    return {
        "round": float(min(step.kept, step.width + 1) if step.rounds else 0),
        "sticky": float(step.dropped if step.rounds else 0),
        "clamp": float(step.width if above else 0),
        "compare": float(above * (2 if step.signed else 1)),
        "each": float(step.saturates or step.rounds),
    }
