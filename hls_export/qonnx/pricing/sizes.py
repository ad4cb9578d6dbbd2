"""The shape of one sample of every tensor in a file, by ONNX's own shape inference."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hls_export.qonnx.load import Op
from hls_export.qonnx.quant import DOMAINS
from torchq.errors import ExportError

if TYPE_CHECKING:
    import onnx

OWN = "torchq"
"""The domain of our own operators."""
MOST_VALUES = 2**28
"""A sample of more values stands in no network."""
_Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Size:
    """The shape of a tensor.

    Args:
        shape: of one sample, without the batch axis. Where a script laid positions along the batch axis
            (``[batch * steps, features]``), they come first.
        axis: the axis of the whole tensor that counts the samples.
    """

    shape: tuple[int, ...]
    axis: int = 0


def sizes_of(
    path: str, model: onnx.ModelProto, input: str, ops: Sequence[Op], flowing: Iterable[str]
) -> dict[str, Size]:
    """The sizes of the tensors that depend on the input.

    The graph is inferred for 2 and for 3 samples: the axis that differs counts them. A file of one fixed
    batch size that allows no other is inferred as it is.

    Args:
        path: for messages.
        model: the file.
        input: the graph's input.
        ops: the nodes, in order.
        flowing: the tensors whose sizes are needed.

    Raises:
        ExportError: shapes are missing (all such tensors are named), or absurd.
    """
    wanted = list(flowing)
    two, three = _inferred(model, input, 2), _inferred(model, input, 3)
    found = {name: _compared(two.get(name), three.get(name)) for name in wanted}
    if any(size is None for size in found.values()):
        batch = _batch(model, input) or 1
        fixed = _inferred(model, input, batch)
        stated = {v.name: _dims(v) for v in (*model.graph.value_info, *model.graph.output)}
        axes = _axes(ops, input, fixed | {k: v for k, v in stated.items() if v and k not in fixed}, batch)
        found |= {name: axes.get(name) for name in wanted if found[name] is None}
    lacking = [name for name, size in found.items() if size is None]
    if lacking:
        listed = ", ".join(lacking[:8]) + (", ..." if len(lacking) > 8 else "")
        what = "the shape of {} is" if len(lacking) == 1 else "the shapes of {} are"
        raise ExportError(
            f"{path}: {what.format(listed)} missing",
            hint="export it with every size fixed but the batch",
        )
    sizes = {name: size for name, size in found.items() if size is not None}
    for name, size in sizes.items():
        if math.prod(size.shape) > MOST_VALUES:
            raise ExportError(f"{path}: {name} has {math.prod(size.shape):,} values for one sample")
    return sizes


def _inferred(model: onnx.ModelProto, input: str, batch: int) -> _Shapes:
    """The whole shapes for a batch size; tensors that inference does not reach are left out."""
    import onnx

    draft = copy.deepcopy(model)
    del draft.graph.value_info[:]
    for value in draft.graph.output:
        value.type.tensor_type.ClearField("shape")
    for value in draft.graph.input:
        if value.name == input:
            dim = value.type.tensor_type.shape.dim[0]
            dim.ClearField("dim_param")
            dim.dim_value = batch
    for node in draft.graph.node:
        if node.domain in (*DOMAINS, OWN):  # each keeps the shape of what it reads
            node.op_type, node.domain = "Identity", ""
            del node.input[1:]
            del node.attribute[:]
    try:
        known = onnx.shape_inference.infer_shapes(draft, data_prop=True)
    except (onnx.shape_inference.InferenceError, RuntimeError, ValueError, TypeError):
        return {}
    values = (*known.graph.value_info, *known.graph.output, *known.graph.input)
    return {v.name: dims for v in values if (dims := _dims(v)) is not None}


def _dims(value: onnx.ValueInfoProto) -> tuple[int, ...] | None:
    tensor = value.type.tensor_type
    dims = tuple(d.dim_value for d in tensor.shape.dim)
    return dims if tensor.HasField("shape") and all(d > 0 for d in dims) else None


def _batch(model: onnx.ModelProto, input: str) -> int:
    value = next(v for v in model.graph.input if v.name == input)
    return int(value.type.tensor_type.shape.dim[0].dim_value)


def _compared(two: tuple[int, ...] | None, three: tuple[int, ...] | None) -> Size | None:
    """The size of a sample from the shapes of 2 and of 3 samples.

    Example:
        >>> _compared((5, 2, 7), (5, 3, 7))
        Size(shape=(5, 7), axis=1)
        >>> _compared((10, 7), (15, 7))
        Size(shape=(5, 7), axis=0)
    """
    if two is None or three is None or len(two) != len(three):
        return None
    axes = [i for i, (a, b) in enumerate(zip(two, three, strict=True)) if a != b]
    if len(axes) != 1 or 3 * two[axes[0]] != 2 * three[axes[0]]:
        return None
    return _one_sample(two, axes[0], 2)


def _one_sample(shape: tuple[int, ...], axis: int, batch: int) -> Size:
    rest = shape[:axis] + shape[axis + 1 :]
    along = shape[axis] // batch
    return Size(rest if along == 1 else (along, *rest), axis)


def _axes(ops: Sequence[Op], input: str, shapes: _Shapes, batch: int) -> dict[str, Size]:
    """Sizes for one fixed batch: the batch axis is followed from node to node."""
    axis = {input: 0}
    for op in ops:
        source = next((name for name in op.inputs if name in axis), None)
        if source is None:
            continue
        before = axis[source]
        if op.kind == "Transpose" and "perm" in op.attributes:
            before = list(op.attributes["perm"]).index(before)
        for name in op.outputs:
            dims = shapes.get(name)
            if dims is None:
                continue
            fits = [i for i, d in enumerate(dims) if d % batch == 0]
            near = [i for i in fits if dims[i] == batch]
            place = before if before in near else next(iter(near or fits), None)
            if place is not None:
                axis[name] = place
    return {name: _one_sample(shapes[name], at, batch) for name, at in axis.items() if name in shapes}
