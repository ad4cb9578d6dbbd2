"""Functions of one value: whatever stands between two quantizers of a tensor becomes one table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from hls_export.hardware import MOVES, Identity, Node, Quantize, Relu, ScaleShift, Table
from hls_export.integers import code_range
from hls_export.qonnx.constants import Constant
from hls_export.qonnx.elementwise import FUNCTIONS, computed
from hls_export.qonnx.load import STANDARD, Op
from hls_export.qonnx.reader import HANDLERS, Reader, made_of, reads
from torchq.errors import ExportError
from torchq.formats import FixedPoint

MOST_ADDRESS_BITS = 12
Values = npt.NDArray[np.float64]

NATIVE = ("Add", "Clip", "Div", "LeakyRelu", "Mul", "Neg", "PRelu", "Relu", "Sub")
"""What hardware computes without a table wherever its constants allow it."""


@dataclass(frozen=True, eq=False)
class Curve:
    """What every code of a quantizer becomes.

    Args:
        root: the node whose values are the addresses.
        address: the format of its codes.
        values: one a code, the negative ones in the upper half.
    """

    root: Node
    address: FixedPoint
    values: Values


@dataclass(frozen=True, eq=False, kw_only=True)
class Function(Node):
    """A function that waits for the quantizer behind it; never part of a finished graph.

    ``reason`` is what hardware without a table lacks, for operators that need none at other constants.
    """

    kind = "function"

    operator: str
    curve: Curve
    reason: ExportError | None = None


def _function(reader: Reader, op: Op) -> None:
    curve, width = _composed(reader, op), _width(reader, reader.source(op))
    if curve is None:
        came = "no quantizer" if width is None else f"{width} bits"
        raise ExportError(
            f"{op} has {came} in front of it, and becomes a table of all its inputs",
            hint=f"put a Quant of at most {MOST_ADDRESS_BITS} bits there",
        )
    _add_function(reader, op, curve, None)


reads(*(kind for kind in FUNCTIONS if kind not in NATIVE))(_function)


def read_op(reader: Reader, op: Op) -> None:
    """Read one operator by its handler; or, where that refuses it or a function is in front, as a table."""
    handler = HANDLERS[op.domain, op.kind]
    small = op.domain in STANDARD and op.kind in NATIVE
    behind = small and any(isinstance(node, Function) for node in _activations(reader, op))
    try:
        if not behind:
            handler(reader, op)
            return
        reason = None
    except ExportError as fault:
        if not small:
            raise
        reason = fault
    curve = _composed(reader, op)
    if curve is None and reason is not None:
        raise reason
    if curve is None:
        raise ExportError(
            f"{op} joins a function of one quantizer with what another one made",
            hint="put a Quant behind the function",
        )
    _add_function(reader, op, curve, reason)


def _add_function(reader: Reader, op: Op, curve: Curve, reason: ExportError | None) -> None:
    made = made_of(Function, op, curve.root, operator=str(op), curve=curve, reason=reason)
    reader.add(made, op.outputs[0])


def _activations(reader: Reader, op: Op) -> list[Node]:
    names = [name for name in op.inputs if name in reader.made]
    return [reader.nodes[reader.made[name]] for name in names]


def _composed(reader: Reader, op: Op) -> Curve | None:
    """The curve of an operator whose inputs are functions of one quantizer's codes, and single numbers."""
    parts: list[Any] = []
    found: Curve | None = None
    for name in op.inputs:
        if not name:
            parts.append(None)
        elif name in reader.made:
            curve = _curve(reader, reader.nodes[reader.made[name]])
            if curve is None or (found is not None and found.root.name != curve.root.name):
                return None
            found = curve
            parts.append(curve.values)
        else:
            values = np.asarray(reader.constants[name].values)
            if values.size != 1 or values.ndim > 1 + _rank(reader, op):
                return None
            parts.append(values.reshape(()).astype(np.float64))
    if found is None:
        return None
    values = np.asarray(computed(op.kind, op.attributes, parts), dtype=np.float64)
    return replace(found, values=np.broadcast_to(values, found.values.shape))


def _rank(reader: Reader, op: Op) -> int:
    """How many axes the samples have that an operator reads."""
    return max((len(node.shape) for node in _activations(reader, op)), default=0)


def _curve(reader: Reader, node: Node) -> Curve | None:
    """The curve of a node's values, if each depends on one code of one narrow quantizer alone."""
    steps: list[Node] = []
    while True:
        if isinstance(node, Function):
            found: Curve | None = node.curve
            break
        if isinstance(node, Table):
            found = Curve(reader.nodes[node.inputs[0]], node.address, node.values)
            break
        if isinstance(node, Relu) or (isinstance(node, ScaleShift) and _plain(reader, node)):
            steps.append(node)
            node = reader.nodes[node.inputs[0]]
            continue
        found = _codes(reader, node)
        break
    if found is None:
        return None
    values = found.values
    for step in reversed(steps):
        if isinstance(step, ScaleShift):
            values = values * step.scale.reshape(())
            values = values if step.shift is None else values + step.shift.reshape(())
        else:
            values = np.maximum(values, 0)
    return replace(found, values=values)


def _plain(reader: Reader, node: ScaleShift) -> bool:
    """Whether the numbers are single ones, and no axis is repeated."""
    single = node.scale.size == 1 and (node.shift is None or node.shift.size == 1)
    return single and reader.nodes[node.inputs[0]].shape == node.shape


def _codes(reader: Reader, node: Node) -> Curve | None:
    """The values of the codes that a node hands on, if one narrow quantizer made them all."""
    address, positive = _address(reader, node)
    if address is None or int(address.width) > MOST_ADDRESS_BITS:
        return None
    size = 1 << int(address.width)
    codes = np.arange(size)
    codes = np.where(codes >= size // 2, codes - size, codes) if address.signed else codes
    low, high = code_range(int(address.width), bool(address.signed), address.overflow)
    values = np.clip(codes, 0 if positive else low, high) * float(address.lsb)
    return Curve(node, address, np.asarray(values, dtype=np.float64))


def _address(reader: Reader, node: Node) -> tuple[FixedPoint | None, bool]:
    """The format per tensor of a node's values, if one quantizer made them all; whether a relu was there."""
    positive = False
    while isinstance(node, (*MOVES, Relu)) and len(node.inputs) == 1:
        positive |= isinstance(node, Relu)
        node = reader.nodes[node.inputs[0]]
    grid = node.format if isinstance(node, Quantize) else None
    return (grid if grid is not None and grid.is_scalar else None), positive


def _width(reader: Reader, node: Node) -> int | None:
    grid, _ = _address(reader, node)
    return None if grid is None else int(grid.width)


def add_table(reader: Reader, op: Op, function: Function, rounded: Callable[[Values], Values]) -> None:
    """The table of a function, in the place of the quantizer behind it.

    Args:
        reader: the graph so far.
        op: the quantizer behind.
        function: what it reads.
        rounded: what that quantizer does.

    Raises:
        ExportError: values that are not finite.
    """
    curve = function.curve
    with np.errstate(all="ignore"):
        values = np.asarray(rounded(curve.values), dtype=np.float64)
    bad = ~np.isfinite(values)
    if bad.any():
        base = _codes(reader, curve.root)
        at = "" if base is None else f" at {float(base.values[bad][0]):g}, which its quantizer makes"
        raise ExportError(f"{function.operator} is no finite number{at}")
    made: Table = made_of(
        Table, op, curve.root, address=curve.address, values=values + 0.0, shape=function.shape
    )
    if reader.alone(function):
        reader.replace(function, made, op.outputs[0])
    else:
        reader.add(made, op.outputs[0])


@reads("Clip")
def _clip(reader: Reader, op: Op) -> None:
    """``hi - relu(hi - lo - relu(x - lo))``: exact, whatever the bounds are."""
    source = reader.source(op)
    low, high = (_bound(reader, op, place, name) for place, name in ((1, "min"), (2, "max")))
    for value in (low, high):
        if value is not None:
            _grid(op, np.array([value]))
    node = source
    if low is not None:
        shifted = node if low == 0 else _affine(reader, op, node, 1.0, -low, "above")
        node = _relu(reader, op, shifted, "low")
    if high is not None:
        rest = high - (low or 0.0)
        node = _relu(reader, op, _affine(reader, op, node, -1.0, rest, "below"), "high")
        node = _affine(reader, op, node, -1.0, high, "clipped")
    elif low:
        node = _affine(reader, op, node, 1.0, low, "clipped")
    elif node is source:
        node = reader.add(made_of(Identity, op, source), op.outputs[0])
    reader.nodes[node.name] = replace(node, tensor=op.outputs[0])
    reader.made[op.outputs[0]] = node.name


_NO_BOUND = 1e30
"""What scripts write where there is none."""


def _bound(reader: Reader, op: Op, place: int, name: str) -> float | None:
    if name in op.attributes:
        value = float(op.attributes[name])
    elif reader.has(op, place):
        value = float(np.asarray(reader.constant(op, place, name).values).reshape(-1)[0])
    else:
        return None
    away = value < 0 if name == "min" else value > 0
    if np.isnan(value) or (abs(value) >= _NO_BOUND and not away):
        raise ExportError(f"{op} has the bound {value:g}, which leaves no number")
    return value if abs(value) < _NO_BOUND else None


def _grid(op: Op, values: Values) -> FixedPoint:
    return Constant(values).stands_on(f"the bounds of {op}")


def _affine(reader: Reader, op: Op, source: Node, scale: float, shift: float, name: str) -> Node:
    values = np.array([shift])
    made = made_of(
        ScaleShift,
        op,
        source,
        scale=np.array([scale]),
        scale_format=FixedPoint(2, 2),
        shift=values,
        shift_format=_grid(op, values),
    )
    return reader.add(replace(made, name=f"{op.name}.{name}"), f"{op.outputs[0]}.{name}")


def _relu(reader: Reader, op: Op, source: Node, name: str) -> Node:
    made: Any = made_of(Relu, op, source)
    return reader.add(replace(made, name=f"{op.name}.{name}"), f"{op.outputs[0]}.{name}")
