"""The records of a search: ``Asked``, ``Trial``, and the versions that a trial was made with."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import lru_cache
from importlib import metadata
from typing import Any

COMPLETE, FAILED = "complete", "failed"


@dataclass(frozen=True)
class Proposal:
    """A point to try, and the number that its outcome is told under.

    Args:
        number: counts the proposals from 0.
        point: option index by knob name.
        fidelity: how long to train, as a fraction of the whole training.
    """

    number: int
    point: dict[str, int]
    fidelity: float = 1.0


@dataclass(frozen=True)
class Asked:
    """What a searcher proposed at once; written down before any of it is tried.

    Args:
        proposals: what is to be tried.
        ask_s: seconds that the searcher took for them, and for what it was told since it was last asked.
        searcher: its name.
        refused: how many candidates were replaced because their price alone broke a limit.
    """

    proposals: tuple[Proposal, ...]
    ask_s: float = 0.0
    searcher: str = ""
    refused: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        data = asdict(self)
        return {"asked": data.pop("proposals"), **data}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Asked:
        """What :meth:`to_dict` wrote.

        Raises:
            ValueError: a field that is missing, unknown or of the wrong sort.
        """
        rest = dict(data)
        proposals = tuple(Proposal(**_checked(one)) for one in rest.pop("asked"))
        if strange := rest.keys() - {f.name for f in fields(cls)}:
            raise ValueError(f"{', '.join(sorted(strange))} unknown")
        return cls(proposals, **rest)


def _checked(proposal: Any) -> dict[str, Any]:
    if not isinstance(proposal, dict) or type(proposal.get("number")) is not int:
        raise ValueError("number must be a whole number")
    if not isinstance(proposal.get("point"), dict):
        raise ValueError("point must be a mapping")
    return proposal


@dataclass(frozen=True)
class Trial:
    """A scheme that was tried and what came out, complete enough to do it again.

    Args:
        number: counts the proposals from 0.
        point: option index by knob name.
        scheme: the scheme as plain data (``Scheme.from_dict`` reads it).
        seed: what the trial's training was seeded with.
        status: ``"complete"`` or ``"failed"``.
        metrics: what the evaluation reported; what it reported so far if it failed.
        values: the goal's objectives, all maximised; empty if it failed.
        score: what trials are ranked by; None if it failed.
        reason: why it failed; None if it did not.
        wall_s: seconds that the evaluation took.
        ask_s: seconds that the searcher took to propose it (its share, if it was proposed in a batch).
        searcher: the name of the searcher that proposed it.
        versions: of Python and of the packages that matter.
        fidelity: how long it was trained, as a fraction of the whole training.
        worker: who evaluated it; empty if that was the process of the search.
    """

    number: int
    point: Mapping[str, int]
    scheme: Mapping[str, Any]
    seed: int
    status: str
    metrics: Mapping[str, float] = field(default_factory=dict)
    values: tuple[float, ...] = ()
    score: float | None = None
    reason: str | None = None
    wall_s: float = 0.0
    ask_s: float = 0.0
    searcher: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    fidelity: float = 1.0
    worker: str = ""

    @property
    def complete(self) -> bool:
        """Whether the trial has metrics and a score."""
        return self.status == COMPLETE

    @property
    def final(self) -> bool:
        """Whether it is complete and was trained for the whole length, so that it may be chosen."""
        return self.complete and self.fidelity >= 1.0

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {**asdict(self), "values": list(self.values)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Trial:
        """The trial that :meth:`to_dict` wrote.

        Raises:
            ValueError: a field that is missing, unknown or of the wrong sort.
        """
        known = {f.name for f in fields(cls)}
        if lost := {"number", "point", "scheme", "seed", "status"} - data.keys():
            raise ValueError(f"{', '.join(sorted(lost))} missing")
        if strange := data.keys() - known:
            raise ValueError(f"{', '.join(sorted(strange))} unknown")
        if type(data["number"]) is not int or type(data["seed"]) is not int:
            raise ValueError("number and seed must be whole numbers")
        if data["status"] not in (COMPLETE, FAILED):
            raise ValueError(f"status must be {COMPLETE} or {FAILED}, got {data['status']!r}")
        for name in ("point", "scheme", "metrics"):
            if not isinstance(data.get(name, {}), dict):
                raise ValueError(f"{name} must be a mapping")
        if data["status"] == COMPLETE and (data.get("score") is None or not data.get("values")):
            raise ValueError("a complete trial needs values and a score")
        return cls(**{**data, "values": tuple(data.get("values", ()))})


@lru_cache(maxsize=1)
def versions() -> Mapping[str, str]:
    """The versions of Python, torchq, torch, numpy and Ax that are installed."""
    found = {"python": platform.python_version()}
    for package in ("torchq", "torch", "numpy", "ax-platform"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found
