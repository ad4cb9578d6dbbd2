"""``Resize`` and ``Upsample`` to the nearest value: every one is picked from where the file says."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from hls_export.qonnx.load import Op
from hls_export.qonnx.ops_layout import select
from hls_export.qonnx.reader import Reader, check_size, reads
from torchq.errors import ExportError

Numbers = npt.NDArray[np.float64]

_NEAREST: dict[str, Callable[[Numbers], Numbers]] = {
    "round_prefer_floor": lambda x: np.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: np.floor(x + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}


@reads("Resize", "Upsample")
def _resize(reader: Reader, op: Op) -> None:
    source = reader.source(op)
    mode = str(op.attributes.get("mode", "nearest"))
    old = op.kind == "Upsample" or len(op.inputs) <= 2
    start = "asymmetric" if old else str(op.attributes.get("coordinate_transformation_mode", "half_pixel"))
    nearest = "floor" if old else str(op.attributes.get("nearest_mode", "round_prefer_floor"))
    factors, sizes = _factors(reader, op, source.shape, 1 if old else 2)
    known = mode == "nearest" and nearest in _NEAREST and start in _STARTS
    plain = (
        "axes" not in op.attributes and op.attributes.get("keep_aspect_ratio_policy", "stretch") == "stretch"
    )
    if start == "align_corners":  # ONNX leaves open whether a length with a fraction is cut off before
        plain = plain and all(n * f == s for n, f, s in zip(source.shape, factors, sizes, strict=False))
    if not known or not plain or len(factors) != len(source.shape):
        words = mode if mode != "nearest" else f"{mode}, {start}, {nearest}"
        raise ExportError(f"{op} resizes samples of shape {source.shape} by {factors} ({words})")
    check_size(str(op), sizes)
    places = []
    for length, size, factor in zip(source.shape, sizes, factors, strict=True):
        at = _STARTS[start](np.arange(size, dtype=np.float64), length, size, factor)
        places.append(np.clip(_NEAREST[nearest](at), 0, length - 1).astype(np.int64))
    select(reader, op, lambda numbers: numbers[np.ix_(*places)])


def _factors(
    reader: Reader, op: Op, shape: tuple[int, ...], place: int
) -> tuple[list[float], tuple[int, ...]]:
    """How much longer every axis of the sample becomes, and how long; nothing where that is not said."""
    given = op.attributes.get("scales")
    if given is None and reader.has(op, place):
        given = reader.constant(op, place, "scales").values
    factors = [float(v) for v in np.ravel([] if given is None else given)]
    if factors:
        fits = len(factors) == len(shape) + 1 and factors[0] == 1
        fits = fits and all(0 < f < np.inf for f in factors)
        made = tuple(int(np.floor(n * f)) for n, f in zip(shape, factors[1:], strict=False)) if fits else ()
        return (factors[1:] if fits else factors), made
    if reader.has(op, 3):
        wanted = [int(n) for n in np.ravel(reader.constant(op, 3, "sizes").values)]
        if len(wanted) == len(shape) + 1 and min(wanted[1:]) > 0:
            return [b / a for a, b in zip(shape, wanted[1:], strict=True)], tuple(wanted[1:])
    return [], ()


def _half(i: Numbers, length: int, size: int, factor: float) -> Numbers:  # noqa: ARG001
    return np.asarray((i + 0.5) / factor - 0.5)


def _torch(i: Numbers, length: int, size: int, factor: float) -> Numbers:
    return _half(i, length, size, factor) if size > 1 else np.zeros_like(i)


def _corners(i: Numbers, length: int, size: int, factor: float) -> Numbers:  # noqa: ARG001
    return np.asarray(i * (length - 1) / (size - 1)) if size > 1 else np.zeros_like(i)


def _plain(i: Numbers, length: int, size: int, factor: float) -> Numbers:  # noqa: ARG001
    return np.asarray(i / factor)


_STARTS: dict[str, Callable[[Numbers, int, int, float], Numbers]] = {
    "half_pixel": _half,
    "pytorch_half_pixel": _torch,
    "align_corners": _corners,
    "asymmetric": _plain,
}
"""From a place of the result to one of the sample, as ONNX's page of ``Resize`` has it."""
