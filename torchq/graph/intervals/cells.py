"""What one step of a recurrent layer makes: of the sums over input and state, for every step at once."""

from __future__ import annotations

from functools import singledispatch

import numpy as np
import torch

from torchq.formats import Format
from torchq.graph.intervals.interval import (
    Interval,
    added,
    full,
    hull,
    known,
    multiplied,
    narrowed,
    point,
    subtracted,
)
from torchq.graph.intervals.lookups import looked_up
from torchq.graph.intervals.part import Part
from torchq.graph.intervals.quantizers import quantized
from torchq.graph.intervals.types_of import product_type, sum_type
from torchq.nn.operations import one_minus
from torchq.nn.recurrent import Recurrent
from torchq.nn.recurrent_gru import QGRU
from torchq.nn.recurrent_lstm import QLSTM
from torchq.nn.recurrent_rnn import QRNN

CPU = torch.device("cpu")

States = tuple[Interval | None, ...]
"""The ranges of the state, and for an LSTM of the cell, at every step: ``[steps, hidden_size]``."""


class Step:
    """A step of one layer in one direction, and what it computes on the way.

    Args:
        layer: the recurrent layer.
        name: of the step's workload.
        sums: the formats of the sums over input and state.
    """

    def __init__(self, layer: Recurrent, name: str, sums: tuple[Format | None, Format | None]) -> None:
        self.layer, self.name, self.sums = layer, name, sums
        self.parts: list[Part] = []

    def format(self, slot: str) -> Format | None:
        """Of what the quantizer in a slot makes."""
        quantizer = self.layer.quantizer(slot)
        return None if quantizer is None else quantizer.format

    def sum(
        self, what: str, a: Interval | None, b: Interval | None, *factors: Format | None
    ) -> tuple[Interval | None, Format | None]:
        """``a + b``."""
        total, kind = known(added, a, b), sum_type(*factors)
        self._note(what, "sum", total=total, output=total, factors=factors, total_type=kind, format=kind)
        return total, kind

    def product(
        self, what: str, a: Interval | None, b: Interval | None, *factors: Format | None
    ) -> tuple[Interval | None, Format | None]:
        """``a * b``."""
        made, kind = known(multiplied, a, b), product_type(*factors)
        self._note(
            what,
            "product",
            product=made,
            total=made,
            output=made,
            factors=factors,
            product_type=kind,
            total_type=kind,
            format=kind,
        )
        return made, kind

    def table(self, what: str, function: str, slot: str, x: Interval | None) -> Interval | None:
        """What stands in the table of a gate."""
        value = None
        if x is not None:
            value = looked_up(x, self.layer.lookup(function, slot, CPU), x.shape)
        self._note(
            what, "table", output=value, factors=(self.format("preactivation"),), format=self.format(slot)
        )
        return value

    def written(self, what: str, slot: str, x: Interval | None, format: Format | None) -> Interval | None:
        """A state through its quantizer."""
        value = None if x is None else quantized(x, self.layer.quantizer(slot), x.shape)
        self._note(what, "quantize", output=value, factors=(format,), format=self.format(slot))
        return value

    def _note(self, what: str, kind: str, **fields: object) -> None:
        name = self.name if not what else f"{self.name}.{what}"
        kind = kind if what else self.layer.kind
        self.parts.append(Part(name, kind, **fields))  # type: ignore[arg-type]


@singledispatch
def cell(layer: Recurrent, step: Step, read: Interval, recurrent: Interval, h: Interval) -> States:  # noqa: ARG001
    """The ranges of the states that a step writes; None where a layer has no rule.

    Args:
        layer: the layer.
        step: where the parts are noted.
        read: the sums over the input, ``[steps, gates * hidden_size]``.
        recurrent: those over the state.
        h: the state that is read.
    """
    return (None,)


@cell.register
def _rnn(layer: QRNN, step: Step, read: Interval, recurrent: Interval, h: Interval) -> States:  # noqa: ARG001
    total, kind = step.sum("sum", read, recurrent, *step.sums)
    if layer.nonlinearity == "relu":
        positive = known(lambda x: x.mapped(lambda codes: codes.clip(min=0)), total)
        return (step.written("", "state", positive, kind),)
    return (step.table("", "tanh", "state", total),)


@cell.register
def _lstm(layer: QLSTM, step: Step, read: Interval, recurrent: Interval, h: Interval) -> States:  # noqa: ARG001
    gate, candidate, cell_format = (step.format(slot) for slot in ("gate", "candidate", "cell"))
    total, _ = step.sum("sum", read, recurrent, *step.sums)
    a, b, g, d = _gates(total, 4)
    i, f, o = (step.table(name, "sigmoid", "gate", x) for name, x in (("i", a), ("f", b), ("o", d)))
    new = step.table("g", "tanh", "candidate", g)
    old = None if cell_format is None else full(cell_format, h.shape)
    old = known(lambda x: hull(x, point(0.0)), old)
    kept, kept_type = step.product("kept", f, old, gate, cell_format)
    taken, taken_type = step.product("new", i, new, gate, candidate)
    both, both_type = step.sum("both", kept, taken, kept_type, taken_type)
    c = step.written("c", "cell", both, both_type)
    shown = step.table("tanh", "tanh", "candidate", c)
    out, out_type = step.product("shown", o, shown, gate, candidate)
    return step.written("", "state", out, out_type), c


@cell.register
def _gru(layer: QGRU, step: Step, read: Interval, recurrent: Interval, h: Interval) -> States:  # noqa: ARG001
    gate, candidate, state = (step.format(slot) for slot in ("gate", "candidate", "state"))
    ra, za, na = _gates(read, 3)
    rb, zb, nb = _gates(recurrent, 3)
    r_sum, _ = step.sum("r_sum", ra, rb, *step.sums)
    z_sum, _ = step.sum("z_sum", za, zb, *step.sums)
    r, z = step.table("r", "sigmoid", "gate", r_sum), step.table("z", "sigmoid", "gate", z_sum)
    reset, reset_type = step.product("reset", r, nb, gate, step.sums[1])
    n_sum, _ = step.sum("n_sum", na, reset, step.sums[0], reset_type)
    n = step.table("n", "tanh", "candidate", n_sum)
    other, other_type = known(lambda x: subtracted(point(1.0), x), z), one_minus(gate)
    new, new_type = step.product("new", other, n, other_type, candidate)
    kept, kept_type = step.product("kept", z, h, gate, state)
    both, both_type = step.sum("both", new, kept, new_type, kept_type)
    between = both
    if both is not None and n is not None and z is not None and _is_a_share(z):
        between = narrowed(both, hull(n, h))  # a weighted mean lies between what it is the mean of
    return (step.written("", "state", between, both_type),)


def _gates(x: Interval | None, count: int) -> tuple[Interval | None, ...]:
    """The sums of each gate."""
    if x is None:
        return (None,) * count
    lows, highs = np.split(x.low, count, axis=-1), np.split(x.high, count, axis=-1)
    return tuple(Interval(low, high, x.fraction) for low, high in zip(lows, highs, strict=True))


def _is_a_share(x: Interval) -> bool:
    """Whether all values are from 0 to 1."""
    low, high = x.ends()
    return bool((low >= 0).all() and (high <= 1).all())
