"""Fit the FPGA estimates: ``python -m benchmarks.fpga_fit [--out torchq/cost/fpga/coefficients.json]``.

Two thirds of the measured designs are seen, relative errors are made small, and the errors on the last third
are written beside the coefficients.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import nnls  # type: ignore[import-untyped, unused-ignore]

from benchmarks.fpga import table
from benchmarks.fpga.compare import MEASUREMENTS, Measured, all_errors, formats_of, measured
from torchq.cost.fpga import activation, folded, unrolled
from torchq.cost.fpga.distributed import luts
from torchq.files import atomic_write_text

Terms = dict[str, float]
_ROUNDS, _SMALL = 30, 0.02
_WIDTH_BITS = np.arange(0.0, 0.81, 0.05)
_WIDTH = np.arange(0.0, 4.1, 0.25)
_DELAY = np.arange(0.0, 12.1, 0.25)
_DELAY_DEPTH = np.arange(0.0, 2.51, 0.1)


def fit(rows: Sequence[Measured]) -> dict[str, Terms]:
    """Coefficients of each strategy, from the rows that are not held out."""
    seen = [row for row in rows if not row.design.held_out]
    by = {name: [row for row in seen if row.design.strategy == name] for name in _FITS}
    found = {name: {k: _short(v) for k, v in _FITS[name](by[name]).items()} for name in _FITS}
    ratios = [row.figures.lut / row.alkaid_cost for row in seen if row.alkaid_cost]
    found["alkaid"] = {"factor": _short(statistics.median(ratios))}
    return found


def _distributed(rows: Sequence[Measured]) -> Terms:
    """Adders and their width from alkaid's cost, which has no mapping noise; then yosys's LUTs over that."""
    found: Terms = {}
    cost = np.array([row.alkaid_cost for row in rows])
    bits = np.array([row.values.weight_bits for row in rows], np.float64)
    inputs = np.array([row.values.input_bits for row in rows], np.float64)
    shapes = [(m.adders, m.n_in, m.n_out, m.weight_bits) for m in (row.values for row in rows)]
    logs = np.array([[1, *map(math.log, shape)] for shape in shapes])
    best = math.inf
    for slope, offset in itertools.product(_WIDTH_BITS, _WIDTH):
        goal = np.log(cost / (inputs + slope * bits + offset))
        coefficients, *_ = np.linalg.lstsq(logs, goal, rcond=None)
        loss = float(((logs @ coefficients - goal) ** 2).sum())
        if loss < best - 1e-9:
            best = loss
            names = ("adders", "adders_all", "adders_inputs", "adders_outputs", "adders_bits")
            found = dict(zip(names, map(float, coefficients), strict=True))
            found |= {"width_bits": float(slope), "width": float(offset), "adders_signed": 0.0}
    guess = np.array([luts(row.values, found) for row in rows])
    signed = np.array([float(row.values.input_signed) for row in rows])
    columns = np.stack([np.ones(len(rows)), np.log(bits), signed], axis=1)
    over = np.log(np.array([row.figures.lut for row in rows]) / guess)
    mapped = _robust(columns, over)
    for name, more in zip(("adders", "adders_bits", "adders_signed"), map(float, mapped), strict=True):
        found[name] += more
    found |= _delay(rows)
    return found | _live(rows, found)


def _robust(columns: Any, goal: Any) -> Any:
    """Least absolute errors, by least squares with weights: a few tiny designs are far off."""
    weight = np.ones(len(goal))
    found = np.zeros(columns.shape[1])
    for _ in range(_ROUNDS):
        root = np.sqrt(weight)
        found, *_ = np.linalg.lstsq(columns * root[:, None], goal * root, rcond=None)
        weight = 1 / np.maximum(np.abs(columns @ found - goal), _SMALL)
    return found


def _delay(rows: Sequence[Measured]) -> Terms:
    """Delay of the adder network, of which only whole pipeline stages are seen."""
    depth = np.log2([max(row.values.longest, 1) for row in rows])
    stage = np.array([row.design.stage for row in rows])
    cycles = np.array([row.figures.cycles for row in rows])
    losses = []
    for start, slope in itertools.product(_DELAY, _DELAY_DEPTH):
        guess = np.maximum(np.ceil((start + slope * depth) / stage), 1)
        off = guess - cycles  # as often too many as too few
        losses.append((float((off**2).sum() + off.sum() ** 2 / len(off)), float(start), float(slope)))
    least = min(loss for loss, _, _ in losses)
    equal = [(start, slope) for loss, start, slope in losses if loss == least]
    start, slope = equal[len(equal) // 2]
    return {"delay": start, "delay_depth": slope}


def _live(rows: Sequence[Measured], found: Terms) -> Terms:
    """Bits between two stages."""
    deep = [row for row in rows if row.figures.cycles > 1]
    live = [
        (row.figures.ff - row.input_bits - row.values.output_bits) / (row.figures.cycles - 1) for row in deep
    ]
    kept = [(row, bits) for row, bits in zip(deep, live, strict=True) if bits > 0]
    logs = np.array([[1, math.log(luts(r.values, found)), math.log(r.values.output_bits)] for r, _ in kept])
    coefficients, *_ = np.linalg.lstsq(logs, np.log([bits for _, bits in kept]), rcond=None)
    return dict(zip(("live", "live_lut", "live_out"), map(float, coefficients), strict=True))


def _unrolled(rows: Sequence[Measured]) -> Terms:
    wide = [unrolled.is_wide(row.values, row.design.dsp_from_bits) for row in rows]
    terms = [unrolled.lut_terms(row.values, w) for row, w in zip(rows, wide, strict=True)]
    found = _nonnegative(terms, [row.figures.lut for row in rows])
    live = [
        {"live": unrolled.live_bits(row.values, int(row.design.stage), w)}
        for row, w in zip(rows, wide, strict=True)
    ]
    rest = [max(row.figures.ff - row.input_bits - row.values.output_bits, 0.0) for row in rows]
    return found | _nonnegative(live, rest, scale=[row.figures.ff for row in rows])


def _folded(rows: Sequence[Measured]) -> Terms:
    lut_terms, ff_terms = [], []
    for row in rows:
        design = row.design
        shape = folded.fold(design.n_in, design.n_out, design.reuse)
        wide = unrolled.is_wide(row.values, design.dsp_from_bits)
        lut_terms.append(folded.lut_terms(row.values, shape, wide))
        ff_terms.append(folded.ff_terms(row.values, shape, wide, int(design.stage)))
    sure = {"tree": 1.0, "rom": 1.0, "load": 1.0}  # a LUT a bit; few rows must not decide that
    lut = [row.figures.lut for row in rows]
    left = [
        goal - sum(term[name] * factor for name, factor in sure.items())
        for goal, term in zip(lut, lut_terms, strict=True)
    ]
    open_terms = [{k: v for k, v in term.items() if k not in sure} for term in lut_terms]
    found = sure | _nonnegative(open_terms, left, scale=lut)
    rest = [max(row.figures.ff - row.input_bits, 0.0) for row in rows]
    return found | _nonnegative(ff_terms, rest, scale=[row.figures.ff for row in rows])


def _requantized(rows: Sequence[Measured]) -> Terms:
    terms = [activation.lut_terms(activation.requantize(*formats_of(row.design))) for row in rows]
    return _nonnegative(terms, [row.figures.lut / row.design.n_in for row in rows])


_FITS = {
    "distributed_arithmetic": _distributed,
    "latency": _unrolled,
    "resource": _folded,
    "requantize": _requantized,
}


def _nonnegative(
    terms: Sequence[Terms], goals: Sequence[float], *, scale: Sequence[float] | None = None
) -> Terms:
    """Least absolute relative errors, by least squares with weights; nothing takes less than nothing."""
    names = list(terms[0])
    size = 1 / np.maximum(np.asarray(goals if scale is None else scale, np.float64), 1.0)
    matrix = np.array([[term[name] for name in names] for term in terms]) * size[:, None]
    goal = np.asarray(goals, np.float64) * size
    weight = np.ones(len(goal))
    found = np.zeros(len(names))
    for _ in range(_ROUNDS):
        root = np.sqrt(weight)
        found, _ = nnls(matrix * root[:, None], goal * root)
        weight = 1 / np.maximum(np.abs(matrix @ found - goal), _SMALL)
    return dict(zip(names, map(float, found), strict=True))


def _short(value: float) -> float:
    return float(f"{value:.6g}")


def document(path: Path = MEASUREMENTS) -> dict[str, Any]:
    """What is written: coefficients, errors, and who measured."""
    rows = measured(path)
    fitted = fit(rows)
    lines = table.read(path)
    tools = {
        name: ", ".join(sorted({line[name] for line in lines if line[name]}))
        for name in ("yosys", "iverilog", "alkaid")
    }
    designs = {"measured": len(rows), "held_out": sum(row.design.held_out for row in rows)}
    return {"fitted": fitted, "errors": all_errors(rows, fitted), "designs": designs, "tools": tools}


def main() -> None:
    parser = argparse.ArgumentParser(description="Fit the FPGA estimates to the measured designs.")
    parser.add_argument("--table", type=Path, default=MEASUREMENTS)
    parser.add_argument("--out", type=Path, default=MEASUREMENTS.with_name("coefficients.json"))
    chosen = parser.parse_args()
    written = document(chosen.table)
    atomic_write_text(chosen.out, json.dumps(written, indent=1) + "\n")
    for strategy, known in written["errors"].items():
        for knowledge, figures in known.items():
            words = ", ".join(f"{name} {e['median']:.3g} ({e['worst']:.3g})" for name, e in figures.items())
            print(f"{strategy}, {knowledge}: {words}; {figures['lut']['designs']} designs")


if __name__ == "__main__":
    main()
