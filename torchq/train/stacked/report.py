"""What ``fit_many`` did: which candidates stood in which stacks, which were trained alone, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class StackReport:
    """How the candidates were trained.

    Attributes:
        chunks: the numbers of the candidates of each stack.
        compiled: whether the stacks were compiled.
        notes: why they were not, where that was asked for.
        alone: the candidates that ``fit`` trained one by one, each with the reason.
    """

    chunks: tuple[tuple[int, ...], ...]
    compiled: bool
    notes: tuple[str, ...]
    alone: Mapping[int, str]

    def summary(self) -> str:
        """A few lines for a log.

        Example:
            >>> print(StackReport(((0, 1),), False, (), {2: "1: a Conv2d is not stacked"}).summary())
            2 candidates in stacks of 2
            candidate 2 alone: 1: a Conv2d is not stacked
        """
        sizes = ", ".join(str(len(chunk)) for chunk in self.chunks)
        how = ", compiled" if self.compiled else ""
        count = sum(map(len, self.chunks))
        lines = [f"{count} candidates in stacks of {sizes}{how}"] if count else []
        lines += [f"candidate {number} alone: {reason}" for number, reason in self.alone.items()]
        return "\n".join([*lines, *self.notes])
