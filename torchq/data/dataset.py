"""``Dataset``: standardised, split, and with all that the firmware must know of its input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Split:
    """One part of a data set.

    Attributes:
        x: standardised features, float32 ``[rows, features]``.
        y: classes, int64 ``[rows]``.
    """

    x: NDArray[np.float32]
    y: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True)
class Dataset:
    """Training, validation and test samples with their standardisation.

    A network sees ``(raw - mean) / scale``; ``mean`` and ``scale`` come from the training samples alone and
    belong to the definition of the firmware's input.

    Attributes:
        name: key in :data:`torchq.data.DATASETS`.
        source: one sentence on what the data is and where it came from.
        classes: names of the classes, in the order of the numbers in ``y``.
        features: names of the columns of ``x``.
        train: samples to fit.
        valid: samples for early stopping and search.
        test: samples for the final figures only.
        mean: mean of each raw feature over the training samples, float64 ``[features]``.
        scale: standard deviation likewise; 1 for a feature that never changes, which becomes 0 everywhere.
        seed: seed of the splits.
        fractions: parts of training, validation and test.
        constant: features that never change in the training samples.
    """

    name: str
    source: str
    classes: tuple[str, ...]
    features: tuple[str, ...]
    train: Split
    valid: Split
    test: Split
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    seed: int
    fractions: tuple[float, float, float]
    constant: tuple[str, ...] = ()

    def standardise(self, raw: ArrayLike) -> NDArray[np.float32]:
        """Raw features, ``[rows, features]``, as the network sees them."""
        return standardise(raw, self.mean, self.scale)

    def summary(self) -> str:
        """A few lines for a terminal: size, classes and splits, and what the data is."""
        rows = sum(len(part) for part in (self.train, self.valid, self.test))
        lines = [
            f"{self.name}: {rows:,} samples of {len(self.classes)} classes ({', '.join(self.classes)}), "
            f"{len(self.features)} features; {len(self.train):,} to train, {len(self.valid):,} to validate, "
            f"{len(self.test):,} to test (seed {self.seed})",
            self.source,
        ]
        if self.constant:
            lines.append(f"always the same, so 0 after standardisation: {', '.join(self.constant)}")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """All but the samples, for JSON: what a run directory keeps, the input's definition included."""
        return {
            "name": self.name,
            "source": self.source,
            "classes": list(self.classes),
            "features": list(self.features),
            "mean": self.mean.tolist(),
            "scale": self.scale.tolist(),
            "samples": {"train": len(self.train), "valid": len(self.valid), "test": len(self.test)},
            "seed": self.seed,
            "fractions": list(self.fractions),
            "constant": list(self.constant),
        }


def standardise(raw: ArrayLike, mean: NDArray[np.float64], scale: NDArray[np.float64]) -> NDArray[np.float32]:
    """``(raw - mean) / scale`` in float64, rounded once to float32.

    Example:
        >>> standardise([[3.0]], np.array([1.0]), np.array([4.0]))
        array([[0.5]], dtype=float32)
    """
    return ((np.asarray(raw, dtype=np.float64) - mean) / scale).astype(np.float32)
