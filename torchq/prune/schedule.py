"""How many weights are pruned at which training step: TensorFlow's two schedules.

Those of ``tensorflow_model_optimization.sparsity.keras``, with one difference: the sparsity at ``end`` is
always reached, also where ``end - begin`` is no multiple of ``frequency``.
"""

from __future__ import annotations

from dataclasses import dataclass

from torchq.errors import TrainError


@dataclass(frozen=True)
class ConstantSparsity:
    """The same sparsity from a step on.

    Args:
        sparsity: share of the weights that are zero, from 0 to 1 (1 excluded).
        begin: training steps before pruning begins.
        end: the last step at which the choice of weights may change; None for no end.
        frequency: steps between two choices.

    Raises:
        TrainError: a number out of range.

    Example:
        >>> schedule = ConstantSparsity(0.5, begin=10, frequency=5)
        >>> [schedule.due(step) for step in (9, 10, 11, 15)], schedule.at(10)
        ([False, True, False, True], 0.5)
    """

    sparsity: float
    begin: int = 0
    end: int | None = None
    frequency: int = 100

    def __post_init__(self) -> None:
        _check("ConstantSparsity", self.begin, self.end, self.frequency, sparsity=self.sparsity)

    @property
    def final(self) -> float:
        """The sparsity at the end."""
        return self.sparsity

    def due(self, step: int) -> bool:
        """Whether weights are chosen after this many training steps."""
        return _due(step, self.begin, self.end, self.frequency)

    def at(self, step: int) -> float:  # noqa: ARG002
        """The sparsity after this many training steps, from ``begin`` on."""
        return self.sparsity


@dataclass(frozen=True)
class PolynomialDecay:
    """A sparsity that grows fast at first and slowly at last (Zhu and Gupta, arXiv:1710.01878).

    ``final + (initial - final) * (1 - (step - begin) / (end - begin)) ** power``.

    Args:
        initial: sparsity at ``begin``.
        final: sparsity at ``end``.
        begin: training steps before pruning begins.
        end: the step at which ``final`` is reached; the choice of weights does not change afterwards.
        power: 1 for a straight line; the larger, the earlier most weights go.
        frequency: steps between two choices.

    Raises:
        TrainError: a number out of range.

    Example:
        >>> schedule = PolynomialDecay(0.0, 0.75, begin=0, end=100, frequency=50)
        >>> [round(schedule.at(step), 4) for step in (0, 50, 100, 1000)]
        [0.0, 0.6562, 0.75, 0.75]
    """

    initial: float
    final: float
    begin: int
    end: int
    power: float = 3.0
    frequency: int = 100

    def __post_init__(self) -> None:
        name = "PolynomialDecay"
        _check(name, self.begin, self.end, self.frequency, initial=self.initial, final=self.final)
        if self.initial > self.final:
            raise TrainError(
                f"{name}: initial must be at most final, got {self.initial:g} and {self.final:g}",
                hint="pruned weights do not come back",
            )
        if self.end == self.begin:
            raise TrainError(f"{name}: end must be after begin, got {self.end} and {self.begin}")
        if self.power <= 0:
            raise TrainError(f"{name}: power must be greater than 0, got {self.power:g}")

    def due(self, step: int) -> bool:
        """Whether weights are chosen after this many training steps."""
        return _due(step, self.begin, self.end, self.frequency)

    def at(self, step: int) -> float:
        """The sparsity after this many training steps, from ``begin`` on."""
        done = min(max((step - self.begin) / (self.end - self.begin), 0.0), 1.0)
        return float(self.final + (self.initial - self.final) * (1.0 - done) ** self.power)


Schedule = ConstantSparsity | PolynomialDecay


def _due(step: int, begin: int, end: int | None, frequency: int) -> bool:
    if step < begin or (end is not None and step > end):
        return False
    return step == end or (step - begin) % frequency == 0


def _check(name: str, begin: int, end: int | None, frequency: int, **sparsities: float) -> None:
    for what, value in sparsities.items():
        if not 0.0 <= value < 1.0:
            raise TrainError(f"{name}: {what} must be from 0 to below 1, got {value:g}")
    if begin < 0:
        raise TrainError(f"{name}: begin must be at least 0, got {begin}")
    if end is not None and end < begin:
        raise TrainError(f"{name}: end must not be before begin, got {end} and {begin}")
    if frequency < 1:
        raise TrainError(f"{name}: frequency must be at least 1, got {frequency}")
