"""Figures by name: which target has them, and what to say of a name that none has."""

from __future__ import annotations

from torchq.advice import advice
from torchq.cost.base import TARGETS
from torchq.errors import CostError, UnknownNameError


def figures() -> dict[str, str]:
    """Every figure of every registered target, with the name of its target; sorted by figure.

    Example:
        >>> figures()["energy_pj"], figures()["bits"]
        ('energy_pj', 'bits')
    """
    found = {figure: name for name, target in TARGETS.items() for figure in target.units}
    return dict(sorted(found.items()))


def target_of(name: str) -> str:
    """The name of the target that is meant by its own name, or by that of one of its figures.

    Raises:
        UnknownNameError: there is no such target and no such figure; the nearest name is proposed.
        CostError: it is no text.

    Example:
        >>> target_of("bits")
        'bits'
    """
    if not isinstance(name, str):
        raise CostError(f"a cost target or figure is named by a text, got {name!r}")
    if name in TARGETS:
        return name
    known = figures()
    if name not in known:
        names = sorted({*known, *TARGETS})
        raise UnknownNameError(f"unknown cost target or figure {name!r}", hint=advice(name, names))
    return known[name]


def figure_of(name: str) -> str:
    """A figure's name, checked: what a search makes small, or a limit holds below a number.

    Raises:
        UnknownNameError: there is no such figure; the nearest name is proposed.
        CostError: it is a target with several figures, or a figure of which more is better.

    Example:
        >>> figure_of("energy_pj")
        'energy_pj'
    """
    target = TARGETS.get(target_of(name))
    gains: frozenset[str] = getattr(target, "gains", frozenset())
    costs = [figure for figure in target.units if figure not in gains]
    if name in costs:
        return name
    if name in gains:
        raise CostError(f"{name} is no cost, for more of it is better", hint=f"name {', '.join(costs)}")
    raise CostError(f"{name} is a target with several figures", hint=f"name one: {', '.join(costs)}")
