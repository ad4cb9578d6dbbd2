"""From a graph to blocks of logic with registers between them: one block a layer, under the layer's name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hls_export.emulate import emulate
from hls_export.hardware import MOVES, HardwareGraph, Input, LeakyRelu, Node, Quantize, Relu, Table
from hls_export.rtl import alkaid
from hls_export.rtl.logic import Values, array, grids, logic
from hls_export.rtl.names import verilog_names
from hls_export.rtl.quantizer import Grid
from hls_export.rtl.wires import Ref, Slots
from hls_export.vectors import adversarial
from torchq.errors import BackendError

_JOINED = (*MOVES, Quantize, Relu, LeakyRelu, Table)
"""What is computed in the block of the layer in front of it, value by value."""

_CHECKED = 64
"""Adversarial vectors on which every block is compared with the emulator before anything is written."""

INPUT = "x_q"
"""The wire of the registered input."""


@dataclass(frozen=True, eq=False)
class Layer:
    """A block in its place.

    Args:
        name: in Verilog.
        nodes: what it computes, in order; the last one is its result.
        block: its logic; None where every result is constant.
        sources: the numbers that it reads.
        start: when it reads them, in clock edges since the input was registered.
        result: the numbers that it makes, of the last node's shape.
    """

    name: str
    nodes: tuple[Node, ...]
    block: alkaid.Block | None
    sources: tuple[Ref, ...]
    start: int
    result: Values


@dataclass(frozen=True, eq=False)
class Design:
    """A whole network: a registered input, layers, an output.

    Args:
        top: the module at the top.
        input: how the port ``x`` is laid out.
        output: how the port ``y`` is laid out.
        layers: in the order of computation.
        result: the numbers of the output, flat.
        latency: clock edges from the one that takes a sample to the one behind which its result stands.
    """

    top: str
    input: Slots
    output: Slots
    layers: tuple[Layer, ...]
    result: tuple[Ref | float, ...]
    latency: int

    @property
    def cost(self) -> float:
        """Alkaid's estimate of the adders, in bits."""
        return sum(layer.block.cost for layer in self.layers if layer.block)


def design(graph: HardwareGraph, top: str, latency_cutoff: float) -> Design:
    """Turn a graph into blocks.

    Args:
        graph: annotated; only quantizers of one format read its input.
        top: the name of the module at the top.
        latency_cutoff: how much delay a pipeline stage may have, in alkaid's units.

    Raises:
        BackendError: alkaid is missing, a number is too wide for it, or its logic differs from the emulator.
    """
    vectors = adversarial(graph, _CHECKED, 0)
    expected = emulate(graph, vectors, trace=True)
    known: dict[str, Values] = {}
    slots = _read_input(graph, known)
    groups = list(_groups(graph))
    names = verilog_names(_layer_name(group) for group in groups)
    layers = []
    for group in groups:
        if isinstance(group[0], MOVES):
            (node,) = group
            known[node.name] = logic(node, *(known[name] for name in node.inputs))
            continue
        name = names[_layer_name(group)]
        layer = _layer(group, name, top, latency_cutoff, known, expected)
        layers.append(layer)
        known[group[-1].name] = layer.result
    result = tuple(known[graph.output].ravel().tolist())
    assert graph.output_format is not None, "annotate() has set it"  # noqa: S101
    lanes = [_lane(grid) for grid in grids(graph.output_format, graph.output_shape).ravel()]
    latency = max((ref.time for ref in result if isinstance(ref, Ref)), default=0)
    return Design(top, slots, Slots.of(lanes), tuple(layers), result, latency)


def _read_input(graph: HardwareGraph, known: dict[str, Values]) -> Slots:
    """Every quantizer of the input reads the port's slots."""
    readers = [node for node in graph.consumers(graph.input) if isinstance(node, Quantize)]
    first = readers[0]
    assert first.format is not None, "annotate() has refused it"  # noqa: S101
    formats = grids(first.format, first.shape).ravel()
    lanes = [_lane(grid) for grid in formats]
    slots = Slots.of(lanes)
    refs: list[Any] = []
    for i, (grid, lane) in enumerate(zip(formats, lanes, strict=True)):
        offset = i * slots.width + slots.fraction + lane.shift
        refs.append(0.0 if grid.low == grid.high else Ref(INPUT, offset, lane, 0))
    for node in readers:
        known[node.name] = array(refs, node.shape)
    return slots


def _lane(grid: Grid) -> alkaid.Lane:
    return alkaid.Lane(grid.signed, grid.width, -grid.fraction)


def _groups(graph: HardwareGraph) -> Iterator[tuple[Node, ...]]:
    """Layers with what follows them value by value; moves at the end stand alone, for they are wires."""
    groups: list[list[Node]] = []
    home: dict[str, list[Node]] = {}
    ports = {node.name for node in graph.consumers(graph.input)}
    for node in graph.nodes:
        if isinstance(node, Input) or node.name in ports:
            continue
        source = home.get(node.inputs[0])
        if (
            isinstance(node, _JOINED)
            and len(node.inputs) == 1
            and source is not None
            and len(graph.consumers(node.inputs[0])) == 1
            and node.inputs[0] != graph.output
        ):
            source.append(node)
            home[node.name] = source
        else:
            groups.append([node])
            if not isinstance(node, MOVES):
                home[node.name] = groups[-1]
    for group in groups:
        size = len(group)
        while size > 1 and isinstance(group[size - 1], MOVES):
            size -= 1
        yield tuple(group[:size])
        yield from ((node,) for node in group[size:])


def _layer_name(group: Sequence[Node]) -> str:
    return group[0].name


def _layer(
    group: tuple[Node, ...],
    name: str,
    top: str,
    latency_cutoff: float,
    known: Mapping[str, Values],
    expected: Mapping[str, npt.NDArray[np.float64]],
) -> Layer:
    inside = {node.name for node in group}
    outer = list(dict.fromkeys(n for node in group for n in node.inputs if n not in inside))
    sources: list[Ref] = []
    samples: list[npt.NDArray[np.float64]] = []
    local: dict[str, Values] = {}
    for tensor in outer:
        refs = known[tensor].ravel().tolist()
        moving = [i for i, ref in enumerate(refs) if isinstance(ref, Ref)]
        made = alkaid.variables([alkaid.Range.of(refs[i].lane) for i in moving])
        for i, variable in zip(moving, made, strict=True):
            sources.append(refs[i])
            refs[i] = variable
        local[tensor] = array(refs, known[tensor].shape)
        samples.append(expected[tensor].reshape(len(expected[tensor]), -1)[:, moving])
    try:
        for node in group:
            local[node.name] = logic(node, *(local[tensor] for tensor in node.inputs))
        result = local[group[-1].name].ravel().tolist()
        variables = [v for tensor in outer for v in local[tensor].ravel() if not isinstance(v, float)]
        moving = [i for i, value in enumerate(result) if not isinstance(value, float)]
        start = max((ref.time for ref in sources), default=0)
        block = None
        values = np.array([v if isinstance(v, float) else 0.0 for v in result]) + np.zeros(
            (len(samples[0]), 1)
        )
        if moving:
            comb = alkaid.program(variables, [result[i] for i in moving])
            values[:, moving] = alkaid.run(comb, np.concatenate(samples, axis=1))
            block = alkaid.block(comb, f"{top}_{name}", latency_cutoff)
    except BackendError as fault:
        raise BackendError(_named(group, fault.message), hint=fault.hint) from None
    except Exception as fault:  # alkaid asserts and raises of all sorts
        raise BackendError(_named(group, f"alkaid: {type(fault).__name__}: {fault}")) from fault
    _compare(group, values, expected[group[-1].name])
    if block is not None:
        offset = 0
        for i, lane in zip(moving, block.outputs, strict=True):
            result[i] = Ref(f"{name}_out", offset, lane, start + block.stages)
            offset += lane.width
    return Layer(name, group, block, tuple(sources), start, array(result, group[-1].shape))


def _named(group: Sequence[Node], message: str) -> str:
    names = " -> ".join(node.name for node in group)
    return message if message.startswith("rtl: ") else f"rtl: {names}: {message}"


def _compare(group: Sequence[Node], got: npt.NDArray[np.float64], expected: npt.NDArray[np.float64]) -> None:
    differ = got != expected.reshape(got.shape)
    if differ.any():
        place = tuple(int(i) for i in np.argwhere(differ)[0])
        wanted = float(expected.reshape(got.shape)[place])
        raise BackendError(
            _named(
                group,
                f"the logic differs from the emulator in {int(differ.sum())} values, first in output "
                f"{place[1]}: {float(got[place])!r} against {wanted!r}",
            ),
            hint="this is a defect; please report it with the file",
        )
