"""Constants and what scripts leave on them: folded before the graph is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from hls_export.integers import to_codes
from hls_export.passes.ranges import finest
from hls_export.qonnx import operators
from hls_export.qonnx.load import OnnxFile, Op
from hls_export.qonnx.quant import DOMAINS, constant_format, exponents, read_words
from torchq.errors import ExportError
from torchq.formats import FixedPoint, Overflow

QUANTS = ("Quant", "IntQuant")
MOST_PLAIN_BITS = 16


@dataclass(frozen=True, eq=False)
class Constant:
    """Values, and the grid that a quantizer put them on; None where none did."""

    values: npt.NDArray[Any]
    grid: FixedPoint | None = None

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
    known = {name: Constant(values) for name, values in file.constants.items()}
    rest: list[Op] = []
    for op in file.ops:
        sources = [name for name in op.inputs if name]
        rule = _RULES.get(op.kind) if op.domain in ("", "ai.onnx", *DOMAINS) else None
        if rule is None or not all(name in known for name in sources):
            rest.append(op)
            continue
        known[op.outputs[0]] = rule(op, [known[name] for name in sources])
    return known, rest


def _constant(op: Op, sources: list[Constant]) -> Constant:  # noqa: ARG001
    for name in ("value", "value_float", "value_floats", "value_int", "value_ints"):
        if name in op.attributes:
            values = np.asarray(op.attributes[name])
            return Constant(values.astype(np.float64 if values.dtype.kind == "f" else np.int64))
    raise ExportError(f"{op} has no numeric value")


def _quant(op: Op, sources: list[Constant]) -> Constant:
    values, scale, zeropt, bits = (source.values for source in sources)
    _no_zero_point(op, zeropt)
    word = read_words(str(op), bits, dict(op.attributes))
    grid = constant_format(str(op), word, scale)
    made = operators.quant(values, scale, zeropt, bits, word.signed, word.narrow, word.rounding)
    return Constant(made, grid)


def _bipolar(op: Op, sources: list[Constant]) -> Constant:
    values, scale = (source.values for source in sources)
    integer = exponents(str(op), scale) + 2
    return Constant(operators.bipolar(values, scale), FixedPoint(2, integer, overflow=Overflow.SAT_SYM))


def _no_zero_point(op: Op, zeropt: npt.NDArray[Any]) -> None:
    if np.any(zeropt != 0):
        worst = np.asarray(zeropt).flat[int(np.argmax(np.abs(zeropt)))]
        raise ExportError(
            f"{op} has zero-point {worst:g}, and fixed-point numbers have none", hint="quantize symmetrically"
        )


def moved(source: Constant, move: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]) -> Constant:
    """A constant whose elements move, and its grid with them."""
    grid = source.grid
    if grid is not None and not grid.is_scalar:
        shape = source.values.shape
        fields = (grid.width, grid.integer, grid.signed)
        width, integer, signed = (move(np.broadcast_to(np.asarray(field), shape)) for field in fields)
        grid = replace(grid, width=width, integer=integer, signed=signed)
    return Constant(move(source.values), grid)


def _transpose(op: Op, sources: list[Constant]) -> Constant:
    axes = op.attributes.get("perm")
    return moved(sources[0], lambda v: np.transpose(v, axes))


def _reshape(op: Op, sources: list[Constant]) -> Constant:  # noqa: ARG001
    wanted = [int(n) for n in sources[1].values.ravel()]
    shape = [sources[0].values.shape[i] if n == 0 else n for i, n in enumerate(wanted)]
    return moved(sources[0], lambda v: v.reshape(shape))


def _identity(op: Op, sources: list[Constant]) -> Constant:  # noqa: ARG001
    return sources[0]


_RULES: dict[str, Callable[[Op, list[Constant]], Constant]] = {
    "Constant": _constant,
    "Quant": _quant,
    "IntQuant": _quant,
    "BipolarQuant": _bipolar,
    "Identity": _identity,
    "Transpose": _transpose,
    "Reshape": _reshape,
}
