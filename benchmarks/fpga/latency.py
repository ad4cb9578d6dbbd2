"""Fully unrolled layers as HLS builds them: a multiplication by a constant for each weight, then adder trees.

Nothing but products of one input with one odd constant is shared between outputs. Narrow multiplications are
shifts and adds; wide ones by constants with at least three digits are multipliers for DSPs.
"""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.fpga.designs import Codes, Design
from benchmarks.fpga.verilog import Signal, Term, Writer, signed_digits

DSP_FROM_DIGITS = 3
"""A constant with fewer digits is at most one adder; no tool spends a DSP on it."""


@dataclass(frozen=True)
class Module:
    """Verilog of one module ``name(clk, start, model_inp, model_out)`` and how to read its ports.

    Args:
        name: of the module.
        text: the Verilog.
        outputs: signedness and width of each output; the first stands in the lowest bits.
    """

    name: str
    text: str
    outputs: tuple[tuple[bool, int], ...]


def emit(design: Design) -> Module:
    """Write the layer."""
    weights, biases = design.weights(), design.biases()
    writer = Writer(int(design.stage))
    lanes = inputs(writer, design.n_in, design.input_bits, design.input_signed)
    products: dict[tuple[int, int], Term] = {}
    totals = []
    for j in range(design.n_out):
        bias = 0 if biases is None else int(biases[j])
        terms = [
            _product(writer, products, lanes, weights, design, i, j)
            for i in range(design.n_in)
            if weights[i, j]
        ]
        totals.append(_with_bias(writer, terms, bias))
    return finish(writer, design, totals)


def inputs(writer: Writer, count: int, width: int, signed: bool) -> list[Signal]:
    """Input numbers, taken out of the input register."""
    magnitude = width - int(signed)
    low, high = -(2**magnitude) * int(signed), 2**magnitude - 1
    lanes = []
    for i in range(count):
        lanes.append(writer.wire(low, high, f"x[{(i + 1) * width - 1}:{i * width}]", 0, 0))
    return lanes


def finish(writer: Writer, design: Design, totals: list[Signal | None]) -> Module:
    """Bring all outputs to one stage, register them, and close the module."""
    present = [t for t in totals if t is not None]
    last = max((t.stage for t in present), default=0)
    aligned = [None if t is None else writer.at(t, last) for t in totals]
    outputs = tuple((t.signed, t.width) if t is not None else (False, 1) for t in aligned)
    names = [t.name if t is not None else "1'b0" for t in aligned]
    name = f"{design.strategy}_{design.index}"
    width_in, width_out = design.n_in * design.input_bits, sum(width for _, width in outputs)
    text = "\n".join(
        [
            f"module {name}(input clk, input start, input [{width_in - 1}:0] model_inp,",
            f"  output reg [{width_out - 1}:0] model_out);",
            f"  reg [{width_in - 1}:0] x;",
            *writer.wires,
            "  always @(posedge clk) begin",
            "    x <= model_inp;",
            *writer.clocked,
            f"    model_out <= {{{', '.join(reversed(names))}}};",
            "  end",
            "endmodule",
            "",
        ]
    )
    return Module(name, text, outputs)


def _product(
    writer: Writer,
    products: dict[tuple[int, int], Term],
    lanes: list[Signal],
    weights: Codes,
    design: Design,
    i: int,
    j: int,
) -> Term:
    """One input times one weight; the odd part of the weight is multiplied once for each input."""
    value = int(weights[i, j])
    twos = (value & -value).bit_length() - 1
    odd = abs(value) >> twos
    if (i, odd) not in products:
        products[i, odd] = _times(writer, lanes[i], odd, design)
    term = products[i, odd]
    return Term(term.signal, term.shift + twos, term.negative != (value < 0))


def _times(writer: Writer, x: Signal, odd: int, design: Design) -> Term:
    parts = signed_digits(odd)
    wide = max(design.weight_bits, design.input_bits) >= design.dsp_from_bits
    if wide and len(parts) >= DSP_FROM_DIGITS:
        constant = f"$signed({odd.bit_length() + 1}'d{odd})"
        low, high = min(x.low * odd, 0), x.high * odd
        return Term(writer.register(low, high, f"{x.operand} * {constant}", x.stage + 1))
    return writer.total([Term(x, shift, negative) for shift, negative in parts])


def _with_bias(writer: Writer, terms: list[Term], bias: int) -> Signal | None:
    """The sum with its constant; None where it is always zero."""
    if not terms:
        return None if not bias else writer.wire(bias, bias, _literal(bias), 0, 0)
    total = writer.total(terms)
    x = total.signal
    if bias or total.negative:
        if x.level >= writer.levels:
            x = writer.delayed(x)
        low, high = x.low << total.shift, x.high << total.shift
        low, high = (-high, -low) if total.negative else (low, high)
        sign = "-" if total.negative else "+"
        shifted = f"({x.operand} <<< {total.shift})"
        expression = f"{_literal(bias)} {sign} {shifted}"
        return writer.wire(low + bias, high + bias, expression, x.stage, x.level + 1)
    if not total.shift:
        return x
    return writer.wire(
        x.low << total.shift, x.high << total.shift, f"{x.operand} <<< {total.shift}", x.stage, x.level
    )


def _literal(value: int) -> str:
    bits = max(value.bit_length(), 1) + 1
    return f"-{bits}'sd{-value}" if value < 0 else f"{bits}'sd{value}"
