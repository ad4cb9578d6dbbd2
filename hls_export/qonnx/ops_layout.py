"""Operators that move, repeat, cut or pad: all of them pick values from where they stand."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from hls_export.hardware import Reshape, Select
from hls_export.qonnx.load import Op
from hls_export.qonnx.reader import Reader, check_size, made_of, reads, sample_axis
from torchq.errors import ExportError

Places = npt.NDArray[np.int64]


def select(reader: Reader, op: Op, move: Callable[[Places], Any], output: int = 0) -> None:
    """A node that picks what ``move`` leaves of the numbers of all places; -1 stands for zeros."""
    source = reader.source(op)
    numbers = np.arange(math.prod(source.shape), dtype=np.int64).reshape(source.shape)
    indices = np.asarray(move(numbers), dtype=np.int64)
    made = made_of(Select, op, source, shape=indices.shape, indices=indices)
    name = op.name if output == 0 else f"{op.name}.{output}"
    reader.add(replace(made, name=name), op.outputs[output])


def _integers(reader: Reader, op: Op, place: int, name: str) -> list[int] | None:
    """Whole numbers from an attribute (older opsets) or an input (newer ones); None where left out."""
    if name in op.attributes:
        given = op.attributes[name]
        return [int(n) for n in (given if isinstance(given, list | tuple) else [given])]
    if reader.has(op, place):
        return [int(n) for n in np.ravel(reader.constant(op, place, name).values)]
    return None


@reads("Squeeze", "Unsqueeze")
def _squeeze(reader: Reader, op: Op) -> None:
    source = reader.source(op)
    axes = _integers(reader, op, 1, "axes")
    rank = len(source.shape) + 1
    if op.kind == "Unsqueeze":
        made = rank + len(axes or [])
        places = sorted(axis % made for axis in axes or [])
        beside = any(not -made <= axis < made for axis in axes or [])
        if beside or not places or places[0] == 0 or len(set(places)) != len(places):
            raise ExportError(f"{op} adds the axes {axes} to samples of shape {source.shape}")
        rest = iter((1, *source.shape))
        shape = tuple(1 if i in places else next(rest) for i in range(made))[1:]
    else:
        if axes is None:
            raise ExportError(f"{op} takes all axes of length 1 away, perhaps the batch's", hint="name them")
        gone = {sample_axis(op, axis, source.shape) for axis in axes}
        if any(source.shape[axis] != 1 for axis in gone):
            raise ExportError(f"{op} takes the axes {axes} away from samples of shape {source.shape}")
        shape = tuple(n for i, n in enumerate(source.shape) if i not in gone)
    reader.add(made_of(Reshape, op, source, shape=shape), op.outputs[0])


@reads("Slice")
def _slice(reader: Reader, op: Op) -> None:
    source = reader.source(op)
    starts, ends = (_integers(reader, op, i + 1, name) or [] for i, name in enumerate(("starts", "ends")))
    axes = _integers(reader, op, 3, "axes") or list(range(len(starts)))
    steps = _integers(reader, op, 4, "steps") or [1] * len(starts)
    if not starts or not len(starts) == len(ends) == len(axes) == len(steps):
        raise ExportError(f"{op} cuts from {starts} to {ends} along {axes} in steps of {steps}")
    cuts: list[Any] = [slice(None)] * len(source.shape)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        if axis == 0 and start == 0 and end >= 1 << 30 and step == 1:
            continue  # the whole batch
        place = sample_axis(op, axis, source.shape)
        past = step < 0 and end < -source.shape[place]
        cuts[place] = slice(start, None if past else end, step)
    select(reader, op, lambda numbers: numbers[tuple(cuts)])


@reads("Split")
def _split(reader: Reader, op: Op) -> None:
    source = reader.source(op)
    axis = sample_axis(op, int(op.attributes.get("axis", 0)), source.shape)
    length, count = source.shape[axis], len(op.outputs)
    sizes = _integers(reader, op, 1, "split") or [length // count] * count
    if sum(sizes) != length or len(sizes) != count:
        raise ExportError(f"{op} splits {length} places into {sizes}")
    ends = np.cumsum(sizes)
    for i, (end, size) in enumerate(zip(ends, sizes, strict=True)):
        if op.outputs[i]:
            span = range(int(end) - size, int(end))
            select(reader, op, partial(np.take, indices=span, axis=axis), i)


_PADS = {"constant": "constant", "reflect": "reflect", "edge": "edge", "wrap": "wrap"}


@reads("Pad")
def _pad(reader: Reader, op: Op) -> None:
    source = reader.source(op)
    mode = str(op.attributes.get("mode", "constant"))
    pads = _integers(reader, op, 1, "pads") or []
    rank = len(source.shape) + 1
    value = float(op.attributes.get("value", 0.0))
    if reader.has(op, 2):
        value = float(np.ravel(reader.constant(op, 2, "value").values)[0])
    if reader.has(op, 3):
        raise ExportError(f"{op} names the axes that it pads", hint="say pads for all axes")
    odd = mode not in _PADS or len(pads) != 2 * rank or pads[0] or pads[rank]
    odd = odd or (mode != "constant" and min(pads) < 0)
    if odd or (mode == "constant" and value != 0):
        raise ExportError(f"{op} pads samples of shape {source.shape} by {pads} with {mode} {value:g}")
    widths: Any = list(zip(pads[1:rank], pads[rank + 1 :], strict=True))
    check_size(str(op), tuple(n + a + b for n, (a, b) in zip(source.shape, widths, strict=True)))
    more: Any = {"constant_values": -1} if mode == "constant" else {}
    cut: Any = tuple(
        slice(max(-a, 0), n - max(-b, 0)) for n, (a, b) in zip(source.shape, widths, strict=True)
    )
    wide = [(max(a, 0), max(b, 0)) for a, b in widths]
    select(reader, op, lambda numbers: np.pad(numbers[cut], wide, mode=_PADS[mode], **more))  # type: ignore[call-overload]


@reads("Tile")
def _tile(reader: Reader, op: Op) -> None:
    source = reader.source(op)
    counts = _integers(reader, op, 1, "repeats") or []
    if len(counts) != len(source.shape) + 1 or counts[0] != 1 or min(counts) < 1:
        raise ExportError(f"{op} repeats samples of shape {source.shape} by {counts}")
    check_size(str(op), tuple(n * c for n, c in zip(source.shape, counts[1:], strict=True)))
    select(reader, op, lambda numbers: np.tile(numbers, counts[1:]))


@reads("Expand")
def _expand(reader: Reader, op: Op) -> None:
    source = reader.source(op)
    wanted = _integers(reader, op, 1, "shape") or []
    rank = len(source.shape) + 1
    if len(wanted) > rank or (len(wanted) == rank and wanted[0] not in (0, 1, reader.file.batch)):
        raise ExportError(f"{op} expands samples of shape {source.shape} to {wanted}")
    shape = np.broadcast_shapes(source.shape, tuple(wanted[-(rank - 1) :]))
    check_size(str(op), shape)
    select(reader, op, lambda numbers: np.broadcast_to(numbers, shape))


@reads("DepthToSpace")
def _depth_to_space(reader: Reader, op: Op) -> None:
    source = reader.source(op)
    size = int(op.attributes.get("blocksize", 0))
    columns = str(op.attributes.get("mode", "DCR")) == "CRD"
    if len(source.shape) != 3 or size < 1 or source.shape[0] % (size * size):
        raise ExportError(f"{op} spreads samples of shape {source.shape} over blocks of {size}")
    channels, rows, cols = source.shape[0] // size**2, *source.shape[1:]

    def spread(numbers: Places) -> Places:
        split = (channels, size, size) if columns else (size, size, channels)
        order = (0, 3, 1, 4, 2) if columns else (2, 3, 0, 4, 1)
        blocks = numbers.reshape(*split, rows, cols).transpose(order)
        return blocks.reshape(channels, rows * size, cols * size)

    select(reader, op, spread)


@reads("SpaceToDepth")
def _space_to_depth(reader: Reader, op: Op) -> None:
    source = reader.source(op)
    size = int(op.attributes.get("blocksize", 0))
    if len(source.shape) != 3 or size < 1 or any(n % size for n in source.shape[1:]):
        raise ExportError(f"{op} gathers samples of shape {source.shape} from blocks of {size}")
    channels, rows, cols = source.shape[0], *(n // size for n in source.shape[1:])

    def gathered(numbers: Places) -> Places:
        blocks = numbers.reshape(channels, rows, size, cols, size).transpose(2, 4, 0, 1, 3)
        return blocks.reshape(channels * size * size, rows, cols)

    select(reader, op, gathered)
