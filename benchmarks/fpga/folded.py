"""Layers that use each multiplier several times: a matrix-vector unit with weights in ROM and accumulators.

The reuse factor R is split into steps over the inputs and steps over groups of outputs. A step multiplies a
slice of the inputs with a slice of the weights, adds the products of each output, and accumulates. A new
sample is taken every R cycles.
"""

from __future__ import annotations

import math

import numpy as np

from benchmarks.fpga.designs import Codes, Design
from benchmarks.fpga.latency import Module
from benchmarks.fpga.verilog import Signal, Term, Writer


def emit(design: Design) -> Module:
    """Write the layer; a start pulse comes with each sample."""
    steps_in = math.gcd(design.reuse, design.n_in)
    groups = design.reuse // steps_in
    lanes, outs = design.n_in // steps_in, design.n_out // groups
    weights = design.weights()
    writer = Writer(int(design.stage))
    chunk, word = lanes * design.input_bits, lanes * outs * design.weight_bits
    name, width_in = f"{design.strategy}_{design.index}", design.n_in * design.input_bits
    xs = _lanes(writer, "xs", lanes, design.input_bits, design.input_signed)
    ws = _lanes(writer, "ws", lanes * outs, design.weight_bits, signed=True)
    sums = [_step(writer, xs, ws[j * lanes : (j + 1) * lanes]) for j in range(outs)]
    last = max(s.stage for s in sums)
    sums = [writer.at(s, last) for s in sums]
    ranges = _ranges(design)
    low, high = min(r[0] for r in ranges), max(r[1] for r in ranges)
    total = Signal("acc", min(low, -1), high)
    bits = max(math.ceil(math.log2(design.reuse)), 1)
    text = [
        f"module {name}(input clk, input start, input [{width_in - 1}:0] model_inp,",
        f"  output reg [{design.n_out * total.width - 1}:0] model_out);",
        f"  reg [{width_in - 1}:0] x;",
        f"  reg [{bits - 1}:0] count = 0;",
        f"  reg [{chunk - 1}:0] xs;",
        f"  reg [{word - 1}:0] ws;",
        *writer.wires,
    ]
    clocked = [
        "    count <= start ? 0 : count + 1'b1;",
        f"    x <= start ? model_inp : {_rotated(width_in, chunk)};",
        f"    xs <= x[{chunk - 1}:0];",
        *writer.clocked,
    ]
    text += _control(clocked, bits, last + 1)
    step = f"count_{last + 1}"
    for j, s in enumerate(sums):
        acc = f"acc{j}"
        text.append(f"  reg signed [{total.width - 1}:0] {acc};")
        text.append(f"  wire signed [{total.width - 1}:0] next{j} = from{j} + {s.operand};")
        clocked.append(f"    {acc} <= next{j};")
        for g in range(groups):
            at = (g * outs + j) * total.width
            clocked.append(
                f"    if ({step} == {g * steps_in + steps_in - 1}) "
                f"model_out[{at + total.width - 1}:{at}] <= next{j};"
            )
        text.append(_first(design, j, step, steps_in, groups, outs, total.width))
    text.append("  always @(posedge clk) case (count)")
    for t in range(design.reuse):
        text.append(f"    {t}: ws <= {word}'h{_word(design, weights, t, steps_in, lanes, outs):x};")
    text += [f"    default: ws <= {word}'h0;", "  endcase"]
    text += ["  always @(posedge clk) begin", *clocked, "  end", "endmodule", ""]
    return Module(name, "\n".join(text), ((True, total.width),) * design.n_out)


def _lanes(writer: Writer, name: str, count: int, width: int, signed: bool) -> list[Signal]:
    magnitude = width - int(signed)
    low, high = -(2**magnitude) * int(signed), 2**magnitude - 1
    return [writer.wire(low, high, f"{name}[{(i + 1) * width - 1}:{i * width}]", 0, 0) for i in range(count)]


def _step(writer: Writer, xs: list[Signal], ws: list[Signal]) -> Signal:
    """The registered products of one output in one step, summed."""
    terms = []
    for x, w in zip(xs, ws, strict=True):
        ends = [a * b for a in (x.low, x.high) for b in (w.low, w.high)]
        terms.append(Term(writer.register(min(ends), max(ends), f"{x.operand} * {w.operand}", 1)))
    found = writer.total(terms).signal
    return writer.delayed(found) if found.level >= writer.levels else found


def _ranges(design: Design) -> list[tuple[int, int]]:
    """The range of every accumulator on its way."""
    magnitude = design.input_bits - int(design.input_signed)
    top = max(2**magnitude - 1, 2**magnitude if design.input_signed else 0)
    biases = design.biases()
    found = []
    for j, column in enumerate(design.weights().T):
        most = int(np.abs(column).sum()) * top
        bias = 0 if biases is None else int(biases[j])
        found.append((-most - abs(bias), most + abs(bias)))
    return found


def _rotated(width: int, chunk: int) -> str:
    return "x" if chunk == width else f"{{x[{chunk - 1}:0], x[{width - 1}:{chunk}]}}"


def _control(clocked: list[str], bits: int, stages: int) -> list[str]:
    """The step's number, delayed as the data are."""
    declared = []
    for stage in range(1, stages + 1):
        before = "count" if stage == 1 else f"count_{stage - 1}"
        declared.append(f"  reg [{bits - 1}:0] count_{stage} = 0;")
        clocked.append(f"    count_{stage} <= {before};")
    return declared


def _first(design: Design, j: int, step: str, steps_in: int, groups: int, outs: int, width: int) -> str:
    """The bias at the first step of a group, the accumulator at the others."""
    biases = design.biases()
    expression = f"acc{j}"
    for g in reversed(range(groups)):
        bias = 0 if biases is None else int(biases[g * outs + j])
        literal = f"-{width}'sd{-bias}" if bias < 0 else f"{width}'sd{bias}"
        expression = f"({step} == {g * steps_in}) ? {literal} : {expression}"
    return f"  wire signed [{width - 1}:0] from{j} = {expression};"


def _word(design: Design, weights: Codes, t: int, steps_in: int, lanes: int, outs: int) -> int:
    """All weights of one step, packed."""
    group, i = divmod(t, steps_in)
    word, at = 0, 0
    for j in range(outs):
        for k in range(lanes):
            code = int(weights[i * lanes + k, group * outs + j])
            word |= (code & (2**design.weight_bits - 1)) << at
            at += design.weight_bits
    return word
