"""What scripts leave on constants: shapes, indices, arithmetic; computed before the graph is read."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from hls_export.qonnx.constants import RULES, Constant, Sources, moved
from hls_export.qonnx.elementwise import FUNCTIONS, computed
from hls_export.qonnx.load import MOST_VALUES, Op
from torchq.errors import ExportError

Values = npt.NDArray[Any]


def _sized(op: Op, shape: Any) -> tuple[int, ...]:
    """A shape that is no damage."""
    sizes = tuple(int(n) for n in shape)
    if math.prod(max(n, 0) for n in sizes) > MOST_VALUES or min(sizes, default=0) < 0:
        raise ExportError(f"{op} makes a constant of shape {sizes}")
    return sizes


def _numbers(source: Constant) -> list[int]:
    return [int(n) for n in np.ravel(source.values)]


def _transpose(op: Op, sources: Sources) -> Constant:
    axes = op.attributes.get("perm")
    return moved(sources[0], lambda v: np.transpose(v, axes))


def _reshape(op: Op, sources: Sources) -> Constant:  # noqa: ARG001
    wanted = _numbers(sources[1])
    shape = [sources[0].values.shape[i] if n == 0 else n for i, n in enumerate(wanted)]
    return moved(sources[0], lambda v: v.reshape(shape))


def _flatten(op: Op, sources: Sources) -> Constant:
    axis = int(op.attributes.get("axis", 1))
    first = math.prod(sources[0].values.shape[:axis])
    return moved(sources[0], lambda v: v.reshape(first, -1))


def _identity(op: Op, sources: Sources) -> Constant:  # noqa: ARG001
    return sources[0]  # type: ignore[no-any-return]


def _cast(op: Op, sources: Sources) -> Constant:
    """Another type: whole numbers are cut off; the float types that hold all of ours change nothing."""
    from onnx import TensorProto, helper

    to = int(op.attributes.get("to", TensorProto.FLOAT))
    if to in (TensorProto.FLOAT, TensorProto.DOUBLE):
        return sources[0]  # type: ignore[no-any-return]
    kind = helper.tensor_dtype_to_np_dtype(to)
    values = np.asarray(sources[0].values)
    with np.errstate(all="ignore"):
        made = values.astype(kind)
    if np.array_equal(made.astype(np.float64), values):
        return sources[0]  # type: ignore[no-any-return]
    return Constant(made.astype(np.int64 if made.dtype.kind in "iub" else np.float64))


def _axes_changed(op: Op, sources: Sources) -> Constant:
    given = op.attributes.get("axes")
    axes = _numbers(sources[1]) if given is None and len(sources) > 1 else [int(a) for a in given or []]
    if op.kind == "Unsqueeze":
        return moved(sources[0], lambda v: np.expand_dims(v, tuple(axes)))
    return moved(sources[0], lambda v: np.squeeze(v, tuple(axes) or None))


def _concat(op: Op, sources: Sources) -> Constant:
    return Constant(np.concatenate([s.values for s in sources], int(op.attributes.get("axis", 0))))


def _elementwise(op: Op, sources: Sources) -> Constant:
    """The values alone count: no quantizer has made them."""
    parts = [None if source is None else source.values for source in sources]
    _sized(op, np.broadcast_shapes(*(part.shape for part in parts if part is not None)))
    return Constant(computed(op.kind, op.attributes, parts))


def _product(op: Op, sources: Sources) -> Constant:
    a, b = (source.values for source in sources)
    if a.ndim < 1 or b.ndim < 1:
        raise ExportError(f"{op} multiplies constants of shapes {a.shape} and {b.shape}")
    front = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    _sized(op, (*front, *a.shape[-2:-1], *(b.shape[-1:] if b.ndim > 1 else ())))
    return Constant(np.matmul(a, b))


def _gather(op: Op, sources: Sources) -> Constant:
    places, axis = sources[1].values.astype(np.int64), int(op.attributes.get("axis", 0))
    shape = sources[0].values.shape
    axis = axis + len(shape) if axis < 0 else axis
    _sized(op, (*shape[:axis], *places.shape, *shape[axis + 1 :]))
    return moved(sources[0], lambda v: np.take(v, places, axis=axis))


def _slice(op: Op, sources: Sources) -> Constant:
    names = ("starts", "ends", "axes", "steps")
    parts: list[list[int] | None] = []
    for place, name in enumerate(names):
        source = sources[place + 1] if len(sources) > place + 1 else None
        given = op.attributes.get(name)
        parts.append(_numbers(source) if source is not None else None if given is None else list(given))
    starts, ends, axes, steps = parts
    if starts is None or ends is None:
        raise ExportError(f"{op} says no starts and ends")
    cuts: list[Any] = [slice(None)] * sources[0].values.ndim
    for i, (start, end) in enumerate(zip(starts, ends, strict=True)):
        axis, step = axes[i] if axes else i, steps[i] if steps else 1
        past = step < 0 and end < -sources[0].values.shape[axis]
        cuts[axis] = slice(start, None if past else end, step)
    return moved(sources[0], lambda v: v[tuple(cuts)])


def _shape(op: Op, sources: Sources) -> Constant:
    ends = slice(int(op.attributes.get("start", 0)), op.attributes.get("end"))
    return Constant(np.array(sources[0].values.shape[ends], dtype=np.int64))


def _filled(op: Op, sources: Sources) -> Constant:
    value = np.ravel(op.attributes.get("value", np.zeros(1)))[0]
    return Constant(np.full(_sized(op, _numbers(sources[0])), value))


def _expand(op: Op, sources: Sources) -> Constant:
    shape = np.broadcast_shapes(sources[0].values.shape, _sized(op, _numbers(sources[1])))
    _sized(op, shape)
    return moved(sources[0], lambda v: np.broadcast_to(v, shape))


def _tile(op: Op, sources: Sources) -> Constant:
    counts = _numbers(sources[1])
    _sized(op, [n * c for n, c in zip(sources[0].values.shape, counts, strict=True)])
    return moved(sources[0], lambda v: np.tile(v, counts))


def _range(op: Op, sources: Sources) -> Constant:
    start, limit, step = (source.values.reshape(()) for source in sources)
    if step == 0:
        raise ExportError(f"{op} goes on in steps of 0")
    _sized(op, [max(math.ceil((float(limit) - float(start)) / float(step)), 0)])
    return Constant(np.arange(start, limit, step))


def _reduced(function: Callable[..., Any]) -> Callable[[Op, Sources], Constant]:
    def rule(op: Op, sources: Sources) -> Constant:
        given = _numbers(sources[1]) if len(sources) > 1 and sources[1] else op.attributes.get("axes")
        axes = None if given is None else tuple(int(axis) for axis in given)
        keeps = bool(op.attributes.get("keepdims", 1))
        return Constant(np.asarray(function(sources[0].values, axis=axes, keepdims=keeps)))

    return rule


def _where(op: Op, sources: Sources) -> Constant:
    test, a, b = (source.values for source in sources)
    _sized(op, np.broadcast_shapes(test.shape, a.shape, b.shape))
    return Constant(np.where(test != 0, a, b))


def _compared(function: Callable[..., Any]) -> Callable[[Op, Sources], Constant]:
    def rule(op: Op, sources: Sources) -> Constant:
        values = [source.values for source in sources]
        _sized(op, np.broadcast_shapes(*(v.shape for v in values)))
        return Constant(np.asarray(function(*values)).astype(np.int64))

    return rule


RULES.update({kind: _elementwise for kind in FUNCTIONS if kind not in RULES})
RULES.update(
    {
        "And": _compared(np.logical_and),
        "Cast": _cast,
        "Concat": _concat,
        "ConstantOfShape": _filled,
        "Equal": _compared(np.equal),
        "Expand": _expand,
        "Flatten": _flatten,
        "Gather": _gather,
        "Greater": _compared(np.greater),
        "Identity": _identity,
        "Less": _compared(np.less),
        "MatMul": _product,
        "Not": _compared(np.logical_not),
        "Or": _compared(np.logical_or),
        "Range": _range,
        "ReduceMax": _reduced(np.max),
        "ReduceMean": _reduced(np.mean),
        "ReduceMin": _reduced(np.min),
        "ReduceProd": _reduced(np.prod),
        "ReduceSum": _reduced(np.sum),
        "Reshape": _reshape,
        "Shape": _shape,
        "Size": lambda op, sources: Constant(np.array(sources[0].values.size)),  # noqa: ARG005
        "Slice": _slice,
        "Squeeze": _axes_changed,
        "Tile": _tile,
        "Transpose": _transpose,
        "Unsqueeze": _axes_changed,
        "Where": _where,
    }
)
