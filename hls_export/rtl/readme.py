"""What the FPGA engineer reads first."""

from __future__ import annotations

from typing import Any

_TEXT = """# {model}: {top}

Verilog of a quantized network, bit for bit. One module a layer, under the layer's name.

| | |
|---|---|
| top module | `{top}` in `rtl/{top}.v` |
| clock | `clk`, rising edge; written for {clock_ns:g} ns on {part} (not measured there) |
| initiation interval | 1: a new sample may come in every cycle |
| latency | {latency} cycles, from the clock edge that takes `x` to the edge behind which `y` stands |
| reset, handshake | none: it is a pipeline without state |

## Ports

| port | bits | elements | element | order |
|---|---|---|---|---|
{ports}

An element is a two's complement (or, where it says unsigned, a plain binary) code; its value is the code
times `2**-fraction`. Element 0 stands in the lowest bits; the order of elements is row-major. Shapes, names
of features and classes, and the standardisation of the inputs stand in `interface.json`. The input is rounded
and limited to its format **before** it comes here: `{input_format}`.

## Check it

    cd tb && iverilog -g2005-sv -o bench testbench.v ../rtl/*.v && vvp bench

It drives `vectors.hex` ({vectors} samples: ties, edges and values beyond the range, quantized), compares with
`expected.hex`, measures the latency, and prints `PASS` or `FAIL`. Both files hold one port value a line, in
hexadecimal. `hls-export verify MODEL.onnx --project .` compares it with the model's file on any samples.

## Synthesise it

`vivado.tcl` synthesises the design out of context (`vivado -mode batch -source vivado.tcl`);
`hls-export MODEL.onnx --backend rtl --synthesize` counts its primitives with yosys.

## Layers

| layer | computes | stages | starts at | adder bits |
|---|---|---|---|---|
{layers}

## Licence of the files

`rtl/{top}.v`, the test bench and the scripts are generated and yours. The modules of the layers are written
by alkaid {alkaid}; `{library}` are alkaid's own files under the LGPL-3.0-or-later.
"""


def readme(facts: dict[str, Any], library: list[str]) -> str:
    """The README of a project.

    Args:
        facts: the marker's.
        library: names of alkaid's own Verilog files.
    """
    design, settings = facts["design"], facts["settings"]
    ports = "\n".join(
        f"| `{name}` | {p['bits']} | {p['elements']} | {p['element_bits']} bits, "
        f"{'signed' if p['signed'] else 'unsigned'}, {p['fraction_bits']} fraction | first lowest |"
        for name, p in design["ports"].items()
    )
    layers = "\n".join(
        f"| {layer['nodes'][0]} | {', '.join(layer['kinds'])} | {layer['stages']} | {layer['start']} "
        f"| {layer['cost']:.0f} |"
        for layer in design["layers"]
    )
    return _TEXT.format(
        model=facts["model"]["name"],
        top=settings["top"],
        clock_ns=settings["clock_ns"],
        part=settings["part"],
        latency=design["latency_cycles"],
        ports=ports,
        input_format=design["input_format"],
        vectors=design["vectors"],
        layers=layers or "| (none) | | | | |",
        alkaid=facts["tools"]["alkaid"],
        library="`, `".join(f"rtl/{name}" for name in library),
    )
