"""One cell of the table: a reading of a network, and what came out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

EXACT, REFUSED, BROKEN = "exact", "refused", "broken"


@dataclass(frozen=True)
class Column:
    """One reading of the table.

    Args:
        key: its name in the record.
        title: its name on the page.
        backend: of :data:`hls_export.BACKENDS`; empty for readings without a project.
        io_type: how a project passes its data.
    """

    key: str
    title: str
    backend: str = ""
    io_type: str = "io_parallel"


COLUMNS = (
    Column("onnx", "ONNX"),
    Column("emulator", "emulator"),
    Column("cpp_io_parallel", "C++ io_parallel", "vitis"),
    Column("cpp_io_stream", "C++ io_stream", "vitis", "io_stream"),
    Column("rtl", "RTL", "rtl"),
)


def column(key: str) -> Column:
    """A column by its key.

    Example:
        >>> column("cpp_io_stream").title
        'C++ io_stream'
    """
    return next(found for found in COLUMNS if found.key == key)


@dataclass(frozen=True)
class Cell:
    """What came out.

    Args:
        result: ``"exact"`` (no value of any vector differs), ``"refused"`` (nothing was written, and the
            reason is known), or ``"broken"`` (anything else, which is a defect).
        reason: why it was refused, or how it is broken.
        vectors: samples that were compared.
        tools: the versions that took part.

    Example:
        >>> str(Cell("refused", "fc1 is too wide")), Cell("exact", vectors=300).says
        ('refused: fc1 is too wide', ('exact', ''))
    """

    result: str
    reason: str = ""
    vectors: int = 0
    tools: Mapping[str, str] = field(default_factory=dict)

    @property
    def says(self) -> tuple[str, str]:
        """What the page shows of it, and what two measurements must have in common."""
        return self.result, self.reason

    def __str__(self) -> str:
        return f"{self.result}: {self.reason}" if self.reason else self.result

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; what is empty is left out."""
        facts = {"result": self.result, "reason": self.reason, "vectors": self.vectors}
        return {key: value for key, value in facts.items() if value} | {"tools": dict(self.tools)}

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> Cell:
        """The inverse of :meth:`to_dict`."""
        return cls(facts["result"], facts.get("reason", ""), facts.get("vectors", 0), facts["tools"])
