"""Functions of one value: between two quantizers they are tables; and what bends at constants."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from hls_export.hardware import MOVES, Node, Quantize, Relu, ScaleShift, Table
from hls_export.integers import code_range
from hls_export.qonnx import operators
from hls_export.qonnx.constants import Constant
from hls_export.qonnx.load import Op
from hls_export.qonnx.reader import Reader, made_of, reads
from torchq.errors import ExportError
from torchq.formats import FixedPoint

MOST_ADDRESS_BITS = 12
Values = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False, kw_only=True)
class Function(Node):
    """A function that waits for the quantizer behind it; never part of a finished graph."""

    kind = "function"

    operator: str
    compute: Callable[[Values], Values]


def _registered(kind: str, function: Callable[..., Values], **defaults: float) -> None:
    @reads(kind)
    def _function(reader: Reader, op: Op) -> None:
        numbers = {name: float(op.attributes.get(name, value)) for name, value in defaults.items()}
        made = made_of(
            Function, op, reader.source(op), operator=str(op), compute=lambda x: function(x, **numbers)
        )
        reader.add(made, op.outputs[0])


_registered("Sigmoid", operators.sigmoid)
_registered("Tanh", np.tanh)
_registered("Exp", np.exp)
_registered("Log", np.log)
_registered("Sqrt", np.sqrt)
_registered("Reciprocal", np.reciprocal)
_registered("Softplus", operators.softplus)
_registered("Softsign", operators.softsign)
_registered("Elu", operators.elu, alpha=1.0)
_registered("HardSigmoid", operators.hard_sigmoid, alpha=0.2, beta=0.5)
_registered("HardSwish", operators.hard_swish)


def table_of(reader: Reader, op: Op, function: Function, rounded: Callable[[Values], Values]) -> Table:
    """The table of a function between two quantizers.

    Args:
        reader: the graph so far.
        op: the quantizer behind.
        function: what it reads.
        rounded: what that quantizer does.

    Raises:
        ExportError: no quantizer of at most 12 bits in front, or values that are not finite.
    """
    source = reader.nodes[function.inputs[0]]
    address, positive = _address(reader, source)
    if address is None or int(address.width) > MOST_ADDRESS_BITS:
        came = "no quantizer" if address is None else f"{address.width} bits"
        raise ExportError(
            f"{function.operator} has {came} in front of it, and becomes a table of all its inputs",
            hint=f"put a Quant of at most {MOST_ADDRESS_BITS} bits there",
        )
    size = 1 << int(address.width)
    codes = np.arange(size)
    codes = np.where(codes >= size // 2, codes - size, codes) if address.signed else codes
    low, high = code_range(int(address.width), bool(address.signed), address.overflow)
    x = np.clip(codes, 0 if positive else low, high) * float(address.lsb)
    with np.errstate(all="ignore"):
        values = np.asarray(rounded(function.compute(np.asarray(x, dtype=np.float64))), dtype=np.float64)
    if not np.isfinite(values).all():
        bad = float(x[~np.isfinite(values)][0])
        raise ExportError(f"{function.operator} is no finite number at {bad:g}, which its quantizer makes")
    return Table(
        name=function.name,
        inputs=function.inputs,
        shape=function.shape,
        tensor=op.outputs[0],
        address=address,
        values=values + 0.0,
    )


def _address(reader: Reader, node: Node) -> tuple[FixedPoint | None, bool]:
    """The format per tensor of a node's values, if one quantizer made them all; whether a relu was there."""
    positive = False
    while isinstance(node, (*MOVES, Relu)) and len(node.inputs) == 1:
        positive |= isinstance(node, Relu)
        node = reader.nodes[node.inputs[0]]
    grid = node.format if isinstance(node, Quantize) else None
    return (grid if grid is not None and grid.is_scalar else None), positive


@reads("Clip")
def _clip(reader: Reader, op: Op) -> None:
    """``hi - relu(hi - lo - relu(x - lo))``: exact, whatever the bounds are."""
    source = reader.source(op)
    low, high = (_bound(reader, op, place, name) for place, name in ((1, "min"), (2, "max")))
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
    reader.nodes[node.name] = replace(node, tensor=op.outputs[0])
    reader.made[op.outputs[0]] = node.name


def _bound(reader: Reader, op: Op, place: int, name: str) -> float | None:
    if name in op.attributes:
        return float(op.attributes[name])
    if not reader.has(op, place):
        return None
    value = float(np.asarray(reader.constant(op, place, name).values).reshape(-1)[0])
    return value if np.isfinite(value) and abs(value) < 1e30 else None


def _affine(reader: Reader, op: Op, source: Node, scale: float, shift: float, name: str) -> Node:
    values = np.array([shift])
    made = made_of(
        ScaleShift,
        op,
        source,
        scale=np.array([scale]),
        scale_format=FixedPoint(2, 2),
        shift=values,
        shift_format=Constant(values).stands_on(f"the bounds of {op}"),
    )
    return reader.add(replace(made, name=f"{op.name}.{name}"), f"{op.outputs[0]}.{name}")


def _relu(reader: Reader, op: Op, source: Node, name: str) -> Node:
    made: Any = made_of(Relu, op, source)
    return reader.add(replace(made, name=f"{op.name}.{name}"), f"{op.outputs[0]}.{name}")
