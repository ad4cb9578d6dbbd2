"""``data_types``: the type of every product, sum, table and output, by QTools' rules and tight."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from torchq.cost.operators import Operand, Sort, accumulator, exponents, multiplier, operand
from torchq.cost.source import workloads_of
from torchq.cost.type_table import TypeRow, TypeTable
from torchq.formats import Binary, FixedPoint, Float, Format, Overflow, PowerOfTwo, Rounding, Ternary
from torchq.workload import Operation, Workload

if TYPE_CHECKING:
    from torch import Tensor, nn

    from torchq.graph import Graph
    from torchq.graph.intervals import Found, Part, Value


def data_types(
    model: nn.Module | Graph | Sequence[Workload], example: Tensor | tuple[int, ...] | None = None
) -> TypeTable:
    """The type of every intermediate of a network.

    Each product, sum and result has two types. One follows from the formats that meet alone, by QTools'
    rules: what ``energy_pj`` prices. The other, the *tight* one, is the smallest that holds every value which
    the actual weights can lead to, by exact interval arithmetic: what the lowering uses. Where QTools has no
    rule (softmax, layer normalisation, gates), the first is the type that holds every result of the formats.

    Layers of several steps (pools, softmax, layer normalisation, recurrent layers, attention) have a row for
    each step, named after the layer and what the step makes; the last one has the layer's name.

    Args:
        model: a quantized model, a traced graph, or workloads. Workloads know neither what their layers
            compute beside products nor which values reach them: their tight types stay empty, and operations
            beside products are listed by their sort.
        example: what to trace a model with; see :func:`torchq.cost.estimate`.

    Raises:
        CostError: none of these, or a negative size.
        GraphError: the model cannot be traced, or an edge that no quantizer made.

    Example:
        >>> import torch
        >>> from torchq.nn import QInput, QLinear
        >>> q = "quantized_bits(6,0,alpha=1)"
        >>> fc = QLinear(16, 5, weight_quantizer=q, bias_quantizer=q)
        >>> _ = torch.nn.init.constant_(fc.weight, 0.5), torch.nn.init.zeros_(fc.bias)
        >>> row = data_types(torch.nn.Sequential(QInput(q), fc)).row("1")
        >>> row.gate, str(row.product), str(row.accumulator)
        ('mul', 'ap_fixed<11,1,TRN,WRAP>', 'ap_fixed<16,6,TRN,WRAP>')
        >>> str(row.tight_product), str(row.tight_accumulator)
        ('ap_fixed<6,0,TRN,WRAP>', 'ap_fixed<10,4,TRN,WRAP>')
    """
    from torch import nn

    from torchq.graph import Graph, trace

    if isinstance(model, nn.Module):
        model = trace(model, example)
    works = workloads_of(model)
    if not isinstance(model, Graph):
        return TypeTable(tuple(row for work in works for row in _alone(work)))
    from torchq.graph.intervals import intervals

    found = intervals(model)
    return TypeTable(tuple(row for group in _by_node(model, works, found) for row in group))


def as_format(op: Operand) -> Format:
    """The number format of an operand: the inverse of :func:`torchq.cost.operators.operand`, but for scales.

    Example:
        >>> str(as_format(operand(FixedPoint(6, 1))))
        'ap_fixed<6,1,TRN,WRAP>'
        >>> str(as_format(operand(PowerOfTwo(4, -4, 3))))
        'po2<4,-4..3>'
    """
    if op.sort is Sort.FIXED:
        return FixedPoint(op.bits, op.integer + int(op.signed), op.signed, Rounding.TRN, Overflow.WRAP)
    if op.sort is Sort.POWER_OF_TWO:
        right, left = exponents(op)
        return PowerOfTwo(op.bits, -right, left, op.signed)
    if op.sort is Sort.TERNARY:
        return Ternary()
    if op.sort is Sort.FLOAT:
        return Float(op.bits)
    return Binary(use_01=op.sort is Sort.BINARY_01)


def _by_node(graph: Graph, works: Sequence[Workload], found: Mapping[str, Found]) -> Iterator[list[TypeRow]]:
    """The rows of one node after the other."""
    waiting = list(works)
    for node in graph.nodes:
        own: list[Workload] = []
        if any(work.layer == node.name for work in waiting):
            while not own or own[-1].layer != node.name:
                own.append(waiting.pop(0))
        by_name = {work.layer: work for work in own}
        parts = {part.name: part for part in found[node.name].parts}
        names = [*parts, *(name for name in by_name if name not in parts)]
        names.sort(key=lambda name: name == node.name)  # stable: the node itself comes last
        yield [_row(name, by_name.get(name), parts.get(name)) for name in names]


def _row(name: str, work: Workload | None, part: Part | None) -> TypeRow:
    factors = _factors(work, part)
    ruled = work is not None and work.fan_in > 0 and factors is not None
    gate, product, total, summed = _by_rules(work, factors) if work and ruled and factors else _stated(part)
    known = (None, None, None) if part is None else (part.product, part.total, part.output)
    tight = [_tight(value) for value in known]
    inputs = tuple(x.format for x in work.inputs) if work is not None else part.factors if part else ()
    return TypeRow(
        layer=name,
        kind=work.kind if work is not None else part.kind if part is not None else "",
        inputs=inputs,
        weight=None if work is None or work.weight is None else _shown(work.weight.format),
        bias=None if work is None or work.bias is None else _shown(work.bias.format),
        gate=gate,
        product=product,
        sum=total,
        accumulator=summed,
        output=work.output.format if work is not None else part.format if part is not None else None,
        tight_product=tight[0],
        tight_accumulator=tight[1],
        tight_output=tight[2],
    )


def _factors(work: Workload | None, part: Part | None) -> tuple[Format | None, Format | None] | None:
    """What is multiplied: the weight, or the second tensor, or the constant of a pool; and the input."""
    if work is not None and work.weight is not None:
        return work.weight.format, work.inputs[0].format
    if work is not None and len(work.inputs) > 1:
        return work.inputs[1].format, work.inputs[0].format
    if part is not None and part.product_type is not None and len(part.factors) > 1:
        return part.factors[0], part.factors[1]
    return None


Types = tuple[str, Format | None, Format | None, Format | None]
"""Gate, product, sum without and with bias."""


def _by_rules(work: Workload, factors: tuple[Format | None, Format | None]) -> Types:
    made = multiplier(*map(operand, factors))
    total = accumulator(made.product, work.fan_in, None)
    bias = None if work.bias is None else operand(work.bias.format)
    summed = accumulator(made.product, work.fan_in, bias)
    return made.gate, as_format(made.product), as_format(total), as_format(summed)


def _stated(part: Part | None) -> Types:
    """What a step says of itself."""
    if part is None:
        return "", None, None, None
    gate = ""
    if part.product_type is not None and len(part.factors) > 1:
        gate = multiplier(*map(operand, part.factors[:2])).gate
    return gate, part.product_type, part.total_type, part.total_type


def _alone(work: Workload) -> Iterator[TypeRow]:
    """The rows of a workload: its operations and tables, then the layer itself."""
    for number, operation in enumerate(work.operations):
        yield _operation(f"{work.layer}.{operation.sort}{number}", operation)
    yield _row(work.layer, work, None)


def _operation(name: str, operation: Operation) -> TypeRow:
    multiplies = operation.sort == "multiply"
    gate = multiplier(*map(operand, operation.operands[:2])).gate if multiplies else ""
    return TypeRow(
        layer=name,
        kind=operation.sort,
        inputs=operation.operands,
        gate=gate,
        product=operation.result if multiplies else None,
        sum=None if multiplies else operation.result,
        accumulator=None if multiplies else operation.result,
        output=operation.result,
    )


def _shown(format: Format | None) -> Format:
    """A parameter without a quantizer is a float."""
    return Float(32) if format is None else format


def _tight(value: Value) -> FixedPoint | None:
    """Of a tuple that of its first tensor."""
    while isinstance(value, tuple):
        value = value[0]
    return None if value is None else value.format()
