"""Activations: each number is rounded half to even, saturated and registered."""

from __future__ import annotations

import numpy as np

from benchmarks.fpga.designs import Codes, Design
from benchmarks.fpga.latency import Module


def ends(design: Design) -> tuple[int, int]:
    """The smallest and the largest output code."""
    magnitude = design.weight_bits - int(design.input_signed)
    return -(2**magnitude) * int(design.input_signed), 2**magnitude - 1


def expected(design: Design, samples: Codes) -> Codes:
    """What the activation makes of the samples."""
    low, high = ends(design)
    return np.clip(np.rint(samples / 2.0**design.drop), low, high).astype(np.int64)


def emit(design: Design) -> Module:
    """Write ``n_in`` activations beside each other."""
    width, out, drop = design.input_bits, design.weight_bits, design.drop
    low, high = ends(design)
    kept = width - drop
    lines = []
    for i in range(design.n_in):
        x = f"x[{(i + 1) * width - 1}:{i * width}]"
        lines.append(f"  wire signed [{width - 1}:0] a{i} = {x};")
        if drop:
            sticky = f"(|a{i}[{drop - 2}:0] | a{i}[{drop}])" if drop > 1 else f"a{i}[{drop}]"
            lines.append(f"  wire up{i} = a{i}[{drop - 1}] & {sticky};")
            rounded = f"(a{i} >>> {drop}) + $signed({{1'b0, up{i}}})"
        else:
            rounded = f"a{i}"
        lines.append(f"  wire signed [{kept}:0] b{i} = {rounded};")
        lines.append(f"  reg [{out - 1}:0] c{i};")
        bits = f"b{i}[{min(out - 1, kept)}:0]"
        if design.input_signed and out > kept + 1:
            bits = f"{{{{{out - kept - 1}{{b{i}[{kept}]}}}}, {bits}}}"
        lines.append(
            f"  always @* c{i} = b{i} > {high} ? {out}'d{high} : "
            f"b{i} < {_signed(low)} ? {out}'d{low % 2**out} : {bits};"
        )
    total = design.n_in * out
    names = ", ".join(f"c{i}" for i in reversed(range(design.n_in)))
    text = [
        f"module {design.name}(input clk, input start, input [{design.n_in * width - 1}:0] model_inp,",
        f"  output reg [{total - 1}:0] model_out);",
        f"  reg [{design.n_in * width - 1}:0] x;",
        *lines,
        "  always @(posedge clk) begin",
        "    x <= model_inp;",
        f"    model_out <= {{{names}}};",
        "  end",
        "endmodule",
        "",
    ]
    return Module(design.name, "\n".join(text), ((design.input_signed, out),) * design.n_in)


def _signed(value: int) -> str:
    return f"(-{-value})" if value < 0 else str(value)
