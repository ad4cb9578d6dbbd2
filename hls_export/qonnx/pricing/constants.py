"""What does not depend on the input: values, formats of what quantizers made of them, and codes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hls_export.qonnx import operators
from hls_export.qonnx.load import Op
from hls_export.qonnx.pricing.grids import Integers, bipolar_grid, coded_grid, integers_of, quant_grid
from hls_export.qonnx.pricing.stated import refined
from torchq.errors import ExportError
from torchq.formats import FixedPoint, Format

if TYPE_CHECKING:
    import onnx

Values = npt.NDArray[Any]
MOST_PLAIN_BITS = 16
MOST_VALUES = 2**28
"""A constant that is computed from others is never larger than this."""


@dataclass(frozen=True, eq=False)
class Constant:
    """A tensor that does not depend on the input.

    Args:
        values: float64 or int64; None where they are computed by something that is not followed.
        format: of the values, where a quantizer made them.
        codes: the range of the integers, where they are the codes of a quantizer.
        note: what the format leaves out.
        where: the node that made it.
        channels: formats by channel or element that the file states of it, in the layout of the layer.
    """

    values: Values | None
    format: Format | None = None
    codes: Integers | None = None
    note: str = ""
    where: str = ""
    channels: FixedPoint | None = None

    @property
    def array(self) -> Values:
        """The values.

        Raises:
            ExportError: they are not followed.
        """
        if self.values is None:
            raise ExportError(f"{self.where or 'an empty input'} is a constant whose values are not followed")
        return self.values

    def on_grid(self) -> Constant:
        """With a format, if a grid of at most 16 bits holds values that no quantizer made.

        An exporter may have rounded them before; plain float weights need far more.
        """
        if self.format is not None or self.values is None:
            return self
        grid = narrow_grid(np.asarray(self.values, dtype=np.float64))
        return self if grid is None else replace(self, format=grid)


def narrow_grid(values: npt.NDArray[np.float64]) -> FixedPoint | None:
    """The smallest format per tensor that holds all values, if it has at most 16 bits.

    Example:
        >>> str(narrow_grid(np.array([0.75, -0.5]))), narrow_grid(np.array([0.1]))
        ('ap_fixed<3,1,RND_CONV,SAT>', None)
    """
    if not np.isfinite(values).all() or not values.size:
        return None
    low, high = float(values.min()), float(values.max())
    signed = low < 0
    top = max(abs(low), abs(high))
    if top == 0:
        return FixedPoint(1, 1, False)
    _, most = np.frexp(top)
    for fraction in range(int(most) * -1, MOST_PLAIN_BITS - int(most) + 1):
        codes = np.ldexp(values, fraction)
        if np.array_equal(codes, np.rint(codes)):
            break
    else:
        return None
    least, largest = int(np.ldexp(low, fraction)), int(np.ldexp(high, fraction))
    width = max(largest.bit_length() if largest > 0 else 0, (-least - 1).bit_length() if signed else 0)
    width += int(signed)
    width = max(width, 1)
    return FixedPoint(width, width - fraction, signed) if width <= MOST_PLAIN_BITS else None


class Folding:
    """Every constant of a file as far as it is known.

    Args:
        model: the file.
        values: its initializers.
        stated: formats that the file states in words.
        channels: formats by channel or element that it states.
    """

    def __init__(
        self,
        model: onnx.ModelProto,
        values: Mapping[str, Values],
        stated: Mapping[str, Format],
        channels: Mapping[str, FixedPoint],
    ) -> None:
        self.stated, self.channels = stated, channels
        self.known: dict[str, Constant] = {}
        types = _types(model)
        for name, value in values.items():
            self.known[name] = Constant(_plain(value), codes=types.get(name), where=name)
        self._types = types

    def take(self, op: Op) -> bool:
        """Fold a node whose inputs are all known; whether they are."""
        if not all(name in self.known for name in op.inputs if name):
            return False
        sources = [self.known[name] if name else Constant(None) for name in op.inputs]
        rule = _RULES.get(op.kind)
        for name in op.outputs:
            self.known[name] = Constant(None, where=str(op))
        if rule is not None and all(s.values is not None for s in sources if s.where):
            made = rule(op, sources)
            if op.kind == "Constant":
                made = replace(made, codes=self._types.get(op.outputs[0]))
            name = op.name.removesuffix(".quant")
            if op.kind in ("Quant", "BipolarQuant", "IntQuant") and made.format is not None:
                format = refined(made.format, self.stated.get(name))
                made = replace(made, format=format, channels=self.channels.get(name))
            self.known[op.outputs[0]] = made
        return True


def _types(model: onnx.ModelProto) -> dict[str, Integers]:
    """The integer ranges of the types of initializers and of ``Constant`` nodes."""
    import onnx

    tensors = [(t.name, t) for t in model.graph.initializer]
    for node in model.graph.node:
        if node.op_type == "Constant":
            tensors += [(node.output[0], a.t) for a in node.attribute if a.HasField("t")]
    found = {}
    for name, tensor in tensors:
        codes = integers_of(onnx.TensorProto.DataType.Name(tensor.data_type))
        if codes is not None:
            found[name] = codes
    return found


def _plain(values: Values) -> Values:
    """Float64 or int64; small integer types of other libraries become int64."""
    values = np.asarray(values)
    return values if values.dtype in (np.float64, np.int64) else values.astype(np.float64)


def _constant(op: Op, _: list[Constant]) -> Constant:
    for name in ("value", "value_float", "value_floats", "value_int", "value_ints"):
        if name in op.attributes:
            values = np.asarray(op.attributes[name])
            return Constant(values.astype(np.float64 if values.dtype.kind == "f" else np.int64))
    return Constant(None, where=str(op))


def _quant(op: Op, sources: list[Constant]) -> Constant:
    values, scale, zeropt, bits = (s.array for s in sources[:4])
    grid = quant_grid(str(op), bits, scale, zeropt, op.attributes)
    signed, narrow = bool(op.attributes.get("signed", 1)), bool(op.attributes.get("narrow", 0))
    mode = str(op.attributes.get("rounding_mode", "ROUND"))
    made = operators.quant(values, scale, zeropt, bits, signed, narrow, mode)
    return Constant(made, _fitting(grid.format, made), note=grid.note, where=str(op))


def _bipolar(op: Op, sources: list[Constant]) -> Constant:
    values, scale = (s.array for s in sources[:2])
    grid = bipolar_grid(str(op), scale)
    return Constant(operators.bipolar(values, scale), grid.format, note=grid.note, where=str(op))


def _encode(op: Op, sources: list[Constant]) -> Constant:
    """``QuantizeLinear``."""
    values, scale = sources[0].array, sources[1].array
    zero = sources[2] if len(sources) > 2 and sources[2].values is not None else None
    codes = zero.codes if zero is not None and zero.codes is not None else Integers(0, 255)
    scale = along_axis(scale, values.ndim, int(op.attributes.get("axis", 1)))
    zeropt = 0 if zero is None else along_axis(zero.array, values.ndim, int(op.attributes.get("axis", 1)))
    coded = np.clip(np.rint(values / scale) + zeropt, codes.low, codes.high)
    return Constant(coded.astype(np.int64), codes=codes, where=str(op))


def _decode(op: Op, sources: list[Constant]) -> Constant:
    """``DequantizeLinear``."""
    values, scale = sources[0].array, sources[1].array
    codes = sources[0].codes
    if codes is None:
        raise ExportError(f"{op} reads codes of a type that is no integer")
    axis = int(op.attributes.get("axis", 1))
    scale = along_axis(scale, values.ndim, axis)
    given = sources[2].array if len(sources) > 2 and sources[2].values is not None else np.zeros(())
    zeropt = along_axis(given, values.ndim, axis)
    grid = coded_grid(str(op), codes, scale, zeropt)
    made = (values.astype(np.float64) - zeropt) * scale
    return Constant(made, _fitting(grid.format, made), note=grid.note, where=str(op))


def _clip(op: Op, sources: list[Constant]) -> Constant:
    values, low, high = sources[0].array, *clip_ends(op, sources[1:])
    codes = sources[0].codes
    return Constant(
        np.clip(values, low, high), codes=None if codes is None else codes.clipped(low, high), where=str(op)
    )


def clip_ends(op: Op, sources: list[Constant]) -> tuple[float, float]:
    """Both ends of a ``Clip``, from its inputs or (before opset 11) its attributes."""
    given = [s.values for s in sources] + [None] * 2
    low = op.attributes.get("min", -np.inf) if given[0] is None else float(given[0].reshape(-1)[0])
    high = op.attributes.get("max", np.inf) if given[1] is None else float(given[1].reshape(-1)[0])
    return float(low), float(high)


def along_axis(scale: Values, axes: int, axis: int) -> Values:
    """A scale per channel, shaped to broadcast.

    Example:
        >>> along_axis(np.ones(3), 4, 1).shape
        (1, 3, 1, 1)
    """
    if scale.size == 1:
        return scale.reshape(())
    if scale.ndim != 1 or not -axes <= axis < axes:
        return scale
    shape = [1] * axes
    shape[axis] = scale.size
    return scale.reshape(shape)


def _fitting(format: Format, values: Values) -> Format:
    """A format whose fields broadcast against the values; one that does not is an error of the file."""
    if isinstance(format, FixedPoint) and not format.is_scalar:
        np.broadcast_to(np.asarray(format.width) + np.asarray(format.integer), values.shape)
    return format


def moved(source: Constant, move: Callable[[Values], Values]) -> Constant:
    """A constant whose elements move, and its format with them."""
    values, format = source.array, source.format
    if isinstance(format, FixedPoint) and not format.is_scalar:
        fields = (format.width, format.integer, format.signed)
        width, integer, signed = (move(np.broadcast_to(np.asarray(f), values.shape)) for f in fields)
        format = FixedPoint(width, integer, signed, format.rounding, format.overflow)
    return replace(source, values=move(values), format=format)


def _transpose(op: Op, sources: list[Constant]) -> Constant:
    return moved(sources[0], lambda v: np.transpose(v, op.attributes.get("perm")))


def _reshape(op: Op, sources: list[Constant]) -> Constant:  # noqa: ARG001
    before = sources[0].array.shape
    wanted = [int(n) for n in sources[1].array.ravel()]
    shape = [before[i] if n == 0 and i < len(before) else n for i, n in enumerate(wanted)]
    return moved(sources[0], lambda v: v.reshape(shape))


def _flatten(op: Op, sources: list[Constant]) -> Constant:
    axis = int(op.attributes.get("axis", 1))
    return moved(sources[0], lambda v: v.reshape(int(np.prod(v.shape[:axis], dtype=np.int64)), -1))


def _axes(op: Op, sources: list[Constant]) -> list[int]:
    given = op.attributes.get("axes")
    if given is None and len(sources) > 1 and sources[1].values is not None:
        given = sources[1].values.ravel().tolist()
    return [] if given is None else [int(a) for a in given]


def _squeeze(op: Op, sources: list[Constant]) -> Constant:
    axes = tuple(_axes(op, sources)) or None
    return moved(sources[0], lambda v: np.squeeze(v, axes))


def _unsqueeze(op: Op, sources: list[Constant]) -> Constant:
    return moved(sources[0], lambda v: np.expand_dims(v, tuple(_axes(op, sources))))


def _same(op: Op, sources: list[Constant]) -> Constant:  # noqa: ARG001
    return sources[0]


def _binary(function: Callable[[Values, Values], Values]) -> Callable[[Op, list[Constant]], Constant]:
    def rule(op: Op, sources: list[Constant]) -> Constant:
        a, b = sources[0].array, sources[1].array
        if int(np.prod(np.broadcast_shapes(a.shape, b.shape), dtype=object)) > MOST_VALUES:
            raise ExportError(f"{op} makes a constant of more than {MOST_VALUES:,} values")
        with np.errstate(all="ignore"):
            return Constant(_plain(function(a, b)), where=str(op))

    return rule


def _unary(function: Callable[[Values], Values]) -> Callable[[Op, list[Constant]], Constant]:
    def rule(op: Op, sources: list[Constant]) -> Constant:
        with np.errstate(all="ignore"):
            return Constant(_plain(function(sources[0].array)), where=str(op))

    return rule


_RULES: dict[str, Callable[[Op, list[Constant]], Constant]] = {
    "Abs": _unary(np.abs),
    "Add": _binary(np.add),
    "BipolarQuant": _bipolar,
    "Cast": _same,
    "Clip": _clip,
    "Constant": _constant,
    "DequantizeLinear": _decode,
    "Div": _binary(np.divide),
    "Exp": _unary(np.exp),
    "Flatten": _flatten,
    "Identity": _same,
    "IntQuant": _quant,
    "Mul": _binary(np.multiply),
    "Neg": _unary(np.negative),
    "Pow": _binary(np.power),
    "Quant": _quant,
    "QuantizeLinear": _encode,
    "Reciprocal": _unary(lambda v: 1.0 / v),
    "Reshape": _reshape,
    "Sqrt": _unary(np.sqrt),
    "Squeeze": _squeeze,
    "Sub": _binary(np.subtract),
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
