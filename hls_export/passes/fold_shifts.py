"""Products behind a matrix product that only shift: they go into its weights."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np

from hls_export.hardware import Conv, Dense, HardwareGraph, Node, ScaleShift
from torchq.formats import FixedPoint


def fold_shifts(graph: HardwareGraph) -> HardwareGraph:
    """Fold powers of two behind a matrix product or convolution into its weight and bias.

    One power of two for all outputs moves the point of every weight and adds no bit. Other factors stay: in
    the weights they would make every product wider. A factor with an addend stays as well.

    Example:
        >>> from hls_export.hardware import Input
        >>> grid = FixedPoint(3, 2)
        >>> x = Input(name="x", shape=(1,))
        >>> fc = Dense(name="fc", inputs=("x",), shape=(1,), weight=np.array([[1.5]]), weight_format=grid)
        >>> half = ScaleShift(name="half", inputs=("fc",), shape=(1,), scale=np.array([0.5]),
        ...                   scale_format=FixedPoint(1, 0, signed=False))
        >>> folded = fold_shifts(HardwareGraph((x, fc, half), "x", "half"))
        >>> folded.names, folded.node("fc").weight.tolist(), str(folded.node("fc").weight_format)
        (('x', 'fc'), [[0.75]], 'ap_fixed<3,1,RND_CONV,SAT>')
    """
    readers = Counter(name for node in graph.nodes for name in node.inputs)
    output = graph.output
    kept: dict[str, Node] = {}
    instead: dict[str, str] = {}
    for original in graph.nodes:
        node = replace(original, inputs=tuple(instead.get(name, name) for name in original.inputs))
        product = kept[node.inputs[0]] if isinstance(node, ScaleShift) else None
        if isinstance(node, ScaleShift) and node.shift is None and isinstance(product, Dense | Conv):
            alone = readers[product.name] == 1 and product.name != output
            power = _power(node)
            if alone and power is not None and product.shape == node.shape:
                kept[product.name] = _folded(product, node, power)
                instead[node.name] = product.name
                readers[product.name] = readers[node.name]
                output = product.name if output == node.name else output
                continue
        kept[node.name] = node
    return graph.with_nodes(kept.values(), output) if instead else graph


def _power(node: ScaleShift) -> int | None:
    """The exponent, where every factor is the same power of two."""
    first = float(node.scale.flat[0])
    mantissa, exponent = np.frexp(first)
    return int(exponent) - 1 if mantissa == np.float64(0.5) and np.all(node.scale == first) else None


def _folded(product: Dense | Conv, scale: ScaleShift, power: int) -> Node:
    factor = 2.0**power
    bias = None if product.bias is None else product.bias * factor
    return replace(
        product,
        weight=product.weight * factor,
        weight_format=_moved(product.weight_format, power),
        bias=bias,
        bias_format=None if product.bias_format is None else _moved(product.bias_format, power),
        tensor=scale.tensor,
        format=scale.format,
    )


def _moved(grid: FixedPoint, power: int) -> FixedPoint:
    return replace(grid, integer=np.asarray(grid.integer) + power)
