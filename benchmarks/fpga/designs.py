"""The designs that are measured, drawn from fixed seeds; a third of each strategy is held out of the fit."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.int64]

STRATEGIES = ("distributed_arithmetic", "latency", "resource", "requantize")
COUNTS = {"distributed_arithmetic": 102, "latency": 42, "resource": 30, "requantize": 24}
_SIZES = (16, 20, 24, 32, 40, 48, 64)
_SPARSITIES = (0.0, 0.0, 0.25, 0.5, 0.5, 0.75, 0.9)
_CUTOFFS = (5.0, 5.0, 5.0, 5.0, 2.5, 3.5, 8.0)
_LEVELS = (4, 4, 4, 2, 3, 6)
_LARGEST = {"distributed_arithmetic": 13_000.0, "latency": 8_000.0, "resource": 3_500.0}
"""The largest number of weight digits times input bits; it bounds the seconds that a synthesis takes."""
_LARGE_FROM, _LARGE = 96, 30_000.0
"""The last designs of distributed arithmetic are larger, to see whether the estimate holds there."""


@dataclass(frozen=True)
class Design:
    """One measured design: a layer ``codes @ weights + bias``, or an activation that rounds and saturates.

    Args:
        strategy: of :data:`STRATEGIES`.
        index: its number within the strategy.
        n_in: inputs.
        n_out: outputs.
        weight_bits: width of the weights, which are signed; for ``requantize`` of the outputs.
        input_bits: width of the inputs.
        input_signed: whether they are signed; for ``requantize`` whether the outputs are.
        sparsity: the share of weights that were set to zero.
        bell: whether the weights are bell-shaped as trained ones are, or uniform.
        bias: whether there is one.
        reuse: how often one multiplier is used for one sample.
        stage: how much fits into one pipeline stage: alkaid's units for ``distributed_arithmetic``, adders
            for the others.
        dsp_from_bits: from which width a multiplication is a DSP's.
        drop: for ``requantize``, how many bits are rounded away.
    """

    strategy: str
    index: int
    n_in: int
    n_out: int
    weight_bits: int
    input_bits: int
    input_signed: bool
    sparsity: float = 0.0
    bell: bool = False
    bias: bool = False
    reuse: int = 1
    stage: float = 4.0
    dsp_from_bits: int = 10
    drop: int = 0

    @property
    def name(self) -> str:
        """Unique, and what the table is resumed by."""
        return f"{self.strategy}_{self.index}"

    @property
    def held_out(self) -> bool:
        """Whether the fit may not see it."""
        return self.index % 3 == 2

    def weights(self) -> Codes:
        """Integer codes, ``[n_in, n_out]``."""
        rng = self._rng(1)
        low, high = -(2 ** (self.weight_bits - 1)), 2 ** (self.weight_bits - 1) - 1
        shape = (self.n_in, self.n_out)
        if self.bell:
            bell = sum(rng.random(shape) for _ in range(4)) - 2.0
            codes = np.clip(np.rint(bell * 2.0 ** (self.weight_bits - 1)), low, high)
        else:
            codes = np.floor(rng.random(shape) * (high - low + 1)) + low
        return np.where(rng.random(shape) < self.sparsity, 0, codes).astype(np.int64)

    def biases(self) -> Codes | None:
        """Integer codes on the grid of the products, ``[n_out]``."""
        if not self.bias:
            return None
        span = 2**self.weight_bits
        codes = np.floor(self._rng(2).random(self.n_out) * span).astype(np.int64) - span // 2
        return np.asarray(codes << max(self.input_bits - 1, 0))

    def samples(self, count: int) -> Codes:
        """Random input codes with both ends of the range, ``[count, n_in]``."""
        if self.strategy == "requantize":
            low, high = -(2 ** (self.input_bits - 1)), 2 ** (self.input_bits - 1) - 1
        else:
            magnitude = self.input_bits - int(self.input_signed)
            low, high = -(2**magnitude) * int(self.input_signed), 2**magnitude - 1
        found = np.floor(self._rng(3).random((count, self.n_in)) * (high - low + 1)).astype(np.int64) + low
        if self.strategy == "requantize":  # half of them small, so that they do not saturate
            found[::2] >>= max(self.input_bits - self.drop - self.weight_bits, 0)
        found[0], found[1] = low, high
        return np.asarray(found)

    def digest(self) -> str:
        """What tells that the same weights were drawn."""
        bias = self.biases()
        data = self.weights().tobytes() + (b"" if bias is None else bias.tobytes())
        return hashlib.sha256(data).hexdigest()[:12]

    def _rng(self, stream: int) -> np.random.Generator:
        return np.random.default_rng([STRATEGIES.index(self.strategy), self.index, stream])


def digits(codes: Codes) -> Codes:
    """How many non-zero digits the canonical signed digit form of each code has.

    They are the bits in which ``n`` and ``3n`` differ (Reitwiesner 1960).

    Example:
        >>> digits(np.array([0, 1, 7, -7, 11])).tolist()
        [0, 1, 2, 2, 3]
    """
    magnitude = np.abs(codes)
    different = magnitude ^ (3 * magnitude)
    count = np.zeros_like(different)
    while different.any():
        count += different & 1
        different = different >> 1
    return np.asarray(count)


@lru_cache(maxsize=1)
def designs() -> tuple[Design, ...]:
    """All designs, in the order in which they are measured: each strategy from the start."""
    drawn = {strategy: [_draw(strategy, i) for i in range(COUNTS[strategy])] for strategy in STRATEGIES}
    ranked = [(i / COUNTS[name], name, i) for name, found in drawn.items() for i in range(len(found))]
    return tuple(drawn[name][i] for _, name, i in sorted(ranked))


def _draw(strategy: str, index: int) -> Design:
    rng = np.random.default_rng([STRATEGIES.index(strategy), index, 0])

    def one_of(values: tuple[float, ...]) -> float:
        return values[int(rng.random() * len(values))]

    def between(low: int, high: int) -> int:
        return low + int(rng.random() * (high - low + 1))

    large = strategy == "distributed_arithmetic" and index >= _LARGE_FROM
    while True:
        if strategy == "requantize":
            bits, total = between(1, 10), between(8, 24)
            signed = rng.random() < 0.4
            design = Design(strategy, index, 16, 16, bits + int(signed), total, signed, drop=between(0, 8))
            if design.drop + 2 <= total:
                return design
            continue
        folded = strategy == "resource"
        wide = rng.random() < 0.15
        design = Design(
            strategy,
            index,
            n_in=int(one_of(_SIZES)),
            n_out=int(one_of(_SIZES)),
            weight_bits=between(2, 8) if not folded else between(2, 12),
            input_bits=between(10, 16) if wide else between(2, 8),
            input_signed=rng.random() < 0.5,
            sparsity=one_of(_SPARSITIES),
            bell=rng.random() < 0.5,
            bias=rng.random() < 0.5,
            stage=one_of(_CUTOFFS) if strategy == "distributed_arithmetic" else one_of(_LEVELS),
            dsp_from_bits=10,
            reuse=int(one_of((2, 4, 4, 8, 8, 16, 16, 32, 64))) if folded else 1,
        )
        size = _size(design)
        if (_LARGEST[strategy] < size <= _LARGE) if large else size <= _LARGEST[strategy]:
            return design


def _size(design: Design) -> float:
    if design.strategy == "resource":
        if design.n_in % np.gcd(design.reuse, design.n_in) or (design.n_in * design.n_out) % design.reuse:
            return np.inf
        per_input = int(np.gcd(design.reuse, design.n_in))
        if design.n_out % (design.reuse // per_input):
            return np.inf
        return design.n_in * design.n_out / design.reuse * design.weight_bits * design.input_bits
    return float(digits(design.weights()).sum()) * (design.input_bits + 2)
