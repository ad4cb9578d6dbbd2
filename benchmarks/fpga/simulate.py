"""Icarus Verilog: does the design compute the very numbers, and how many cycles later?"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.fpga.designs import Codes
from torchq.errors import BackendError

Lane = tuple[bool, int, int]
"""Signedness, width and shift of one number in a packed port; the first stands in the lowest bits."""


@dataclass(frozen=True)
class Simulated:
    """What a simulation showed.

    Args:
        vectors: how many samples were compared.
        mismatches: how many of them were not the expected numbers, at the best offset.
        latency: clock edges between the one that takes a sample and the one that makes its output.
    """

    vectors: int
    mismatches: int
    latency: int


def version() -> str:
    """Of the Icarus Verilog on the PATH."""
    done = subprocess.run(["iverilog", "-V"], capture_output=True, text=True, check=False)  # noqa: S607
    return done.stdout.split()[3]


def simulate(
    files: Sequence[Path],
    top: str,
    samples: Codes,
    expected: Codes,
    inputs: Sequence[Lane],
    outputs: Sequence[Lane],
    folder: Path,
    *,
    interval: int = 1,
    start: bool = True,
    longest: int = 256,
) -> Simulated:
    """Feed samples one after the other, as fast as the design takes them, and look where the results stand.

    Args:
        files: the design.
        top: its module, with the ports ``clk, model_inp, model_out`` and perhaps ``start``.
        samples: input codes, ``[vectors, inputs]``.
        expected: output codes, ``[vectors, outputs]``.
        inputs: how the inputs stand in ``model_inp``.
        outputs: how the outputs stand in ``model_out``.
        folder: for the test bench.
        interval: cycles from one sample to the next.
        start: whether there is such a port.
        longest: the largest latency to look for.

    Raises:
        BackendError: Icarus is missing or fails.
    """
    for tool in ("iverilog", "vvp"):
        if shutil.which(tool) is None:
            raise BackendError(f"{tool} is not on the PATH", hint="install iverilog")
    bench = folder / "bench.v"
    bench.write_text(_bench(top, samples, inputs, outputs, interval, start, longest))
    program = folder / "bench.vvp"
    _run(["iverilog", "-g2005-sv", "-s", "bench", "-o", str(program), str(bench), *map(str, files)])
    words = _run(["vvp", "-n", str(program)]).split()
    best = Simulated(len(samples), len(samples), -1)
    for latency in range(longest):
        wrong = sum(not _equal(words[i * interval + latency], row, outputs) for i, row in enumerate(expected))
        if wrong < best.mismatches:
            best = Simulated(len(samples), wrong, latency)
        if not wrong:
            break
    return best


def _bench(
    top: str,
    samples: Codes,
    inputs: Sequence[Lane],
    outputs: Sequence[Lane],
    interval: int,
    start: bool,
    longest: int,
) -> str:
    width_in, width_out = (max(sum(lane[1] for lane in lanes), 1) for lanes in (inputs, outputs))
    lines = [
        "module bench;",
        f"  reg clk = 0; reg start = 0; reg [{width_in - 1}:0] x; wire [{width_out - 1}:0] y;",
        f"  {top} dut(.clk(clk), {'.start(start), ' if start else ''}.model_inp(x), .model_out(y));",
        '  task tick; begin #1 clk = 1; #1 $display("%h", y); clk = 0; end endtask',
        "  initial begin",
    ]
    for row in samples:
        lines.append(f"    start = 1; x = {width_in}'h{_packed(row, inputs):x}; tick;")
        if interval > 1:
            lines.append(f"    start = 0; x = 0; repeat ({interval - 1}) tick;")
    lines += [f"    start = 0; repeat ({longest}) tick;", "    $finish;", "  end", "endmodule", ""]
    return "\n".join(lines)


def _packed(row: Codes, lanes: Sequence[Lane]) -> int:
    word, at = 0, 0
    for code, (_, width, shift) in zip(row, lanes, strict=True):
        word |= ((int(code) >> shift) & (2**width - 1)) << at
        at += width
    return word


def _equal(text: str, row: Codes, lanes: Sequence[Lane]) -> bool:
    try:
        word = int(text, 16)
    except ValueError:  # x or z: not there yet
        return False
    found = []
    for signed, width, shift in lanes:
        code = word & (2**width - 1)
        word >>= width
        if signed and width and code >> (width - 1):
            code -= 2**width
        found.append(code * 2**shift)
    return bool(np.array_equal(found, row))


def _run(words: list[str]) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=1800)
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise BackendError(f"{words[0]} failed: {lines[0] if lines else 'no message'}")
    return done.stdout
