"""Which programs train a stack: kernels in C on the CPU, torch's compiler on a GPU, or plain torch."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from torchq.train.stacked import native, program
from torchq.train.stacked.arithmetic import Arithmetic
from torchq.train.stacked.layout import Layout
from torchq.train.stacked.native import NativeChain

WORTHWHILE = {"cpu": 300_000, "cuda": 10_000_000}
"""From this many samples times candidates on a training is compiled unless told otherwise: about what is
trained uncompiled in the time that compiling takes, half a second in C, most of a minute by torch."""


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


@dataclass(frozen=True)
class Choice:
    """How the stacks of a call are trained.

    Attributes:
        make: the programs of a layout, for batches of so many rows.
        compiled: whether anything is compiled.
        notes: why something is not compiled, where that was asked for.
        whole: whether epochs of a layout are one call.
    """

    make: Callable[[Layout, int], Programs]
    compiled: bool = False
    notes: tuple[str, ...] = ()
    whole: Callable[[Layout], bool] = lambda _: False


def chosen(
    asked: bool | Literal["auto"],
    work: int,
    device: torch.device,
    layouts: Mapping[Layout, int],
    *,
    plain_loss: bool,
) -> Choice:
    """Whether and how to compile.

    Args:
        asked: whether to; ``"auto"`` leaves it to the work.
        work: samples times candidates.
        device: where the stacks are trained.
        layouts: theirs, and how many candidates have each.
        plain_loss: whether the loss is the cross entropy.
    """
    if asked is False:
        return Choice(_uncompiled)
    if asked == "auto" and not worthwhile(work, device):
        return _not(f"{work:,} samples are trained sooner than a program is compiled")
    return (_in_c if device.type == "cpu" else _through_torch)(layouts, device, plain_loss)


def _uncompiled(layout: Layout, rows: int) -> Programs:  # noqa: ARG001 - as the others
    return plain(layout)


def _not(why: str) -> Choice:
    return Choice(_uncompiled, notes=(f"not compiled: {why}",))


def _in_c(layouts: Mapping[Layout, int], _: torch.device, plain_loss: bool) -> Choice:
    """Dense layers by whole epochs, other stacks operation by operation."""

    def whole(layout: Layout) -> bool:
        return plain_loss and native.is_chain(layout)

    def make(layout: Layout, rows: int) -> Programs:  # noqa: ARG001 - as the others
        if whole(layout):
            return replace(plain(layout), chain=native.NativeChain(layout))
        return plain(layout, native.NativeArithmetic())

    parts = {layout: native.CHAIN if whole(layout) else native.KERNELS for layout in layouts}
    needed = {part for layout, part in parts.items() if part == native.CHAIN or layouts[layout] > 1}
    if not needed:
        return Choice(_uncompiled)
    missing = next(filter(None, map(native.lack, sorted(needed))), None)
    return Choice(make, compiled=True, whole=whole) if missing is None else _not(missing)


def _through_torch(layouts: Mapping[Layout, int], device: torch.device, plain_loss: bool) -> Choice:
    """As one program of torch's compiler; convolutions are not, as there is one for each candidate."""
    if not plain_loss:
        return _not("only the cross entropy is")
    if all(any(layout.windows) for layout in layouts):
        return _not("convolutions are not, on a GPU")
    from torchq.train.stacked import traced

    missing = traced.lack(device)
    if missing is not None:
        return _not(missing)

    def make(layout: Layout, rows: int) -> Programs:
        return plain(layout) if any(layout.windows) else traced.compiled(layout, rows)

    left = any(any(layout.windows) for layout in layouts)
    return Choice(make, True, ("not compiled: convolutions are not, on a GPU",) if left else ())
