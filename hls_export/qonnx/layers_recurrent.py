"""Recurrent layers, unrolled: every step from exact products, sums, tables and quantizers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from hls_export.qonnx.builder import Builder
from hls_export.qonnx.layers import writes
from hls_export.qonnx.layers_tables import content
from torchq.errors import ExportError

if TYPE_CHECKING:
    from torchq.graph import Node as TorchNode

States = tuple[str, ...]
"""The state, and for an LSTM the cell; empty in front of the first step, where they are zero."""


class _Direction:
    """One layer in one direction: its weights, written once, and its steps.

    Args:
        build: where.
        layer: the torch layer.
        name: of the layer in the model.
        ending: of its parameters' names: ``_l0``, ``_l0_reverse``, ...
    """

    def __init__(self, build: Builder, layer: Any, name: str, ending: str) -> None:
        self.build, self.layer, self.name, self.ending = build, layer, name, ending
        with torch.no_grad():
            values = {
                slot: layer.quantized_parameter(f"{slot}{ending}")
                for slot in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            }
        self.values = values
        self.formats = {
            slot: layer.baked.get(f"{slot}{ending}") or layer.quantizer(layer.slot_of(slot)).format
            for slot in values
            if values[slot] is not None
        }
        self._written: dict[str, str] = {}

    def parameter(self, slot: str, rows: slice = slice(None)) -> str | None:
        """A weight (inputs first) or a bias as a constant; None if there is none."""
        if self.values[slot] is None:
            return None
        key = f"{self.name}.{slot}{self.ending}" + ("" if rows == slice(None) else f".{rows.start}")
        if key not in self._written:
            values = self.values[slot][rows]
            turned = values.T if slot.startswith("weight") else values
            self._written[key] = self.build.constant(key, turned, self.formats[slot])
        return self._written[key]

    def product(self, source: str, slot: str, name: str) -> str:
        """``source @ weight + bias``."""
        matrix = self.parameter(f"weight_{slot}")
        bias = self.parameter(f"bias_{slot}")
        assert matrix is not None, "every recurrent layer has weights"  # noqa: S101
        rows = self.values[f"weight_{slot}"].shape[0]
        if bias is None:
            return self.build.dense(source, matrix, rows, name, name)
        made = self.build.dense(source, matrix, rows, name, f"{name}.matmul")
        return self.build.bias(made, bias, f"{name}.bias", name)

    def table(self, address: str, function: str, slot: str, name: str) -> str:
        """A gate."""
        lookup = self.layer.lookup(function, slot, torch.device("cpu"))
        return self.build.table(address, content(lookup, self.layer.quantizer(slot)), name, name)

    def rounded(self, source: str, slot: str, name: str) -> str:
        """What a slot's quantizer makes."""
        return self.build.quantizer(source, self.layer.quantizer(slot), self.name, name, name)

    def gate(self, source: str, number: int, name: str) -> str:
        """One of the parts of a tensor, each as long as the state."""
        size = self.layer.hidden_size
        return self.build.take(source, 0, list(range(number * size, (number + 1) * size)), name)

    def run(self, source: str, steps: int, *, backwards: bool) -> tuple[list[str], States]:
        """All steps: the state after each, in the order of the input, and the last states."""
        base = f"{self.name}.{self.ending[1:]}"
        sums = self.product(source, "ih", f"{base}.input")
        states: States = ()
        outputs = [""] * steps
        for t in reversed(range(steps)) if backwards else range(steps):
            here = f"{base}.t{t}"
            mine = self.build.take(sums, 0, t, f"{here}.input")
            states = _CELLS[self.layer.kind](self, mine, states, here)
            outputs[t] = states[0]
        return outputs, states

    def added(self, mine: str, states: States, here: str) -> str:
        """The input sums plus the recurrent ones; those of a zero state are the bias alone."""
        if states:
            other = self.product(states[0], "hh", f"{here}.state")
            return self.build.merge("Add", [mine, other], f"{here}.sum")
        bias = self.parameter("bias_hh")
        return mine if bias is None else self.build.bias(mine, bias, f"{here}.sum", f"{here}.sum")


def _rnn(cell: _Direction, mine: str, states: States, here: str) -> States:
    total = cell.added(mine, states, here)
    if cell.layer.nonlinearity == "relu":
        return (cell.rounded(cell.build.relu(total, f"{here}.relu", f"{here}.relu"), "state", here),)
    address = cell.rounded(total, "preactivation", f"{here}.address")
    return (cell.table(address, "tanh", "state", here),)


def _lstm(cell: _Direction, mine: str, states: States, here: str) -> States:
    build, size = cell.build, cell.layer.hidden_size
    total = cell.added(mine, states, here)
    address = cell.rounded(total, "preactivation", f"{here}.address")
    sigmoids = build.take(address, 0, [*range(2 * size), *range(3 * size, 4 * size)], f"{here}.gates")
    gates = cell.table(sigmoids, "sigmoid", "gate", f"{here}.sigmoid")
    i, f, o = (cell.gate(gates, n, f"{here}.{letter}") for n, letter in enumerate("ifo"))
    g = cell.table(cell.gate(address, 3 - 1, f"{here}.g"), "tanh", "candidate", f"{here}.tanh")
    kept = build.merge("Mul", [i, g], f"{here}.new")
    if states:
        old = build.merge("Mul", [f, states[1]], f"{here}.old")
        kept = build.merge("Add", [old, kept], f"{here}.both")
    c = cell.rounded(kept, "cell", f"{here}.cell")
    again = cell.rounded(c, "preactivation", f"{here}.cell.address")
    t = cell.table(again, "tanh", "candidate", f"{here}.cell.tanh")
    return cell.rounded(build.merge("Mul", [o, t], f"{here}.out"), "state", here), c


def _gru(cell: _Direction, mine: str, states: States, here: str) -> States:
    build, size = cell.build, cell.layer.hidden_size
    two, last = list(range(2 * size)), list(range(2 * size, 3 * size))
    a, x = build.take(mine, 0, two, f"{here}.a"), build.take(mine, 0, last, f"{here}.x")
    other = cell.product(states[0], "hh", f"{here}.state") if states else None
    first = cell.parameter("bias_hh", slice(0, 2 * size)) if other is None else None
    if other is not None:
        a = build.merge("Add", [a, build.take(other, 0, two, f"{here}.b")], f"{here}.sum")
    elif first is not None:
        a = build.bias(a, first, f"{here}.sum", f"{here}.sum")
    address = cell.rounded(a, "preactivation", f"{here}.address")
    gates = cell.table(address, "sigmoid", "gate", f"{here}.gates")
    r, z = cell.gate(gates, 0, f"{here}.r"), cell.gate(gates, 1, f"{here}.z")
    change = _reset(cell, r, other, last, here)
    x = x if change is None else build.merge("Add", [x, change], f"{here}.new.sum")
    second = cell.rounded(x, "preactivation", f"{here}.new.address")
    n = cell.table(second, "tanh", "candidate", f"{here}.new")
    one = build.one(f"{cell.name}.one")
    rest = build.node("Sub", [one, z], build.shapes[z], f"{here}.keep", f"{here}.keep")
    made = build.merge("Mul", [rest, n], f"{here}.mixed")
    if states:
        old = build.merge("Mul", [z, states[0]], f"{here}.old")
        made = build.merge("Add", [made, old], f"{here}.both")
    return (cell.rounded(made, "state", here),)


def _reset(cell: _Direction, r: str, other: str | None, last: list[int], here: str) -> str | None:
    """The reset gate times the recurrent part of the candidate; those of a zero state are the bias alone."""
    if other is not None:
        u = cell.build.take(other, 0, last, f"{here}.u")
        return cell.build.merge("Mul", [r, u], f"{here}.reset")
    bias = cell.parameter("bias_hh", slice(last[0], last[-1] + 1))
    return None if bias is None else cell.build.scaled(r, bias, f"{here}.reset", f"{here}.reset")


_CELLS: dict[str, Callable[[_Direction, str, States, str], States]] = {
    "rnn": _rnn,
    "lstm": _lstm,
    "gru": _gru,
}


@writes("rnn", "lstm", "gru")
def _recurrent(build: Builder, node: TorchNode, sources: list[str]) -> tuple[Any, ...]:
    """The output of every step, and the last states; these are written where they are read."""
    layer: Any = node.module
    if len(sources) > 1:
        raise ExportError(f"{node.name} is given an initial state", hint="start from zero")
    (source,) = sources
    steps = build.shapes[source][0]
    finals: list[States] = []
    outputs: list[list[str]] = []
    for number, ending, backwards in layer.directions():
        if number and not backwards:
            source = _stacked(build, outputs, f"{node.name}.l{number - 1}")
            outputs = []
        made, final = _Direction(build, layer, node.name, ending).run(source, steps, backwards=backwards)
        outputs.append(made)
        finals.append(final)

    def output() -> str:
        plain = layer.output_quantizer is None
        made = _stacked(build, outputs, node.name if plain else f"{node.name}.steps")
        return build.finish(made, layer.output_quantizer, node.name)

    def state(which: int) -> Callable[[], str]:
        return lambda: _stacked(
            build, [[final[which]] for final in finals], f"{node.name}.last{which}", turn=True
        )

    last = tuple(state(which) for which in range(len(layer.state_slots)))
    return output, last if len(last) > 1 else last[0]


def _stacked(build: Builder, parts: list[list[str]], name: str, *, turn: bool = False) -> str:
    """Vectors as the rows of a matrix: those of several directions beside each other, or below."""
    rows = [[part] for parts_ in parts for part in parts_] if turn else list(zip(*parts, strict=True))
    flat = [part for row in rows for part in row]
    width = sum(build.shapes[part][0] for part in rows[0])
    joined = flat[0] if len(flat) == 1 else build.concat(flat, 0, f"{name}.joined")
    return build.reshape(joined, (len(rows), width), name)
