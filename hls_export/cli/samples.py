"""Vectors for a comparison: from the user's file, and adversarial ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from hls_export.hardware import HardwareGraph
from hls_export.samples import checked
from hls_export.vectors import adversarial
from torchq.errors import DataError

ADVERSARIAL = 2000


def vectors(graph: HardwareGraph, path: Path | None, seed: int) -> npt.NDArray[np.float64]:
    """2,000 adversarial vectors, behind those of a file if there is one.

    Raises:
        DataError: the file is missing, is no ``.npy`` file, or does not fit the model.
    """
    drawn = adversarial(graph, ADVERSARIAL, seed)
    if path is None:
        return drawn
    return np.concatenate([of_file(path, graph.input_shape), drawn])


def of_file(path: Path, shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """The samples of a ``.npy`` file.

    Raises:
        DataError: the file is missing, is no ``.npy`` file, or does not fit the shape of a sample.
    """
    try:
        values = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (OSError, ValueError, EOFError):
        raise DataError(f"{path} is no .npy file of numbers", hint="write it with numpy.save") from None
    if not isinstance(values, np.ndarray):
        raise DataError(f"{path} holds several arrays", hint="write one with numpy.save")
    return checked(values, shape, str(path))
