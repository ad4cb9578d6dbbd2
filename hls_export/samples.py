"""Samples as every reading takes them: float64, finite, of the model's shape."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from torchq.errors import DataError


def checked(x: npt.ArrayLike, shape: tuple[int, ...], where: str = "the samples") -> npt.NDArray[np.float64]:
    """The samples as a contiguous float64 array.

    Args:
        x: ``[n, *shape]``, any real type; or ``[n, k]`` with as many values a sample.
        shape: of one sample.
        where: what the samples are called in messages.

    Raises:
        DataError: not numbers, of another shape, or not finite.

    Example:
        >>> checked([[1, 2]], (2,)).dtype
        dtype('float64')
        >>> checked([[1.0, 2.0]], (3,))
        Traceback (most recent call last):
        ...
        torchq.errors.DataError: the samples have shape (1, 2), the model takes (n, 3)
    """
    array = np.asarray(x)
    if array.dtype.kind not in "fiub":
        raise DataError(f"{where} are {array.dtype}, the model takes real numbers")
    if array.ndim < 1 or (array.shape[1:] != shape and array.shape[1:] != (math.prod(shape),)):
        wanted = ", ".join(["n", *map(str, shape)])
        raise DataError(f"{where} have shape {array.shape}, the model takes ({wanted})")
    array = np.ascontiguousarray(array, dtype=np.float64).reshape(len(array), *shape)
    if not np.isfinite(array).all():
        row = int(np.argwhere(~np.isfinite(array))[0][0])
        bad = array[row][~np.isfinite(array[row])].flat[0]
        raise DataError(f"{where} hold {bad} in sample {row}", hint="give finite numbers")
    return array
