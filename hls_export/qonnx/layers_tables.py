"""Functions of one value by tables, and softmax, which is two of them and exact sums between."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hls_export.qonnx.builder import Builder
from hls_export.qonnx.layers import writes
from torchq.nn.table import Table

if TYPE_CHECKING:
    from torchq.graph import Node as TorchNode
    from torchq.nn.table import Lookup
    from torchq.quantizers import Quantizer


@writes("table")
def _table(build: Builder, node: TorchNode, sources: list[str]) -> str:
    layer: Any = node.module
    address = build.address(sources[0], layer.input_quantizer, f"{node.name}.input", node.name)
    return build.table(address, layer.table(), node.name, node.name)


@writes("softmax")
def _softmax(build: Builder, node: TorchNode, sources: list[str]) -> str:
    layer: Any = node.module
    shape = build.shapes[sources[0]]
    axis = (layer.dim + len(shape) + 1 if layer.dim < 0 else layer.dim) - 1
    x = build.address(sources[0], layer.input_quantizer, f"{node.name}.input", node.name)
    tables = layer.tables(shape[axis])
    made = softmax(build, x, axis, tables, layer.sum_quantizer, node.name)
    return build.finish(made, layer.output_quantizer, node.name)


def softmax(
    build: Builder, x: str, axis: int, tables: tuple[Table, Table], total: Quantizer | None, name: str
) -> str:
    """The exact softmax along an axis, before its last quantizer; the steps are those of ``QSoftmax``.

    Args:
        build: where.
        x: what the input quantizer made.
        axis: of the sample.
        tables: of exponentials and of inverses.
        total: the quantizer of the sum; None for the rule of ``QSoftmax``.
        name: of the layer; the last product has it.
    """
    exponentials, inverses = tables
    top = build.reduce("Max", x, [axis], f"{name}.max")
    distance = build.merge("Sub", [top, x], f"{name}.distance")
    address = build.quant(distance, exponentials.input, f"{name}.distance.quant")
    e = build.table(address, exponentials, f"{name}.exp", f"{name}.exp")
    sums = build.reduce("Sum", e, [axis], f"{name}.sum")
    if total is None:
        second = build.quant(sums, inverses.input, f"{name}.sum.quant")
    else:
        second = build.address(sums, total, f"{name}.sum.quant", name)
    r = build.table(second, inverses, f"{name}.inverse", f"{name}.inverse")
    return build.merge("Mul", [e, r], name, f"{name}.product")


def content(lookup: Lookup, output: Quantizer) -> Table:
    """The content of a lookup: addresses, and the values that a quantizer has made."""
    assert lookup.grid is not None, "layers without input quantizers are refused by the trace"  # noqa: S101
    return Table(lookup.grid, output.format, lookup.values.detach().cpu().numpy())
