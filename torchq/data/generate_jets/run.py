"""Many jets in many processes, the same ones whatever the number of processes."""

from __future__ import annotations

import io
import multiprocessing
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from torchq.data.generate_jets.clustering import Clustering
from torchq.data.generate_jets.events import PROCESSES, Generator
from torchq.data.generate_jets.needs import need
from torchq.data.jets import CLASSES, FEATURES
from torchq.errors import DataError, RunDirError
from torchq.files import atomic_write_bytes

CHUNK = 250
MOST_JETS = 10_000_000
SEEDS_PER_CHUNK = 20
SEEDS_PER_RUN = 900_000
"""Pythia takes seeds to 900,000,000: a thousand runs whose chunks share none."""

Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class Chunk:
    """A piece of work for one process.

    Attributes:
        name: class of its jets.
        jets: how many.
        seed: seed of all its random numbers.
        generator: settings of the events.
        clustering: settings of the jets.
    """

    name: str
    jets: int
    seed: int
    generator: Generator
    clustering: Clustering

    def make(self) -> Float32:
        """Features ``[jets, 16]``."""
        random = np.random.default_rng(self.seed)
        rows: list[NDArray[np.float64]] = []
        seed = self.seed
        with tempfile.TemporaryDirectory() as folder:
            while len(rows) < self.jets:
                missing = self.jets - len(rows)
                for event in self.generator.events(self.name, missing, seed, Path(folder)):
                    rows.extend(self.clustering.jets(event, random))
                    if len(rows) >= self.jets:
                        break
                seed += 1
        return np.array(rows[: self.jets], dtype=np.float32)


def plan(
    jets: int, classes: Sequence[str], seed: int, generator: Generator, clustering: Clustering
) -> list[Chunk]:
    """Equal numbers of every class, in chunks with seeds of their own.

    Raises:
        DataError: an unknown class, or numbers out of range.
    """
    for name in classes:
        if name not in PROCESSES:
            raise DataError(f"unknown class {name!r}", hint=f"it needs to be one of {', '.join(CLASSES)}")
    if not len(classes) <= jets <= MOST_JETS:
        raise DataError(f"jets must be {len(classes)}, one for each class, to {MOST_JETS}, got {jets}")
    if not 0 <= seed < 1000:
        raise DataError(f"seed must be 0 to 999, got {seed}")
    chunks: list[Chunk] = []
    for index, name in enumerate(classes):
        left = jets // len(classes) + (index < jets % len(classes))
        while left > 0:
            number = 1 + seed * SEEDS_PER_RUN + len(chunks) * SEEDS_PER_CHUNK
            chunks.append(Chunk(name, min(left, CHUNK), number, generator, clustering))
            left -= CHUNK
    return chunks


def generate(
    chunks: Sequence[Chunk], processes: int, progress: Callable[[int, int], None] | None = None
) -> list[Float32]:
    """The jets of each chunk.

    Args:
        chunks: work, from :func:`plan`.
        processes: how many to work at a time.
        progress: called with jets made and jets wanted after each chunk.

    Raises:
        DataError: Pythia or FastJet is not installed, or no process is to work.
    """
    if processes < 1:
        raise DataError(f"processes must be at least 1, got {processes}")
    for library in ("pythia8mc", "fastjet"):
        need(library)
    total, done = sum(chunk.jets for chunk in chunks), 0
    found: list[Float32] = []
    with multiprocessing.get_context("spawn").Pool(min(processes, len(chunks))) as pool:
        for rows in pool.imap(Chunk.make, chunks):
            found.append(rows)
            done += len(rows)
            if progress is not None:
                progress(done, total)
    return found


def check_writable(path: Path) -> None:
    """Look, before hours of work, whether a file can be written.

    Raises:
        RunDirError: it cannot.
    """
    probe = path.with_name(f".{path.name}.probe")
    atomic_write_bytes(probe, b"")
    probe.unlink()
    if path.is_dir():
        raise RunDirError(f"{path}: is a folder", hint="give the path of the file to write")


def write(path: Path, chunks: Sequence[Chunk], found: Sequence[Float32], classes: Sequence[str]) -> Path:
    """One shuffled ``.npz`` that ``load("jets", source="file", path=...)`` reads.

    Raises:
        RunDirError: the file cannot be written.
    """
    x = np.concatenate(found)
    y = np.concatenate([np.full(c.jets, classes.index(c.name), np.int8) for c in chunks])
    order = np.random.RandomState(chunks[0].seed).permutation(len(x))
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer, X=x[order], y=y[order], classes=np.array(classes), feature_names=np.array(FEATURES)
    )
    return atomic_write_bytes(path, buffer.getvalue())
