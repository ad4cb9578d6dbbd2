"""Formats by channel or element: what our files state beside the ``Quant`` of their common grid."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from torchq.errors import FormatError
from torchq.formats import Binary, FixedPoint, Format, Overflow, Rounding, ScaledSigns, Ternary
from torchq.formats.arithmetic import widest

KEY = "torchq.channels"
"""The entry of a file's metadata."""

MOST = 65_536
"""Formats with more elements are not stated: the text would be larger than the weights."""

_SIGNS: Mapping[str, Ternary | Binary] = {
    "ternary": Ternary(),
    "binary": Binary(),
    "binary01": Binary(use_01=True),
}


def plain(format: Format) -> dict[str, Any] | None:
    """Plain data for JSON; None for a format per tensor, or one with more than :data:`MOST` elements.

    Example:
        >>> plain(FixedPoint(4, np.array([[1], [-1]])))["integer"]
        [1, -1]
        >>> plain(ScaledSigns.of(Ternary(), np.array([0, 2])))["signs"]
        'ternary'
    """
    if not isinstance(format, FixedPoint) or format.is_scalar or math.prod(format.shape) > MOST:
        return None
    found: dict[str, Any] = {"shape": list(format.shape)}
    for name in ("width", "integer", "signed"):
        value = np.asarray(getattr(format, name))
        found[name] = (
            value.item() if value.ndim == 0 else np.broadcast_to(value, format.shape).ravel().tolist()
        )
    found |= {"rounding": str(format.rounding), "overflow": str(format.overflow)}
    if isinstance(format, ScaledSigns):
        found["signs"] = next(name for name, signs in _SIGNS.items() if signs == format.signs)
    return found


def formats_by_channel(metadata: Mapping[str, str]) -> dict[str, FixedPoint]:
    """What a file of ours states, by the name of the parameter; nothing of what cannot be understood.

    Example:
        >>> said = plain(ScaledSigns.of(Binary(), np.array([0, -3])))
        >>> str(formats_by_channel({KEY: json.dumps({"fc1.weight": said})})["fc1.weight"])
        'binary<+-0.125..1>'
    """
    try:
        said = json.loads(metadata.get(KEY, "{}"))
    except ValueError:
        return {}
    if not isinstance(said, dict):
        return {}
    found = {name: _format(entry) for name, entry in said.items()}
    return {name: format for name, format in found.items() if format is not None}


def believed(grid: Format | None, stated: FixedPoint | None, values: npt.NDArray[Any]) -> Format | None:
    """The stated format where it holds all values and the file names its common grid; else the grid.

    Example:
        >>> stated, values = FixedPoint(2, np.array([[1], [0]])), np.array([[0.5], [0.25]])
        >>> common = FixedPoint(3, 1)
        >>> [str(believed(common, stated, v)) for v in (values, values[::-1])]
        ['ap_fixed<2,0..1,RND_CONV,SAT>', 'ap_fixed<3,1,RND_CONV,SAT>']
    """
    exact = grid.as_fixed() if isinstance(grid, Binary | Ternary) else grid
    if stated is None or not isinstance(exact, FixedPoint) or not exact.is_scalar:
        return grid
    axes = zip(reversed(stated.shape), reversed(values.shape), strict=False)
    if len(stated.shape) > values.ndim or any(n not in (1, size) for n, size in axes):
        return grid
    common = widest(stated)
    fits = common.lsb == exact.lsb and exact.lo <= common.lo and common.hi <= exact.hi
    return stated if fits and stated.holds(values).all() else grid


def _format(entry: Any) -> FixedPoint | None:
    try:
        shape = tuple(int(n) for n in entry["shape"])
        width, integer, signed = (_field(entry[name], shape) for name in ("width", "integer", "signed"))
        if "signs" in entry:
            signs = _SIGNS[entry["signs"]]
            made: FixedPoint = ScaledSigns.of(signs, integer - signs.as_fixed().integer)
        else:
            made = FixedPoint(
                width, integer, signed, Rounding(entry["rounding"]), Overflow(entry["overflow"])
            )
    except (FormatError, KeyError, OverflowError, TypeError, ValueError):
        return None
    return made if made.shape == shape else None


def _field(value: Any, shape: tuple[int, ...]) -> Any:
    return np.array(value).reshape(shape) if isinstance(value, list) else value
