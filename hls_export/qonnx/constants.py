"""Constants and what scripts leave on them: folded before the graph is read."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from hls_export.integers import to_codes
from hls_export.passes.ranges import finest
from hls_export.qonnx import operators
from hls_export.qonnx.load import STANDARD, OnnxFile, Op
from hls_export.qonnx.quant import DOMAINS, constant_format, exponents, read_words
from torchq.errors import ExportError
from torchq.formats import FixedPoint, Overflow

QUANTS = ("Quant", "IntQuant")
MOST_PLAIN_BITS = 16


@dataclass(frozen=True, eq=False)
class Constant:
    """Values, the grid that a quantizer put them on (None where none did), and their type in the file."""

    values: npt.NDArray[Any]
    grid: FixedPoint | None = None
    type: str = ""

    def stands_on(self, where: str) -> FixedPoint:
        """The grid of the values.

        Values that no ``Quant`` made are taken as they are if a grid of at most 16 bits holds them all: an
        exporter may have rounded them before. Plain float weights need far more.

        Raises:
            ExportError: no quantizer made them, and no narrow grid holds them.
        """
        if self.grid is not None:
            return self.grid
        values = np.asarray(self.values, dtype=np.float64)
        if not np.isfinite(values).all():
            raise ExportError(f"{where} has values that are not finite")
        fraction = finest(values)
        codes = to_codes(values, fraction).ravel().tolist()
        low, high = min(codes, default=0), max(codes, default=0)
        width = max(high.bit_length(), (-low - 1).bit_length() if low < 0 else 0) + int(low < 0)
        if width > MOST_PLAIN_BITS:
            raise ExportError(
                f"{where} has values that no Quant made, and they need {width} bits",
                hint="quantize it before the export",
            )
        return FixedPoint(max(width, 1), max(width, 1) - fraction, low < 0)


def fold(file: OnnxFile) -> tuple[dict[str, Constant], list[Op]]:
    """Every tensor that does not depend on the input, and the operators that do.

    Raises:
        ExportError: a ``Quant`` of a constant that stands on no fixed-point grid.
    """
    known = {name: Constant(v, type=file.types.get(name, "")) for name, v in file.constants.items()}
    return known, [op for op in file.ops if not fold_op(op, known, file.types)]


def foldable(op: Op, known: Container[str]) -> bool:
    """Whether an operator reads constants alone, and is known."""
    domains = DOMAINS if op.kind in (*QUANTS, "BipolarQuant") else STANDARD
    return op.kind in RULES and op.domain in domains and all(name in known for name in op.inputs if name)


def fold_op(op: Op, known: dict[str, Constant], types: Mapping[str, str]) -> bool:
    """Whether an operator makes a constant; it is added."""
    if not foldable(op, known):
        return False
    sources = [known[name] if name else None for name in op.inputs]
    made = RULES[op.kind](op, sources)
    known[op.outputs[0]] = replace(made, type=made.type or types.get(op.outputs[0], ""))
    return True


Sources = list[Any]
"""Constants in the order of an operator's inputs; None where one is left out."""


def _constant(op: Op, sources: Sources) -> Constant:  # noqa: ARG001
    for name in ("value", "value_float", "value_floats", "value_int", "value_ints"):
        if name in op.attributes:
            values = np.asarray(op.attributes[name])
            return Constant(values.astype(np.float64 if values.dtype.kind == "f" else np.int64))
    raise ExportError(f"{op} has no numeric value")


def _quant(op: Op, sources: Sources) -> Constant:
    values, scale, zeropt, bits = (source.values for source in sources)
    _no_zero_point(op, zeropt)
    word = read_words(str(op), bits, dict(op.attributes))
    grid = constant_format(str(op), word, scale)
    made = operators.quant(values, scale, zeropt, bits, word.signed, word.narrow, word.rounding)
    return Constant(made, grid)


def _bipolar(op: Op, sources: Sources) -> Constant:
    values, scale = (source.values for source in sources)
    integer = exponents(str(op), scale) + 2
    return Constant(operators.bipolar(values, scale), FixedPoint(2, integer, overflow=Overflow.SAT_SYM))


def _no_zero_point(op: Op, zeropt: npt.NDArray[Any]) -> None:
    if np.any(zeropt != 0):
        worst = np.asarray(zeropt).flat[int(np.argmax(np.abs(zeropt)))]
        raise ExportError(
            f"{op} has zero-point {worst:g}, and fixed-point numbers have none", hint="quantize symmetrically"
        )


def quantize_linear(op: Op, sources: Sources) -> Constant:
    """``QuantizeLinear`` of a constant: integer codes of the zero-point's type."""
    kind = sources[2].type if len(sources) > 2 else "uint8"
    low, high = type_range(op, kind)
    scale = along(op, sources[1].values, sources[0].values.ndim)
    zero = along(op, sources[2].values, sources[0].values.ndim) if len(sources) > 2 and sources[2] else 0
    return Constant(np.clip(np.rint(sources[0].values / scale) + zero, low, high), type=kind)


def clip_codes(op: Op, sources: Sources) -> Constant:  # noqa: ARG001
    """``Clip`` of constants, such as integer codes."""
    low, high = (sources[i].values if len(sources) > i and sources[i] else None for i in (1, 2))
    return Constant(np.clip(sources[0].values, low, high), type=sources[0].type)


def dequantize_linear(op: Op, sources: Sources) -> Constant:
    """``DequantizeLinear`` of integer codes: values on the grid of the scale."""
    values = np.asarray(sources[0].values, dtype=np.float64)
    low, high = type_range(op, sources[0].type)
    if len(sources) > 2 and sources[2] and np.any(sources[2].values != 0):
        values = values - along(op, sources[2].values, values.ndim)
        low, high = -(high - low), high - low
    scale = along(op, sources[1].values, values.ndim)
    power = exponents(str(op), scale)
    width = (high - low).bit_length()
    grid = FixedPoint(width + np.zeros_like(power), width + power, low < 0)
    return Constant(
        values * scale, FixedPoint(width, width + int(power), low < 0) if scale.ndim == 0 else grid
    )


_NARROW = {"int4": (-8, 7), "uint4": (0, 15), "int2": (-2, 1), "uint2": (0, 3)}
"""Types that numpy does not know."""


def type_range(op: Op, kind: str) -> tuple[int, int]:
    """The smallest and the largest integer of a type.

    Raises:
        ExportError: it is no type of integers.
    """
    if kind in _NARROW:
        return _NARROW[kind]
    try:
        info = np.iinfo(kind)
    except (TypeError, ValueError):
        raise ExportError(f"{op} has codes of type {kind or 'unknown'}, and integers are needed") from None
    return int(info.min), int(info.max)


def along(op: Op, scale: npt.NDArray[Any], axes: int) -> npt.NDArray[np.float64]:
    """A scale for a tensor, or one a place along the operator's axis."""
    exact = np.asarray(scale, dtype=np.float64)
    if exact.size == 1:
        return exact.reshape(())
    shape = [1] * axes
    shape[int(op.attributes.get("axis", 1))] = -1
    return exact.reshape(shape)


def moved(source: Constant, move: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]) -> Constant:
    """A constant whose elements move, and its grid with them."""
    grid = source.grid
    if grid is not None and not grid.is_scalar:
        shape = source.values.shape
        fields = (grid.width, grid.integer, grid.signed)
        width, integer, signed = (move(np.broadcast_to(np.asarray(field), shape)) for field in fields)
        grid = replace(grid, width=width, integer=integer, signed=signed)
    return Constant(move(source.values), grid)


RULES: dict[str, Callable[[Op, Sources], Constant]] = {
    "Constant": _constant,
    "Quant": _quant,
    "IntQuant": _quant,
    "BipolarQuant": _bipolar,
    "QuantizeLinear": quantize_linear,
    "Clip": clip_codes,
    "DequantizeLinear": dequantize_linear,
}
"""What is made of constants, by operator; :mod:`hls_export.qonnx.folding` adds ONNX's own."""
