"""Measure the designs that the FPGA estimates are fitted on.

``python -m benchmarks.fpga_measure --out torchq/cost/fpga/measurements.csv [--resume] [--limit 10]``

Each design is written as Verilog, compared with numpy in Icarus Verilog, and synthesised with yosys. It needs
yosys, iverilog and, for distributed arithmetic, alkaid; all of it takes about an hour on one core. The
designs come from fixed seeds, so that a second run gives the same table.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import resource
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.fpga import folded, latency, requantize, table
from benchmarks.fpga.designs import Codes, Design, designs
from benchmarks.fpga.simulate import Lane, simulate
from benchmarks.fpga.simulate import version as iverilog_version
from hls_export.rtl import yosys
from hls_export.rtl.alkaid import write_dense
from torchq.formats import FixedPoint

VECTORS = 24
_EMITTERS = {"latency": latency.emit, "resource": folded.emit, "requantize": requantize.emit}


def expected(design: Design, samples: Codes) -> Codes:
    """What numpy makes of the samples."""
    if design.strategy == "requantize":
        return requantize.expected(design, samples)
    bias = design.biases()
    found = samples @ design.weights()
    return found if bias is None else found + bias


def measure(design: Design, folder: Path) -> dict[str, Any]:
    """One row of the table.

    Raises:
        BackendError: a tool is missing or fails.
        RuntimeError: the Verilog does not compute what numpy does.
    """
    cost: float | str = ""
    registers: int | str = ""
    if design.strategy == "distributed_arithmetic":
        width, signed = design.input_bits, design.input_signed
        made = write_dense(
            design.weights(),
            FixedPoint(width, width, signed),
            folder,
            bias=design.biases(),
            top="dense",
            latency_cutoff=design.stage,
        )
        files: Sequence[Path] = made.files
        top, inputs, outputs = made.top, _lanes(made.inputs), _lanes(made.outputs)
        cost, registers = made.cost, made.register_bits
        resources = yosys.synthesise(files, top)
    else:
        module = _EMITTERS[design.strategy](design)
        top = module.name
        outputs = [(sign, width, 0) for sign, width in module.outputs]
        inputs = [(design.input_signed or design.strategy == "requantize", design.input_bits, 0)]
        inputs = inputs * design.n_in
        files = [folder / "design.v"]
        files[0].write_text(module.text)
        wide = max(design.weight_bits, design.input_bits) >= design.dsp_from_bits
        dsp = wide and design.strategy != "requantize"
        resources = yosys.synthesise(files, top, dsp=dsp, one_chain_each=True)
    samples = design.samples(VECTORS)
    simulated = simulate(
        files,
        top,
        samples,
        expected(design, samples),
        inputs,
        outputs,
        folder,
        interval=design.reuse,
        start=design.strategy != "distributed_arithmetic",
    )
    if simulated.mismatches:
        raise RuntimeError(f"{design.name}: {simulated.mismatches} of {simulated.vectors} samples differ")
    facts = {name: getattr(design, name) for name in table.COLUMNS if hasattr(design, name)}
    counted = {name: getattr(resources, name) for name in table.COLUMNS if hasattr(resources, name)}
    return {
        **{name: int(value) if isinstance(value, bool) else value for name, value in facts.items()},
        **counted,
        "design": design.name,
        "digest": design.digest(),
        "output_bits": sum(lane[1] for lane in outputs),
        "latency": simulated.latency,
        "interval": design.reuse,
        "alkaid_cost": cost,
        "register_bits": registers,
        "vectors": simulated.vectors,
        "mismatches": simulated.mismatches,
        "yosys": resources.version,
        "iverilog": iverilog_version(),
        "alkaid": importlib.metadata.version("alkaid") if cost != "" else "",
    }


def _lanes(lanes: Sequence[Lane]) -> list[Lane]:
    return [(sign, width, shift) for sign, width, shift in lanes]


def _cpu_s() -> float:
    own, children = (resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the designs that the FPGA estimates are fitted on.")
    parser.add_argument("--out", type=Path, required=True, help="the table, a CSV file")
    parser.add_argument("--resume", action="store_true", help="keep the rows that are there")
    parser.add_argument("--limit", type=int, help="measure no more than so many designs")
    parser.add_argument("--only", help="only designs of this strategy")
    chosen = parser.parse_args()
    rows: list[dict[str, Any]] = list(table.read(chosen.out)) if chosen.resume else []
    known = {row["design"] for row in rows}
    waiting = [d for d in designs() if d.name not in known and chosen.only in (None, d.strategy)]
    for design in waiting[: chosen.limit]:
        before = _cpu_s()
        with tempfile.TemporaryDirectory(prefix="fpga-") as folder:
            rows.append(measure(design, Path(folder)))
        table.write(chosen.out, rows)
        row = rows[-1]
        print(
            f"{design.name}: {row['lut']} LUT, {row['ff']} FF, {row['dsp']} DSP, {row['bram18']} BRAM18, "
            f"{row['latency']} cycles; {_cpu_s() - before:.1f} CPU s",
            flush=True,
        )


if __name__ == "__main__":
    main()
