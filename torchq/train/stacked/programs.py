"""Which programs train a stack: kernels in C on the CPU, torch's compiler on a GPU, or plain torch."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from torchq.train.stacked import native, program
from torchq.train.stacked.arithmetic import Arithmetic
from torchq.train.stacked.layout import Layout
from torchq.train.stacked.native import NativeChain

WORTHWHILE = {"cpu": 250_000, "cuda": 10_000_000}
"""From this many samples times candidates on a training is compiled unless told otherwise: about what is
trained uncompiled in the time that compiling takes, a third of a second in C, most of a minute by torch."""


@dataclass(frozen=True)
class Programs:
    """The training step and the look at validation samples, with the layout bound.

    Attributes:
        train: as :func:`torchq.train.stacked.program.train_step` without its first two arguments.
        look: as :func:`torchq.train.stacked.program.look` without its first two arguments.
        arithmetic: what they compute element by element with.
        traced: whether torch compiled them as a whole, with the numbers of rows in them.
        chain: does all steps of an epoch at once, and all looks; None where the two above do them singly.
    """

    train: Callable[..., Tensor]
    look: Callable[..., tuple[Tensor, Tensor]]
    arithmetic: Arithmetic
    traced: bool = False
    chain: NativeChain | None = None


def worthwhile(work: int, device: torch.device) -> bool:
    """Whether so many samples times candidates on this device are worth compiling for.

    Example:
        >>> worthwhile(32 * 100_000, torch.device("cpu"))
        True
    """
    return work >= WORTHWHILE.get(device.type, WORTHWHILE["cuda"])


def plain(layout: Layout, arithmetic: Arithmetic | None = None) -> Programs:
    """The programs as Python runs them."""
    arithmetic = arithmetic or Arithmetic()
    return Programs(
        functools.partial(program.train_step, layout, arithmetic),
        functools.partial(program.look, layout, arithmetic),
        arithmetic,
    )


def _native(layout: Layout, *, plain_loss: bool) -> Programs:
    """With kernels in C; whole epochs of them, where they can."""
    whole = plain_loss and native.is_chain(layout)
    made = plain(layout, native.NativeArithmetic())
    return replace(made, chain=native.NativeChain(layout)) if whole else made


@dataclass(frozen=True)
class Choice:
    """How the stacks of a call are trained.

    Attributes:
        make: the programs of a layout, for batches of so many rows.
        compiled: whether anything is compiled.
        notes: why nothing is compiled, where that was asked for.
    """

    make: Callable[[Layout, int], Programs]
    compiled: bool = False
    notes: tuple[str, ...] = ()


def chosen(asked: bool | Literal["auto"], work: int, device: torch.device, *, plain_loss: bool) -> Choice:
    """Whether and how to compile.

    Args:
        asked: whether to; ``"auto"`` leaves it to the work.
        work: samples times candidates.
        device: where the stacks are trained.
        plain_loss: whether the loss is the cross entropy.
    """

    def uncompiled(layout: Layout, rows: int) -> Programs:  # noqa: ARG001 - as the others
        return plain(layout)

    if asked is False:
        return Choice(uncompiled)
    if asked == "auto" and not worthwhile(work, device):
        why = f"not compiled: {work:,} samples are trained sooner than a program is compiled"
        return Choice(uncompiled, notes=(why,))
    if device.type == "cpu":
        missing = native.lack()
        if missing is not None:
            return Choice(uncompiled, notes=(f"not compiled: {missing}",))
        return Choice(lambda layout, _: _native(layout, plain_loss=plain_loss), compiled=True)
    if not plain_loss:
        return Choice(uncompiled, notes=("not compiled: only the cross entropy is",))
    from torchq.train.stacked import traced

    missing = traced.lack(device)
    if missing is not None:
        return Choice(uncompiled, notes=(f"not compiled: {missing}",))

    def through_torch(layout: Layout, rows: int) -> Programs:
        """Not with a convolution for each candidate, as their number is left open."""
        return plain(layout) if any(layout.windows) else traced.compiled(layout, rows)

    return Choice(through_torch, compiled=True)
