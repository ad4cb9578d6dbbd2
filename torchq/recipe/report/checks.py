"""What a run had to show, what it shows, and the figures for ``summary.json``."""

from __future__ import annotations

import math

from torchq.recipe.report.text import MISSING, duration, number, points, times
from torchq.recipe.report.values import Check, ReportData

_TOLERANCE = 1e-9


def figures(data: ReportData) -> dict[str, float | int | None]:
    """The run's figures under their fixed names; what was not measured is None.

    Example:
        >>> figures(ReportData("Jets", wall_s=3.0))["wall_s"]
        3.0
    """
    by_role = {role: data.model(role) for role in ("float", "q6", "picked")}
    accuracy = {role: None if model is None else model.accuracy for role, model in by_role.items()}
    picked, reference, verified = by_role["picked"], data.reference, data.verification
    return {
        "accuracy_float": accuracy["float"],
        "accuracy_q6": accuracy["q6"],
        "accuracy_picked": accuracy["picked"],
        "energy_pj_bf": None if reference is None else reference.energy_pj,
        "energy_pj_picked": None if picked is None else picked.energy_pj,
        "bits_bf": None if reference is None else reference.bits,
        "bits_picked": None if picked is None else picked.bits,
        "vectors": None if verified is None else verified.vectors,
        "mismatches": None if verified is None else verified.mismatches,
        "wall_s": data.wall_s,
    }


def ratio(reference: float | None, value: float | None) -> float | None:
    """How many times less than the reference; None if either is missing, no number, or not above zero.

    Example:
        >>> ratio(3439.0, 193.0)
        17.818652849740932
    """
    if reference is None or value is None or not (math.isfinite(reference) and math.isfinite(value)):
        return None
    return reference / value if reference > 0 and value > 0 else None


def evaluate(data: ReportData) -> tuple[Check, ...]:
    """Every limit of ``data.limits`` with what was measured, then ``data.checks``."""
    limits = data.limits
    if limits is None:
        return data.checks
    of = figures(data)
    name = "the reference" if data.reference is None else data.reference.name
    lines: list[Check] = []
    if limits.q6_drop is not None:
        drop = _difference(of["accuracy_float"], of["accuracy_q6"])
        lines.append(
            _at_most("uniform 6-bit model", "test accuracy lost against float", drop, limits.q6_drop)
        )
    if limits.energy_ratio is not None:
        saved = ratio(of["energy_pj_bf"], of["energy_pj_picked"])
        lines.append(_at_least("picked model", f"energy below {name}", saved, limits.energy_ratio))
    if limits.bits_ratio is not None:
        saved = ratio(of["bits_bf"], of["bits_picked"])
        lines.append(
            _at_least("picked model", f"weight and bias bits below {name}", saved, limits.bits_ratio)
        )
    if limits.picked_drop is not None:
        drop = _difference(of["accuracy_float"], of["accuracy_picked"])
        lines.append(_at_most("picked model", "test accuracy lost against float", drop, limits.picked_drop))
    if limits.mismatches is not None:
        lines.append(_mismatches(data, limits.mismatches))
    if limits.wall_s is not None:
        lines.append(_wall(data, limits.wall_s))
    return (*lines, *data.checks)


def _difference(reference: float | None, value: float | None) -> float | None:
    return None if reference is None or value is None else reference - value


def _at_most(figure: str, where: str, drop: float | None, limit: float) -> Check:
    met = None if drop is None else drop <= limit + _TOLERANCE
    return Check(figure, where, MISSING if drop is None else points(drop), f"at most {points(limit, 1)}", met)


def _at_least(figure: str, where: str, saved: float | None, limit: float) -> Check:
    met = None if saved is None else saved >= limit - _TOLERANCE
    return Check(figure, where, MISSING if saved is None else times(saved), f"at least {limit:g} ×", met)


def _mismatches(data: ReportData, limit: int) -> Check:
    verified = data.verification
    met: bool | None = None
    measured = MISSING
    if verified is not None:
        measured = f"{number(verified.mismatches)} in {number(verified.vectors)} vectors"
        met = verified.vectors > 0 and verified.mismatches <= limit and (verified.agree or limit > 0)
    return Check("C++ against torch", "mismatches over all vectors", measured, f"at most {limit}", met)


def _wall(data: ReportData, limit: float) -> Check:
    """The wall time against its limit; a synthesis is an extra that takes what it takes."""
    extra = 0.0 if data.synthesis is None else sum(one.seconds for one in data.synthesis.designs)
    wall_s = None if data.wall_s is None else data.wall_s - extra
    met = None if wall_s is None else wall_s <= limit
    measured = MISSING if wall_s is None else duration(wall_s)
    where = "wall time without synthesis" if extra else "wall time"
    return Check("whole run", where, measured, f"at most {duration(limit)}", met)
