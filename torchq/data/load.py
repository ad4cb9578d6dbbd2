"""``load``: a data set by name, checked, split and standardised."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from torchq.advice import advice
from torchq.data.dataset import Dataset
from torchq.data.download import TIMEOUT_S, Progress
from torchq.data.jets import read_jets
from torchq.data.openml import URL
from torchq.data.source import KINDS, Source
from torchq.data.splits import FRACTIONS, split
from torchq.data.table import Table, check
from torchq.errors import DataError
from torchq.registry import Registry

DATASETS: Registry[Callable[[Source], Table]] = Registry("data set")
"""Readers by name. A reader takes a :class:`Source` and answers with a :class:`Table`, which :func:`load`
checks, splits and standardises."""
DATASETS.add("jets", read_jets)


def load(
    name: str,
    *,
    source: str = "embedded",
    path: str | Path | None = None,
    label: str | None = None,
    seed: int = 0,
    fractions: tuple[float, float, float] = FRACTIONS,
    limit: int | None = None,
    cache: str | Path | None = None,
    url: str = URL,
    timeout_s: float = TIMEOUT_S,
    progress: Progress | None = None,
) -> Dataset:
    """A data set, split and standardised; the same arguments give the same arrays.

    Args:
        name: key in :data:`DATASETS`.
        source: ``embedded`` ships with the package, ``openml`` is fetched, ``file`` is the user's.
        path: ``.npz``, ``.csv``, ``.parquet`` or ``.h5`` file, for ``file`` only.
        label: name of the file's column of classes, by default ``class``, ``y`` or ``label``.
        seed: seed of the splits.
        fractions: parts of training, validation and test.
        limit: use at most this many samples, the same fraction of every class.
        cache: folder for fetched data; by default ``$TORCHQ_CACHE`` or ``~/.cache/torchq``.
        url: address of the OpenML server.
        timeout_s: seconds without an answer after which to give up fetching.
        progress: called with bytes done and bytes in all while a file comes.

    Raises:
        UnknownNameError: no such data set.
        DataError: the data is missing, incomplete or not numbers, or an argument is out of range.

    Example:
        >>> jets = load("jets", limit=1000)
        >>> jets.train.x.shape, jets.valid.x.shape, jets.test.x.shape
        ((640, 16), (160, 16), (200, 16))
        >>> jets.classes
        ('g', 'q', 'w', 'z', 't')
    """
    reader = DATASETS.get(name)
    if source not in KINDS:
        raise DataError(f"{name}: unknown source {source!r}", hint=advice(source, KINDS))
    if path is not None and source != "file":
        raise DataError(
            f"{name}: path {str(path)!r} has no meaning for source {source!r}",
            hint="set source to 'file', or leave the path out",
        )
    table = reader(
        Source(
            kind=source,
            path=None if path is None else Path(path),
            label=label,
            cache=None if cache is None else Path(cache),
            url=url.rstrip("/"),
            timeout_s=timeout_s,
            progress=progress,
        )
    )
    return split(check(table), name=name, seed=seed, fractions=fractions, limit=limit)
