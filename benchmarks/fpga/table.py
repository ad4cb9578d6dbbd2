"""The table of measurements: one row a design, written whole after each row, so that a kill loses nothing."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from torchq.files import atomic_write_text

COLUMNS = (
    "design",
    "strategy",
    "held_out",
    "n_in",
    "n_out",
    "weight_bits",
    "input_bits",
    "input_signed",
    "sparsity",
    "bell",
    "bias",
    "reuse",
    "stage",
    "dsp_from_bits",
    "drop",
    "digest",
    "output_bits",
    "lut",
    "lut_memory",
    "inverters",
    "carry",
    "ff",
    "dsp",
    "bram18",
    "latency",
    "interval",
    "alkaid_cost",
    "register_bits",
    "vectors",
    "mismatches",
    "yosys",
    "iverilog",
    "alkaid",
)


def read(path: Path) -> list[dict[str, str]]:
    """All rows; none if there is no file."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    """All rows, whole or not at all."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    atomic_write_text(path, text.getvalue())
