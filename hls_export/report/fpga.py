"""``FpgaReport``: what a project's layers are made of, and what they cost, with the source of each figure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

SOURCES = ("estimate", "csim", "csynth", "vsynth", "yosys")


@dataclass(frozen=True)
class LayerRow:
    """One layer of a project.

    Args:
        name: the user's.
        kind: of its node.
        shape: of what it makes.
        input_type: of what it reads.
        weight_type: of its weight; ``""`` where it has none.
        bias_type: likewise.
        accumulator_type: of its sums; ``""`` where it has none.
        output_type: of what leaves it, after the quantizer that is fused into it.
        weights: how many weights and biases it has.
        nonzero: how many of the weights are not zero.
        multiplications: of one sample.
        reuse_factor: how often one multiplier is used for one sample.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    input_type: str = ""
    weight_type: str = ""
    bias_type: str = ""
    accumulator_type: str = ""
    output_type: str = ""
    weights: int = 0
    nonzero: int = 0
    multiplications: int = 0
    reuse_factor: int = 1


@dataclass(frozen=True)
class FpgaReport:
    """The table of a project.

    Args:
        source: where the figures come from, of :data:`SOURCES`; ``"csim"`` has types and no resources.
        tool: name and version of what made them.
        part: the FPGA.
        clock_ns: the clock period asked for.
        layers: one row a layer, in order.
        resources: ``LUT``, ``FF``, ``DSP``, ... as far as the source tells.
        notes: what the tool said on the way.

    Example:
        >>> row = LayerRow("fc1", "dense", (5,), "ap_fixed<8,3>", output_type="ap_fixed<16,6>")
        >>> report = FpgaReport("csim", "hls4ml 1.3.0", "xcvu9p-flga2577-2-e", 5.0, (row,))
        >>> FpgaReport.from_dict(report.to_dict()) == report
        True
    """

    source: str
    tool: str
    part: str
    clock_ns: float
    layers: tuple[LayerRow, ...]
    resources: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            **asdict(self),
            "layers": [{**asdict(row), "shape": list(row.shape)} for row in self.layers],
            "notes": list(self.notes),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> FpgaReport:
        """What :meth:`to_dict` gave."""
        layers = tuple(LayerRow(**{**row, "shape": tuple(row["shape"])}) for row in data["layers"])
        return cls(**{**data, "layers": layers, "notes": tuple(data["notes"])})

    def text(self) -> str:
        """The table as plain text."""
        head = ("layer", "shape", "input", "weight", "bias", "accumulator", "output", "nonzero")
        rows = [head, *(self._cells(row) for row in self.layers)]
        widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
        lines = [
            "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows
        ]
        return "\n".join(lines)

    @staticmethod
    def _cells(row: LayerRow) -> tuple[str, ...]:
        shape = "x".join(map(str, row.shape))
        nonzero = f"{row.nonzero} of {row.multiplications}" if row.multiplications else ""
        types = (row.input_type, row.weight_type, row.bias_type, row.accumulator_type, row.output_type)
        return (row.name, shape, *types, nonzero)
