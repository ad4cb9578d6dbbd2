"""What was measured, as a JSON file beside the page: one entry a network, one cell a reading."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hls_export.support.cases import Case
from hls_export.support.cells import Cell
from torchq.errors import ExportError
from torchq.files import atomic_write_text

VERSION = 1


@dataclass
class Entry:
    """One network.

    Args:
        group: see :class:`hls_export.support.cases.Case`.
        text: likewise.
        digest: of the network that the cells were measured with.
        cells: by the key of the column.
    """

    group: str
    text: str
    digest: str = ""
    cells: dict[str, Cell] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        cells = {key: cell.to_dict() for key, cell in self.cells.items()}
        return {"group": self.group, "text": self.text, "digest": self.digest, "cells": cells}


class Record:
    """All entries, sorted by key, as on the page.

    Args:
        layers: entries of layers.
        others: entries of networks of other tools.
    """

    def __init__(
        self, layers: Mapping[str, Entry] | None = None, others: Mapping[str, Entry] | None = None
    ) -> None:
        self.layers = dict(layers or {})
        self.others = dict(others or {})

    @classmethod
    def load(cls, path: Path) -> Record:
        """The record of a file; an empty one where there is none.

        Raises:
            ExportError: the file is damaged.
        """
        if not path.exists():
            return cls()
        try:
            facts = json.loads(path.read_text(encoding="utf-8"))
            if facts["version"] != VERSION:
                return cls()
            return cls(_entries(facts["layers"]), _entries(facts["others"]))
        except (OSError, ValueError, KeyError, TypeError) as fault:
            raise ExportError(f"{path} is damaged ({fault})", hint="remove it and measure again") from None

    def save(self, path: Path) -> None:
        """Write the file, whole or not at all."""
        facts = {
            "version": VERSION,
            "layers": {key: entry.to_dict() for key, entry in self.layers.items()},
            "others": {key: entry.to_dict() for key, entry in self.others.items()},
        }
        atomic_write_text(path, json.dumps(facts, indent=1, sort_keys=True) + "\n")

    def update(self, layers: Iterable[Case], others: Iterable[Case]) -> None:
        """Take new cases in and let those go that are no more."""
        self.layers = _kept(self.layers, layers)
        self.others = _kept(self.others, others)


def _kept(entries: Mapping[str, Entry], cases: Iterable[Case]) -> dict[str, Entry]:
    found = {}
    for case in sorted(cases, key=lambda case: case.key):
        old = entries.get(case.key)
        found[case.key] = Entry(case.group, case.text, *(() if old is None else (old.digest, old.cells)))
    return found


def _entries(facts: Mapping[str, Any]) -> dict[str, Entry]:
    return {
        key: Entry(
            entry["group"],
            entry["text"],
            entry["digest"],
            {name: Cell.from_dict(cell) for name, cell in entry["cells"].items()},
        )
        for key, entry in facts.items()
    }
