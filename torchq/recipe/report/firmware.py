"""What the report says about the firmware: the verification's outcome and the project's facts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True)
class Comparison:
    """Two readings of one network over one set of vectors.

    Attributes:
        reading: the reading that was tried, such as ``"C++"``.
        against: the reading it was compared with, such as ``"torch"``.
        kind: the set of vectors, such as ``"real"`` or ``"adversarial"``.
        vectors: input vectors compared.
        mismatches: output values that differ.
    """

    reading: str
    against: str
    kind: str
    vectors: int
    mismatches: int


@dataclass(frozen=True)
class Verification:
    """Whether all readings of the picked model agree.

    Attributes:
        vectors: input vectors in all sets together.
        mismatches: values that differ, in all comparisons together.
        verdict: one sentence.
        first: the first difference in words (layer, sample, output and both values), None if there is none.

    Example:
        >>> Verification(vectors=14000, mismatches=0, agree=True).headline
        'bit-exact: 14,000 vectors, 0 mismatches'
        >>> Verification(vectors=0, mismatches=0, agree=True).exact
        False
    """

    agree: bool
    vectors: int
    mismatches: int
    verdict: str = ""
    first: str | None = None
    comparisons: tuple[Comparison, ...] = ()

    @property
    def exact(self) -> bool:
        """True only if vectors were compared, nothing differed, and the verification says so itself."""
        return self.agree and self.vectors > 0 and self.mismatches == 0

    @property
    def headline(self) -> str:
        """The verdict in half a line."""
        if self.vectors <= 0:
            return "not bit-exact: no vectors were compared"
        word = "bit-exact" if self.exact else "NOT bit-exact"
        vectors = f"{self.vectors:,} vector" + ("" if self.vectors == 1 else "s")
        return f"{word}: {vectors}, {self.mismatches:,} mismatch" + ("" if self.mismatches == 1 else "es")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Verification:
        """From a mapping with the attributes' names; ``comparisons`` is a list of such mappings.

        Other keys are passed over, so that a ``verify.json`` may hold more than the report shows. ``first``
        may be a text, or a mapping whose ``"message"`` is that text.

        Example:
            >>> first = {"layer": "fc3", "sample": 17}
            >>> values = {"agree": False, "vectors": 320, "mismatches": 1, "first": first, "seconds": 2.0}
            >>> Verification.from_dict(values).first
            'layer fc3, sample 17'
        """
        first = values.get("first")
        if isinstance(first, Mapping):
            told = ", ".join(f"{name} {value}" for name, value in first.items())
            first = first.get("message", told)
        names = {one.name for one in fields(Comparison)}
        return cls(
            agree=bool(values["agree"]),
            vectors=int(values["vectors"]),
            mismatches=int(values["mismatches"]),
            verdict=str(values.get("verdict", "")),
            first=None if first is None else str(first),
            comparisons=tuple(
                Comparison(**{name: value for name, value in one.items() if name in names})
                for one in values.get("comparisons", ())
            ),
        )


@dataclass(frozen=True)
class FirmwareFacts:
    """The HLS project that was written.

    Attributes:
        state: how far it went, such as ``"C++ compiled and simulated; not synthesised"``.
        files: what a reader would open, relative to the run directory.
    """

    backend: str
    part: str = ""
    clock_ns: float | None = None
    io_type: str = ""
    strategy: str = ""
    reuse_factor: int | None = None
    state: str = ""
    files: tuple[str, ...] = ()
