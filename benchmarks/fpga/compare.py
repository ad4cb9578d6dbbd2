"""Measured designs beside their estimates."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

from benchmarks.fpga import table
from benchmarks.fpga.designs import Design, designs
from torchq.cost.fpga.activation import activation_luts, requantize
from torchq.cost.fpga.distributed import distributed
from torchq.cost.fpga.figures import Figures
from torchq.cost.fpga.folded import folded
from torchq.cost.fpga.matrix import Matrix, matrix_of_codes, matrix_of_formats
from torchq.cost.fpga.unrolled import unrolled
from torchq.formats import FixedPoint

MEASUREMENTS = Path(str(resources.files("torchq.cost.fpga").joinpath("measurements.csv")))
KNOWLEDGE = ("values", "formats")
RELATIVE = ("lut", "ff")

Fitted = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Measured:
    """A design, what was measured of it, and what the estimate may know.

    Args:
        design: it.
        figures: as measured; ``ff`` with the input registers.
        alkaid_cost: alkaid's count of adder bits; 0 for other strategies.
        values: its matrix with known weights.
        formats: its matrix from formats and zeros.
    """

    design: Design
    figures: Figures
    alkaid_cost: float
    values: Matrix
    formats: Matrix

    @property
    def input_bits(self) -> int:
        """Of the input register."""
        return self.design.n_in * self.design.input_bits


def measured(path: Path = MEASUREMENTS) -> list[Measured]:
    """All rows of the table, with the weights drawn again.

    Raises:
        ValueError: other weights are drawn than were measured.
    """
    known = {design.name: design for design in designs()}
    found = []
    for row in table.read(path):
        design = known[row["design"]]
        if design.digest() != row["digest"]:
            raise ValueError(f"{design.name}: numpy draws other weights than those that were measured")
        bits = (design.weight_bits, design.input_bits, design.input_signed)
        weights, bias = design.weights(), design.biases()
        figures = Figures(
            float(row["lut"]),
            float(row["ff"]),
            float(row["dsp"]),
            float(row["bram18"]),
            int(row["latency"]),
            int(row["interval"]),
        )
        zeros = int((weights == 0).sum())
        found.append(
            Measured(
                design,
                figures,
                float(row["alkaid_cost"] or 0),
                matrix_of_codes(weights, *bits, bias),
                matrix_of_formats(design.n_in, design.n_out, *bits, zeros=zeros, bias=bias is not None),
            )
        )
    return found


def estimated(row: Measured, fitted: Fitted, knowledge: str) -> Figures:
    """The estimate of a measured design, its input registers included."""
    design = row.design
    matrix: Matrix = getattr(row, knowledge)
    if design.strategy == "distributed_arithmetic":
        made = distributed(matrix, fitted["distributed_arithmetic"], design.stage)
    elif design.strategy == "latency":
        made = unrolled(matrix, fitted["latency"], int(design.stage), design.dsp_from_bits)
    elif design.strategy == "resource":
        made = folded(matrix, fitted["resource"], design.reuse, int(design.stage), design.dsp_from_bits)
    else:
        luts = activation_luts(requantize(*formats_of(design)), fitted["requantize"])
        made = Figures(lut=luts * design.n_in, ff=float(design.n_in * design.weight_bits), cycles=1)
    return replace(made, ff=made.ff + row.input_bits)


def formats_of(design: Design) -> tuple[FixedPoint, FixedPoint]:
    """What goes into an activation and what comes out of it; the point stands behind the kept bits."""
    source = FixedPoint(design.input_bits, design.input_bits - design.drop)
    return source, FixedPoint(design.weight_bits, design.weight_bits, design.input_signed)


def errors(pairs: Sequence[tuple[Figures, Figures]], figure: str) -> dict[str, float]:
    """Median and worst error: relative for LUTs and flip-flops, counts for the others."""
    off = []
    for estimate, truth in pairs:
        guess, real = float(getattr(estimate, figure)), float(getattr(truth, figure))
        off.append(abs(guess / real - 1) if figure in RELATIVE else abs(round(guess) - real))
    return {
        "median": round(statistics.median(off), 4),
        "worst": round(max(off), 4),
        "designs": len(off),
    }


def all_errors(
    rows: Sequence[Measured],
    fitted: Fitted,
    chosen: Callable[[Measured], bool] = lambda row: row.design.held_out,
) -> dict[str, dict[str, dict[str, dict[str, float]]]]:
    """Strategy -> what is known -> figure -> error, on the designs that the fit did not see."""
    found: dict[str, dict[str, dict[str, dict[str, float]]]] = {}
    for strategy in dict.fromkeys(row.design.strategy for row in rows):
        mine = [row for row in rows if row.design.strategy == strategy and chosen(row)]
        found[strategy] = {}
        for knowledge in KNOWLEDGE:
            pairs = [(estimated(row, fitted, knowledge), row.figures) for row in mine]
            figures = ("lut", "ff", "dsp", "bram", "cycles")
            found[strategy][knowledge] = {figure: errors(pairs, figure) for figure in figures}
    mine = [row for row in rows if row.alkaid_cost and chosen(row)]
    counted = [(Figures(lut=fitted["alkaid"]["factor"] * row.alkaid_cost), row.figures) for row in mine]
    same = found["distributed_arithmetic"]["values"]
    found["alkaid"] = {"values": {**same, "lut": errors(counted, "lut")}}
    return found
