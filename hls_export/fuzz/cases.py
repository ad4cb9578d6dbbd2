"""Networks that once failed, each with the chain in which it did: a JSON file, one entry a network."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hls_export.fuzz.built import check_built
from hls_export.fuzz.chain import Verdict, check
from hls_export.fuzz.network import Spec
from hls_export.fuzz.shrink import shrink
from hls_export.fuzz.targets import Target
from torchq.files import atomic_write_text

MOST_TRIES = {"emulator": 400, "cpp": 40, "rtl": 40}
"""Networks that are tried to find a smaller one that fails: compiling takes seconds."""


@dataclass(frozen=True)
class Case:
    """A network, and the chain that it goes through.

    Args:
        found: what was wrong.
        through: of :data:`hls_export.fuzz.targets.THROUGH`.
        spec: the network.
        target: how it is built; None in the emulator's chain.
    """

    found: str
    through: str
    spec: Spec
    target: Target | None = None

    def check(self) -> Verdict:
        """What comes out today."""
        if self.through == "emulator":
            return check(self.spec)
        return check_built(self.spec, self.through, self.target)

    def smallest(self) -> Case:
        """The smallest network of its family, built as plainly as possible, that still fails."""
        case = self
        if self.target is not None:
            plain = replace(self, target=Target(self.target.backend, self.target.io_type))
            case = plain if plain.fails() else self
        small = shrink(case.spec, lambda spec: replace(case, spec=spec).fails(), MOST_TRIES[self.through])
        return replace(case, spec=small)

    def fails(self) -> bool:
        """Whether it fails in the way that was found; a network that cannot even be built is no case."""
        try:
            verdict = self.check()
        except Exception:
            return False
        return verdict.agree is False and _way(verdict.reason) == _way(self.found)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        target = {} if self.target is None else {"target": self.target.to_dict()}
        return {"found": self.found, "through": self.through, **target, "spec": self.spec}

    @classmethod
    def from_dict(cls, facts: dict[str, Any]) -> Case:
        """The inverse of :meth:`to_dict`."""
        target = Target(**facts["target"]) if "target" in facts else None
        return cls(facts["found"], facts["through"], facts["spec"], target)


def _way(reason: str) -> str:
    """Which readings differ, or what was refused: the words of a message that no name or number changes.

    Example:
        >>> _way("seed 3: C simulation differs from torch in 3 of 4 values (max 1 LSB), first at layers.s0")
        'C simulation differs from torch'
        >>> _way("hls4ml left out, put in or changed layers_s2_mean")
        'hls4ml left out, put in or changed'
    """
    text = re.sub(r"^seed \d+: ", "", reason)
    return re.split(r" (?:in \d|at |layers|quantizer)", text)[0]


def load(path: str | Path) -> list[Case]:
    """The cases of a file; none if there is no file."""
    if not Path(path).exists():
        return []
    return [Case.from_dict(facts) for facts in json.loads(Path(path).read_text(encoding="utf-8"))]


def keep(path: str | Path, case: Case) -> None:
    """Add a case to a file, one line a case."""
    lines = [json.dumps(one.to_dict()) for one in [*load(path), case]]
    atomic_write_text(Path(path), "[\n" + ",\n".join(lines) + "\n]\n")
