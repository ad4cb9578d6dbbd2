"""The vendors' tools that hls4ml writes for: what differs between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hls_export.backends.base import DEFAULT_PART, IO_TYPES


@dataclass(frozen=True)
class Tool:
    """One vendor's tool.

    Args:
        key: its name here.
        name: its name in hls4ml.
        strategies: how it builds matrix products.
        part: the FPGA that is taken where none is said.
        include: folders of the project with the headers that its C++ needs; None where hls4ml ships none.
        missing: what would be needed to compile, where hls4ml ships no headers.
        arguments: how many arguments the top function of the simulation has.
        config: what hls4ml's settings need beside the usual.
        traces: the io types in which the simulation can show what each layer makes.
        depthwise: whether it builds depthwise convolutions; else they are written out with zeros.
        io_types: of :data:`hls_export.backends.base.IO_TYPES`.
        stream_moves: whether axes can change their order in io_stream.
        lacks: kinds of nodes of which hls4ml makes no C++ that compiles.
        wrong_streams: kinds of nodes that hls4ml builds wrongly in io_stream, or that do not compile there.
        by_element: whether an activation may have a format that differs by element.
        least_bits: of a type; hls4ml writes a smaller one with as many, and so it rounds to other values.
        small_factors: whether convolutions of strategy resource in io_parallel are right only where the reuse
            factor is no larger than the inputs of one output.
    """

    key: str
    name: str
    strategies: tuple[str, ...]
    part: str = DEFAULT_PART
    include: tuple[str, ...] | None = None
    missing: str = ""
    arguments: int = 2
    config: Mapping[str, Any] = field(default_factory=dict)
    traces: tuple[str, ...] = IO_TYPES
    depthwise: bool = True
    io_types: tuple[str, ...] = IO_TYPES
    stream_moves: bool = False
    lacks: frozenset[str] = frozenset()
    wrong_streams: frozenset[str] = frozenset()
    by_element: bool = False
    least_bits: int = 1
    small_factors: bool = False

    def csim(self) -> dict[str, Any]:
        """What the simulation of a project must know; JSON-able."""
        include = None if self.include is None else list(self.include)
        return {"include": include, "missing": self.missing, "arguments": self.arguments}


_XILINX = ("latency", "resource", "resource_unrolled", "distributed_arithmetic")
_AC = tuple(f"firmware/{folder}/include" for folder in ("ac_types", "ac_math", "ac_simutils"))

TOOLS = (
    Tool(
        "vitis",
        "Vitis",
        _XILINX,
        include=("firmware/ap_types",),
        stream_moves=True,
        by_element=True,
        small_factors=True,
    ),
    Tool(
        "vivado",
        "Vivado",
        _XILINX,
        include=("firmware/ap_types",),
        stream_moves=True,
        by_element=True,
        small_factors=True,
    ),
    Tool(
        "quartus",
        "Quartus",
        ("resource",),
        part="Arria10",
        include=("firmware/ac_types",),
        arguments=4,
        traces=("io_parallel",),
        depthwise=False,
        wrong_streams=frozenset({"embedding"}),
        least_bits=2,
    ),
    Tool(
        "oneapi",
        "oneAPI",
        ("resource",),
        part="Agilex7",
        missing="icpx of Intel's oneAPI",
        depthwise=False,
        least_bits=2,
    ),
    Tool(
        "catapult",
        "Catapult",
        ("latency", "resource"),
        part="xcku115-flvb2104-2-i",
        include=(*_AC, "firmware/nnet_utils"),
        depthwise=False,
        least_bits=2,
        lacks=frozenset({"embedding"}),
        wrong_streams=frozenset({"concat"}),
    ),
    Tool(
        "libero",
        "Libero",
        ("latency", "resource"),
        part="MPF300",
        missing="the headers of Microchip's SmartHLS",
        config={"smarthls_path": "SmartHLS"},
        io_types=("io_parallel",),
    ),
)
"""In the order of the registry."""
