"""``summary``: what stands where in a model, as a table: quantizers, formats, operations, weights.

It shows what ``print_qmodel_summary`` and ``print_qstats`` show in QKeras, and changes nothing in the model.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from torchq.cost.operators import Sort, multiplier, operand
from torchq.formats import Format
from torchq.graph import Node
from torchq.graph.tracing import walk
from torchq.nn import QLayer
from torchq.workload import UNQUANTIZED_BITS, ParamSpec, Workload

_GATES = {"mul": "mult", "shifter": "barrel", "add": "adder"}


@dataclass(frozen=True)
class Weights:
    """One parameter of a layer.

    Args:
        name: ``"weight"``, ``"bias"``, ...
        count: how many values it has.
        width: bits of one value as text: ``"6"``, ``"2..8"`` where they differ, ``"32"`` for a float.
        bits: of all values.
        zeros: how many quantized values are exactly zero.
    """

    name: str
    count: int
    width: str
    bits: int
    zeros: int


@dataclass(frozen=True)
class Row:
    """One layer in one place.

    Args:
        name: of the graph node.
        type: the class, or the kind of step where there is no module.
        shape: of what leaves it, without the batch axis.
        quantizers: slot -> quantizer, as text.
        format: of what leaves it; ``"float"`` if no grid holds it.
        operations: operation type -> how many, for one sample.
        weights: its parameters; none where the layer was listed above already.
    """

    name: str
    type: str
    shape: tuple[int, ...]
    quantizers: Mapping[str, str]
    format: str
    operations: Mapping[str, int]
    weights: tuple[Weights, ...]


@dataclass(frozen=True)
class Summary:
    """All layers of a model.

    Args:
        model: the model's class.
        rows: in the order of computation.
        unquantized: the places that no quantizer reaches, as :func:`torchq.trace` would name them.
    """

    model: str
    rows: tuple[Row, ...]
    unquantized: tuple[str, ...] = ()

    @property
    def operations(self) -> dict[str, int]:
        """How many operations of each type, for one sample."""
        total: Counter[str] = Counter()
        for row in self.rows:
            total.update(row.operations)
        return dict(sorted(total.items()))

    @property
    def parameters(self) -> int:
        """How many parameters."""
        return sum(weights.count for row in self.rows for weights in row.weights)

    @property
    def parameter_bits(self) -> int:
        """The bits of all parameters."""
        return sum(weights.bits for row in self.rows for weights in row.weights)

    @property
    def zeros(self) -> int:
        """How many quantized parameters are exactly zero."""
        return sum(weights.zeros for row in self.rows for weights in row.weights)

    @property
    def sparsity(self) -> float:
        """The share of the parameters that is zero."""
        return self.zeros / self.parameters if self.parameters else 0.0

    def text(self) -> str:
        """The tables, to be printed."""
        layers = [("layer", "type", "output shape", "format", "quantizers", "operations")]
        layers += [
            (
                row.name,
                row.type,
                "x".join(map(str, row.shape)),
                row.format,
                ", ".join(f"{slot}: {text}" for slot, text in row.quantizers.items()) or "-",
                ", ".join(f"{count} {kind}" for kind, count in row.operations.items()) or "-",
            )
            for row in self.rows
        ]
        weights = [("weights", "count", "bits each", "bits", "zero")]
        weights += [
            (f"{row.name}.{w.name}", str(w.count), w.width, str(w.bits), _percent(w.zeros, w.count))
            for row in self.rows
            for w in row.weights
        ]
        total = ("total", str(self.parameters), "", str(self.parameter_bits))
        weights.append((*total, _percent(self.zeros, self.parameters)))
        operations = [("operation", "count"), *((kind, str(n)) for kind, n in self.operations.items())]
        parts = [self.model, _table(layers), _table(weights), _table(operations)]
        if self.unquantized:
            parts.append("\n".join(["not quantized:", *(f"  {text}" for text in self.unquantized)]))
        return "\n\n".join(parts) + "\n"

    def __str__(self) -> str:
        return self.text()


def summary(model: nn.Module, example: Tensor | tuple[int, ...] | None = None) -> Summary:
    """What stands where in a model; the model stays as it is.

    An operation type says what multiplies and how wide: ``smult_6_16`` is a signed multiplication of a 6-bit
    weight and a 16-bit input. Beside ``mult`` there are ``barrel`` (a shift by a power of two), ``mux``
    (ternary and binary weights), ``xor``, ``and``, ``adder`` (two powers of two) and ``fmult`` (floats).

    Args:
        model: quantized, float, or in between.
        example: a batch ``[n, ...]`` or the shape of one sample; only needed if the model does not tell.

    Raises:
        GraphError: the model cannot be traced.

    Example:
        >>> from torchq.nn import QInput, QLinear
        >>> q = "quantized_bits(6,0,alpha=1)"
        >>> made = summary(nn.Sequential(QInput(q), QLinear(16, 5, weight_quantizer=q, bias_quantizer=q)))
        >>> made.operations, made.parameters, made.parameter_bits
        ({'smult_6_6': 80}, 85, 510)
    """
    with torch.random.fork_rng(devices=[]):
        twin = copy.deepcopy(model).eval()
        graph, problems = walk(twin, example)
        seen: set[int] = set()
        rows = [_row(node, graph.node, seen) for node in graph.nodes if node.kind != "item"]
    return Summary(type(model).__name__, tuple(rows), tuple(message for message, _ in problems))


def _row(node: Node, find: Any, seen: set[int]) -> Row:
    module = node.module
    works: Sequence[Workload] = ()
    quantizers: dict[str, str] = {}
    if isinstance(module, QLayer):
        slots = {slot: module.quantizer(slot) for slot in module.slots}
        quantizers = {slot: str(quantizer) for slot, quantizer in slots.items() if quantizer is not None}
        works = module.workloads(node.name, tuple(find(name).spec for name in node.inputs), node.spec)
    weights: list[Weights] = []
    if module is not None and id(module) not in seen:
        specs = [spec for work in works for spec in work.parameters] or _floats(module)
        weights = [
            Weights(spec.name, spec.count, _width(spec.format), spec.bits, spec.zeros) for spec in specs
        ]
        seen.add(id(module))
    operations: Counter[str] = Counter()
    for work in works:
        operations.update(_operations(work))
    kind = node.kind if module is None else type(module).__name__
    format = "-" if node.kind == "input" else "float" if node.format is None else str(node.format)
    return Row(node.name, kind, node.shape, quantizers, format, dict(operations), tuple(weights))


def _floats(module: nn.Module) -> list[ParamSpec]:
    """The parameters of a float layer."""
    return [
        ParamSpec(name, tuple(values.shape), None, int((values == 0).sum()))
        for name, values in module.named_parameters()
    ]


def _operations(work: Workload) -> dict[str, int]:
    """Multiplications by their type; additions without one where tensors are added."""
    if work.macs == 0:
        if work.kind != "add":
            return {}
        widths = "_".join(str(operand(x.format).bits) for x in work.inputs)
        return {f"sadder_{widths}": work.output.count * (len(work.inputs) - 1)}
    formats = [x.format for x in work.inputs]
    left = work.weight.format if work.weight is not None else formats[-1]
    a, b = operand(left), operand(formats[0])
    gate = multiplier(a, b).gate
    name = "fmult" if Sort.FLOAT in (a.sort, b.sort) else _GATES.get(gate, gate)
    sign = "" if name == "fmult" else "s" if a.signed or b.signed else "u"
    return {f"{sign}{name}_{a.bits}_{b.bits}": work.macs}


def _width(format: Format | None) -> str:
    if format is None:
        return str(UNQUANTIZED_BITS)
    widths = np.asarray(format.width)
    low, high = int(widths.min()), int(widths.max())
    return str(low) if low == high else f"{low}..{high}"


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "-"


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])
