"""``Evaluation``: what trains and prices schemes, one at a time or many as one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from torchq.scheme import Scheme


@dataclass(frozen=True)
class TrialInfo:
    """What an evaluation may want to know besides the scheme.

    Args:
        number: counts the trials from 0.
        seed: the search's seed plus the number; use it for everything random in the trial.
        point: option index by knob name.
        fidelity: how long to train, as a fraction of the whole training.
    """

    number: int
    seed: int
    point: Mapping[str, int]
    fidelity: float = 1.0


Job = tuple[Scheme, TrialInfo]
"""What an evaluation is asked: a scheme, and the trial that it belongs to."""


class Evaluation(Protocol):
    """Trains and prices one scheme; a plain function will do.

    An evaluation may have a method ``many(jobs)`` besides. It takes a sequence of :data:`Job` and returns, in
    the same order, the metrics of each or the :class:`~torchq.errors.TorchqError` that it failed with. It is
    called where several trials are evaluated at once, so that they can be trained as one stack.
    """

    def __call__(self, scheme: Scheme, info: TrialInfo, /) -> Mapping[str, float]:
        """The metrics of a scheme; they must hold what the goal reads."""
        ...
