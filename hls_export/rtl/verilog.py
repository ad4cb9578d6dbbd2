"""The module at the top: a registered input, the layers, delay lines beside them, the output."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from hls_export.rtl.alkaid import Lane
from hls_export.rtl.lowering import INPUT, Design, Layer
from hls_export.rtl.wires import Piece, Ref, concatenation, pieces

HEAD = "`timescale 1 ns / 1 ps\n`default_nettype none\n\n"
TAIL = "\n`default_nettype wire\n"


def top_module(design: Design) -> str:
    """Its Verilog."""
    delays = _Delays()
    delays.bits[INPUT] = design.input.bits
    lines = [_header(design)]
    for layer in design.layers:
        lines.append(_instance(layer, delays))
    ends = _assembled(design.result, [design.output.lane] * len(design.result), design.latency, delays)
    if not design.output.width * len(design.result):
        ends = "1'b0"
    body = "\n".join(lines)
    return f"{HEAD}{body}\n{delays.text()}    assign y = {ends};\nendmodule\n{TAIL}"


def layer_file(layer: Layer, written: Collection[str] = ()) -> str:
    """The Verilog of one layer: its module, the stages of its pipeline, its tables.

    Args:
        layer: with logic.
        written: modules that stand in other files already: layers may share tables.
    """
    assert layer.block is not None, "constant layers have no file"  # noqa: S101
    title = ", ".join(f"{node.name} ({node.kind})" for node in layer.nodes)
    own = layer.block.name
    order = sorted(layer.block.modules, key=lambda name: (name != own, name))
    modules = "\n".join(layer.block.modules[name] for name in order if name not in written)
    return f"// {_comment(title)}\n`timescale 1 ns / 1 ps\n\n{modules}"


class _Delays:
    """Registers that hold a wire until the other numbers of a sum are there."""

    def __init__(self) -> None:
        self.longest: dict[str, int] = {}
        self.bits: dict[str, int] = {}

    def later(self, ref: Ref, time: int) -> Ref:
        wait = time - ref.time
        if wait <= 0:
            return ref
        self.longest[ref.wire] = max(self.longest.get(ref.wire, 0), wait)
        return ref._replace(wire=f"{ref.wire}_d{wait}")

    def text(self) -> str:
        lines = []
        for wire, most in self.longest.items():
            width = f"[{self.bits[wire] - 1}:0]"
            names = [f"{wire}_d{i}" for i in range(1, most + 1)]
            lines.append(f"    reg {width} {', '.join(names)};")
            lines.append("    always @(posedge clk) begin")
            lines += [f"        {a} <= {b};" for a, b in zip(names, [wire, *names[:-1]], strict=True)]
            lines.append("    end\n")
        return "\n".join(lines) + ("\n" if lines else "")


def _header(design: Design) -> str:
    size, out = design.input.bits, design.output.bits
    return (
        f"module {design.top} (\n"
        f"    input wire clk,\n"
        f"    input wire [{size - 1}:0] x,\n"
        f"    output wire [{out - 1}:0] y\n"
        f");\n"
        f"    reg [{size - 1}:0] {INPUT};\n"
        f"    always @(posedge clk) {INPUT} <= x;\n"
    )


def _instance(layer: Layer, delays: _Delays) -> str:
    title = _comment(", ".join(f"{node.name} ({node.kind})" for node in layer.nodes))
    block = layer.block
    if block is None:
        return f"    // {title}: constant\n"
    out_bits = sum(lane.width for lane in block.outputs)
    in_bits = sum(lane.width for lane in block.inputs)
    delays.bits[f"{layer.name}_out"] = out_bits
    out = f"{layer.name}_out"
    ports = [".clk(clk)"]
    lines = [f"    // {title}: {block.stages} stage{'' if block.stages == 1 else 's'}"]
    if in_bits:
        packed = _assembled(layer.sources, block.inputs, layer.start, delays)
        lines.append(f"    wire [{in_bits - 1}:0] {layer.name}_inp = {packed};")
        ports.append(f".model_inp({layer.name}_inp)")
    lines.append(f"    wire [{out_bits - 1}:0] {out};")
    ports.append(f".model_out({out})")
    lines.append(f"    {block.name} u_{layer.name} ({', '.join(ports)});\n")
    return "\n".join(lines)


def _assembled(sources: Sequence[Ref | float], lanes: Sequence[Lane], time: int, delays: _Delays) -> str:
    parts: list[Piece] = []
    for source, lane in zip(sources, lanes, strict=True):
        if lane.width:
            parts += pieces(delays.later(source, time) if isinstance(source, Ref) else source, lane)
    return concatenation(parts, " " * 8)


def _comment(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)
