"""What the FPGA engineer gets beside an HLS project: vectors, expected outputs, a test bench and a README."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hls_export.backends.synthesis import write_test_vectors
from hls_export.emulate import emulate
from hls_export.handover import FILE as INTERFACE
from hls_export.handover import interface
from hls_export.hardware import HardwareGraph
from hls_export.vectors import adversarial

Array = npt.NDArray[np.float64]

VECTORS = 64
"""Samples of the test bench."""
BENCH, README = "tb/testbench.cpp", "README.md"


def write_bench(work: Path, graph: HardwareGraph, facts: Mapping[str, Any]) -> None:
    """Write vectors, expected outputs, the test bench and the README into a project.

    The vectors are adversarial ones that a C++ ``float`` holds, because the vendor's own test bench reads
    such; the expected outputs are those of the integer emulator.

    Args:
        work: the project's folder.
        graph: the model.
        facts: the marker's.
    """
    x = adversarial(graph, VECTORS).astype(np.float32).astype(np.float64)
    y = emulate(graph, x).reshape(len(x), *graph.output_shape)
    write_test_vectors(work, _in_order(x, facts["input"]["axes"]), _in_order(y, facts["output"]["axes"]))
    if facts["csim"]["include"] is not None:
        (work / BENCH).parent.mkdir(exist_ok=True)
        (work / BENCH).write_text(testbench(facts), encoding="utf-8")
    (work / README).write_text(readme(graph, facts), encoding="utf-8")


def _in_order(values: Array, axes: Sequence[int]) -> Array:
    return np.ascontiguousarray(values.transpose(0, *(axis + 1 for axis in axes)))


def _build(facts: Mapping[str, Any]) -> str:
    include = " ".join(f"-I{folder}" for folder in (".", *facts["csim"]["include"]))
    return f"g++ -std=c++17 -O1 -w {include} -o tb/bench {BENCH} && ./tb/bench"


def testbench(facts: Mapping[str, Any]) -> str:
    """A C++ bench that runs the project's code on its vectors, compares, and ends with PASS or FAIL."""
    top, unused = facts["settings"]["top"], facts["csim"]["arguments"] - 2
    inputs, outputs = (int(np.prod(facts[end]["shape"], initial=1)) for end in ("input", "output"))
    declared = "".join(f"    unsigned short size{i} = 0;\n" for i in range(unused))
    given = "".join(f", size{i}" for i in range(unused))
    return f"""// Runs the C++ that is synthesised on tb_data/tb_input_features.dat and compares every value
// with tb_data/tb_output_predictions.dat; ends with PASS and 0, or FAIL and 1. In the project's folder:
// {_build(facts)}
#ifndef WEIGHTS_DIR
#define WEIGHTS_DIR "firmware/weights"
#endif
#include "firmware/{top}.cpp"
#include "{top}_bridge.cpp"

#include <cstdio>
#include <fstream>

int main() {{
    const int INPUTS = {inputs}, OUTPUTS = {outputs}, VECTORS = {VECTORS};
    std::ifstream samples("tb_data/tb_input_features.dat"), expected("tb_data/tb_output_predictions.dat");
    static double x[{inputs}], y[{outputs}];
    int wrong = 0, first_sample = -1, first_output = -1;
    double got = 0, wanted = 0;
{declared}    for (int sample = 0; sample < VECTORS; sample++) {{
        for (int i = 0; i < INPUTS; i++)
            samples >> x[i];
        {top}_double(x, y{given});
        for (int i = 0; i < OUTPUTS; i++) {{
            double value = 0;
            expected >> value;
            if (y[i] != value && wrong++ == 0) {{
                first_sample = sample, first_output = i;
                got = y[i], wanted = value;
            }}
        }}
    }}
    if (!samples || !expected) {{
        std::printf("FAIL: the vectors in tb_data cannot be read; run this in the project's folder\\n");
        return 1;
    }}
    if (wrong) {{
        std::printf("FAIL: %d of %d values differ, first sample %d, output %d: %.17g against %.17g\\n", wrong,
                    VECTORS * OUTPUTS, first_sample, first_output, got, wanted);
        return 1;
    }}
    std::printf("PASS: %d samples, 0 mismatches\\n", VECTORS);
    return 0;
}}
"""


_README = """# {model}: {top}

HLS C++ of a quantized network, bit for bit, written by {tools} for {backend}.

| | |
|---|---|
| top function | `{top}` in `firmware/{top}.cpp` |
| part, clock | {part}, {clock_ns:g} ns asked for |
| interface | {io_type} |
| strategy, reuse factor | {strategy}, {reuse_factor} |
| network | SHA-256 `{digest}` |

## Ports

| port | name | shape | order | format |
|---|---|---|---|---|
{ports}

All of it, with the names of features and classes and the standardisation of the inputs
(`(value - mean) / scale`) where the model's file has them, stands in `{interface}`. Who drives the input
rounds and limits to its format first, as the test benches do when they convert to the type of the port.

## Check it

`tb_data/tb_input_features.dat` holds {vectors} samples (ties, edges, values beyond the range), one a line, in
the order of the port; `tb_data/tb_output_predictions.dat` the outputs that are expected, to the last bit.

{check}

## Synthesise it

{synthesise}

## Files

| file | |
|---|---|
| `firmware/{top}.cpp` | the design |
| `firmware/parameters.h`, `firmware/defines.h` | the settings of its layers, its types |
| `firmware/weights/` | weights: `.h` for synthesis, `.txt` for simulation, the same values |
| `{top}_test.cpp` | hls4ml's test bench, for the vendor's tool; reads `tb_data/`, writes results there |
| `{interface}` | input and output: order, formats, names, standardisation |
| `hls_export.json` | what this folder was made of; `hls-export verify MODEL.onnx --project .` compares it |

Same model, same settings, same versions: same bytes.
"""

_SYNTHESIS = {
    "vitis": "`vitis-run --mode hls --tcl build_prj.tcl` (or `vitis_hls -f build_prj.tcl`); the steps stand "
    "in `build_opt.tcl`.",
    "vivado": '`vivado_hls -f build_prj.tcl "csim=0 synth=1 cosim=0 vsynth=0"`.',
    "quartus": "`make {top}-fpga` with Intel's HLS compiler, then `./{top}-fpga`.",
    "oneapi": "`cmake -B build && cmake --build build --target report` with Intel's oneAPI.",
    "catapult": "`catapult -shell -file build_prj.tcl`.",
    "libero": "with Microchip's SmartHLS, by the scripts that stand here.",
}


def readme(graph: HardwareGraph, facts: Mapping[str, Any]) -> str:
    """The README of a project."""
    settings, backend = facts["settings"], facts["backend"]
    axes = {end: facts[end]["axes"] for end in ("input", "output")}
    if facts["csim"]["include"] is not None:
        check = (
            f"    {_build(facts)}\n\ncompiles and runs the C++ of this folder, and prints `PASS` or `FAIL`."
        )
    else:
        check = (
            f"Compiling it needs {facts['csim']['missing']}; `{settings['top']}_test.cpp` reads these files."
        )
    return _README.format(
        model=graph.name,
        tools=", ".join(f"{name} {version}" for name, version in facts["tools"].items()),
        backend=backend,
        digest=facts["model"]["digest"],
        ports="\n".join(_ports(interface(graph, axes))),
        interface=INTERFACE,
        vectors=VECTORS,
        check=check,
        synthesise=_SYNTHESIS[backend].format(top=settings["top"]),
        **{
            name: settings[name]
            for name in ("top", "part", "clock_ns", "io_type", "strategy", "reuse_factor")
        },
    )


def _ports(ends: Mapping[str, Any]) -> Iterator[str]:
    for end in ("input", "output"):
        port = ends[end]
        shape = "x".join(map(str, port["shape"])) or "1"
        order = f"axes {port['axes']} of the shape" if "axes" in port else "row-major"
        grid = port["format"]
        text = f"`{grid['type']}`" if grid else "differs by element"
        yield f"| {end} | `{port['name']}` | {shape} | {order} | {text} |"
