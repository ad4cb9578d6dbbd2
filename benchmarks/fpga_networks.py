"""Whole networks, estimated and synthesised: ``python -m benchmarks.fpga_networks [--again] [--write PAGE]``.

The table sets today's estimates beside syntheses that are kept in ``benchmarks/fpga/networks/measured.csv``,
so it is made without any tool. ``--again`` measures anew, with alkaid, a Verilog simulator and yosys: every
network is written as Verilog, compared with its ONNX file, and counted. That takes about a quarter of an hour
on an idle core; what stands in the table is skipped if it is of the same network and tools. ``--write
docs/fpga-estimates.md`` puts the table into the page.
"""

from __future__ import annotations

import argparse
import csv
import io
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import hls_export
from benchmarks.fpga.whole import FOLDER, Whole, networks
from hls_export.rtl import installed
from hls_export.rtl.project import RtlProject
from torchq.cost import estimate
from torchq.cost.fpga.settings import Build
from torchq.files import atomic_write_text

TABLE = FOLDER / "measured.csv"
CLOCK_NS = 5.0
VECTORS, ICARUS_S = 2000, 30.0
HEADING = "## Whole networks\n"
_COLUMNS = (
    *("network", "weights", "digest", "cutoff", "vectors", "mismatches"),
    *("lut", "lut_memory", "carry", "ff", "dsp", "bram18", "depth", "latency_cycles", "adder_bits"),
    *("seconds", "alkaid", "simulator", "yosys"),
)
FIGURES = {"lut": "LUT", "ff": "FF", "dsp": "DSP", "latency_cycles": "cycles"}


def measure(whole: Whole, folder: Path) -> dict[str, Any]:
    """One row of the table.

    Raises:
        BackendError: a tool is missing or fails.
        VerifyError: the Verilog does not compute what the file says.
    """
    began = time.perf_counter()
    model = folder / "model.onnx"
    whole.write(model)
    graph = hls_export.read(model)
    cutoff = float(Build(clock_ns=CLOCK_NS).levels)
    project = hls_export.lower(graph, folder / "rtl", backend="rtl", clock_ns=CLOCK_NS, latency_cutoff=cutoff)
    assert isinstance(project, RtlProject)  # noqa: S101 - told to the type checker
    few = project.affordable(ICARUS_S)
    x = hls_export.adversarial(graph, VECTORS if few is None else min(few, VECTORS))
    hls_export.verify(None, model, project, x).raise_if_different()
    found = project.synthesize().resources
    tools = installed.tools()
    return {
        "network": whole.name,
        "weights": whole.what,
        "digest": graph.digest()[:12],
        "cutoff": cutoff,
        "vectors": len(x),
        "mismatches": 0,
        "lut": found["LUT"],
        "lut_memory": found["LUT_memory"],
        "carry": found["CARRY4"],
        "ff": found["FF"],
        "dsp": found["DSP"],
        "bram18": found["BRAM18"],
        "depth": found["depth"],
        "latency_cycles": found["latency_cycles"],
        "adder_bits": round(float(project.design["cost"]), 1),
        "seconds": round(time.perf_counter() - began),
        "alkaid": tools[installed.WRITE].rpartition(" ")[2],
        "simulator": tools[installed.SIMULATE],
        "yosys": tools[installed.COUNT].rpartition(" ")[2],
    }


def rows(path: Path = TABLE) -> list[dict[str, str]]:
    """What was measured, a row a network; none if there is no table."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def measure_all(path: Path, only: Sequence[str] = ()) -> None:
    """Measure every network that the table lacks, and write it after each."""
    tools = installed.tools()
    versions = [tools.get(step, "").rpartition(" ")[2] for step in (installed.WRITE, installed.COUNT)]
    for whole in networks():
        known: list[dict[str, Any]] = list(rows(path))
        same = [row for row in known if row["network"] == whole.name]
        if only and whole.name not in only:
            continue
        if same and [same[0]["alkaid"], same[0]["yosys"]] == versions and same[0]["digest"] == digest(whole):
            print(f"{whole.name}: measured before")
            continue
        print(f"{whole.name} ...", flush=True)
        with tempfile.TemporaryDirectory(prefix="fpga-networks-") as folder:
            row = measure(whole, Path(folder))
        made = {**{row["network"]: row for row in known}, whole.name: row}
        text = io.StringIO()
        writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(made[one.name] for one in networks() if one.name in made)
        atomic_write_text(path, text.getvalue())
        print(f"{whole.name}: {row['lut']} LUT, {row['ff']} FF, {row['seconds']} s", flush=True)


def digest(whole: Whole) -> str:
    """Of the network as it is made today."""
    with tempfile.TemporaryDirectory(prefix="fpga-networks-") as folder:
        whole.write(Path(folder) / "model.onnx")
        return hls_export.read(Path(folder) / "model.onnx").digest()[:12]


def estimated(whole: Whole, adders: str = "fitted") -> dict[str, float]:
    """What the ``fpga`` target says today, of the same ONNX file and for the same pipeline."""
    with tempfile.TemporaryDirectory(prefix="fpga-networks-") as folder:
        path = Path(folder) / "model.onnx"
        whole.write(path)
        work = hls_export.workloads_of_onnx(path)
    found = estimate(work, targets=["fpga"], clock_ns=CLOCK_NS, adders=adders).total
    return {name: float(found[name]) for name in FIGURES}


def lines(path: Path = TABLE) -> Iterator[str]:
    """The table: measured -> estimated, with the error of the estimate."""
    measured = {row["network"]: row for row in rows(path)}
    tools = sorted({f"yosys {row['yosys']}, alkaid {row['alkaid']}" for row in measured.values()})
    yield f"synthesised ({'; '.join(tools)}) -> estimated, error of the estimate"
    yield f"{'':28} {'LUT':>25} {'FF':>25} {'DSP':>9} {'cycles':>9}  weights"
    off: dict[str, list[float]] = {"LUT": [], "FF": [], "cycles": []}
    for whole in networks():
        if whole.name not in measured:
            yield f"{whole.name:28} not measured"
            continue
        row, guess = measured[whole.name], estimated(whole)
        for name in ("lut", "ff", "latency_cycles"):
            off[FIGURES[name]].append(guess[name] / float(row[name]) - 1)
        relative = [_relative(float(row[name]), guess[name]) for name in ("lut", "ff")]
        counts = [f"{row[name]} -> {guess[name]:.0f}" for name in ("dsp", "latency_cycles")]
        words = f"{whole.name:28} {relative[0]:>25} {relative[1]:>25} {counts[0]:>9} {counts[1]:>9}"
        yield f"{words}  {row['weights']}"
    if measured:
        words = ", ".join(f"{name} {_median_and_worst(errors)}" for name, errors in off.items())
        yield f"median error (worst): {words}"


def _median_and_worst(errors: Sequence[float]) -> str:
    return f"{100 * statistics.median(errors):+.1f} ({100 * max(errors, key=abs):+.1f}) %"


def _relative(real: float, guess: float) -> str:
    return f"{real:.0f} -> {guess:.0f} ({100 * (guess / real - 1):+.1f} %)"


def with_table(page: str) -> str:
    """A page with the table of today in the first block of code under its heading."""
    before, heading, rest = page.partition(HEADING)
    introduction, _, rest = rest.partition("```text\n")
    _, _, after = rest.partition("```\n")
    return "\n".join([f"{before}{heading}{introduction}```text", *lines(), f"```\n{after}"])


def main() -> None:
    parser = argparse.ArgumentParser(description="Whole networks, estimated and synthesised.")
    parser.add_argument("--again", action="store_true", help="measure what the table lacks")
    parser.add_argument("--only", action="append", default=[], help="measure this network alone")
    parser.add_argument("--write", type=Path, help="put the table into this page")
    chosen = parser.parse_args()
    if chosen.again:
        measure_all(TABLE, chosen.only)
    print("\n".join(lines()))
    if chosen.write is not None:
        atomic_write_text(chosen.write, with_table(chosen.write.read_text(encoding="utf-8")))


if __name__ == "__main__":
    main()
