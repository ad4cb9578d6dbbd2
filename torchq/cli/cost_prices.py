"""The prices of what ``torchq cost`` was asked about, by the targets that were named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from torchq.errors import CostError

if TYPE_CHECKING:
    from torchq.cli.cost_what import Network, Subject
    from torchq.cost import CostReport, TypeTable

USUAL = ("bits", "energy_pj", "ebops", "macs")
"""Figures that are shown unless told otherwise, as far as a target has them."""


@dataclass(frozen=True)
class Found:
    """Everything that is shown.

    Args:
        what: as it was written.
        name: of the network whose layers are shown.
        report: its costs.
        beside: totals of other networks, by name, its own first; empty if there are no others.
        notes: what to know of the figures.
        types: a table of types, if it was asked for.
    """

    what: str
    name: str
    report: CostReport
    beside: Mapping[str, Mapping[str, float]]
    notes: tuple[str, ...]
    types: TypeTable | None = None


def priced(subject: Subject, targets: str | None, settings: Sequence[str], *, types: bool) -> Found:
    """Price the networks.

    Args:
        subject: what to price.
        targets: names of targets or figures with commas between; None for the usual ones.
        settings: ``key=value`` texts.
        types: whether types are asked for.

    Raises:
        CostError: no such setting, or a text that is no setting.
        UnknownNameError: no such target, figure, process or memory.
    """
    from torchq.cost import estimate

    names = usual() if targets is None else _split(targets)
    asked = _settings(settings)

    def report_of(network: Network) -> CostReport:
        known = _known(names, {**subject.settings, **network.settings})
        return estimate(network.model, network.example, names, **{**known, **asked})

    main = subject.main
    report = report_of(main)
    totals, notes = {}, list(subject.notes)
    for network in subject.beside:
        try:
            totals[network.name] = _total(report_of(network), network.floats)
        except CostError as fault:  # what can be said of the main network is said all the same
            notes.append(f"{network.name} is left out: {fault.message}")
    beside = {main.name: report.total, **totals} if totals else {}
    table = _types(subject) if types else None
    return Found(subject.what, main.name, report, beside, tuple(notes), table)


def _total(report: CostReport, floats: bool) -> dict[str, float]:
    """The totals; of floats only those that are no estimates, which are fitted on fixed-point designs."""
    return {name: value for name, value in report.total.items() if not (floats and name in report.notes)}


def usual() -> tuple[str, ...]:
    """The figures that are shown unless told otherwise."""
    from torchq.cost.figures import figures

    known = figures()
    return tuple(name for name in USUAL if name in known)


def _split(targets: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in targets.split(",") if name.strip())
    if not names:
        raise CostError("--targets names none", hint=f"as in --targets {','.join(usual())}")
    return names


def _settings(texts: Sequence[str]) -> dict[str, Any]:
    """Numbers, true and false, and texts, as a recipe reads them.

    Example:
        >>> _settings(["rd_wr_on_io=true", "min_sram_size=64", "process=horowitz"])
        {'rd_wr_on_io': True, 'min_sram_size': 64, 'process': 'horowitz'}
    """
    from torchq.recipe.yaml import read_yaml

    found = {}
    for text in texts:
        key, sign, value = text.partition("=")
        if not sign or not key.strip():
            raise CostError(f"--set {text}: is no key=value", hint="as in --set weights_on_memory=fixed")
        found[key.strip()] = read_yaml(value, f"--set {key.strip()}").value if value.strip() else ""
    return found


def _known(names: Sequence[str], settings: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe's settings that the named targets have."""
    from torchq.cost import TARGETS
    from torchq.cost.figures import target_of

    known = {f.name for name in names for f in fields(TARGETS.get(target_of(name)))} | {"softmax"}
    return {name: value for name, value in settings.items() if name in known}


def _types(subject: Subject) -> TypeTable:
    from torchq.cost import data_types

    return data_types(subject.main.model, subject.main.example)
