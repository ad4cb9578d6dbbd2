"""``NativeChain``: whole epochs of dense layers and quantizers in C, candidate by candidate."""

from __future__ import annotations

import ctypes
import itertools
from functools import cache
from typing import Any

import torch
from torch import Tensor

from torchq.train.stacked.layout import Layout
from torchq.train.stacked.native.build import CHAIN, LINK_FIELDS, library
from torchq.train.stacked.native.threads import shared
from torchq.train.stacked.numbers import FINDING

CALL_ROWS = 1 << 17
"""Samples times candidates of one call, in which nobody can interrupt it: about a tenth of a second."""


class NativeChain:
    """Training steps, and the look at validation samples, of stacks that :func:`is_chain` takes.

    A candidate goes through its steps by itself, some rows of a batch at a time through all layers and back:
    its activations never leave the processor's nearest caches. It computes its own neurons only, not those
    that it is padded with, and how it ends does not depend on who stands in the stack beside it.

    Args:
        layout: of the stacks.

    Raises:
        OSError: the machine has no C compiler.
    """

    def __init__(self, layout: Layout) -> None:
        self._plan = _planned(layout)
        self._links = [index for index, (kind, _) in enumerate(layout.links) if kind != "flatten"]
        self._calls = _functions(torch.finfo(layout.dtype).bits)

    def learn(
        self,
        widths: Tensor,
        x: Tensor,
        y: Tensor,
        order: Tensor,
        counts: Tensor,
        pace: Tensor,
        lr: Tensor,
        rows: Tensor,
        first: Tensor,
        second: Tensor,
        masks: Tensor,
        numbers: Tensor,
    ) -> Tensor:
        """Training steps one after the other; the state is changed in place.

        Args:
            widths: values that each link of each candidate writes, ``[candidates, links]``.
            x: samples ``[samples, features]``.
            y: classes ``[samples]``.
            order: the samples of each batch, ``[steps, candidates, batch]``.
            counts: how many of them count, ``[steps]``.
            pace: as :func:`torchq.train.stacked.program.train_step` takes it, ``[steps, 16]``.
            lr: as there.
            rows: as there.
            first: as there.
            second: as there.
            masks: as there.
            numbers: as there.

        Returns:
            The summed loss of each candidate, ``[candidates]`` of float64.
        """
        steps, count, batch = order.shape
        losses = torch.zeros(count, dtype=torch.float64)
        state = (lr, rows, first, second, masks, numbers)
        own = widths[:, self._links].contiguous()
        tensors = (x, y, order, counts, pace, *state)
        assert all(tensor.is_contiguous() for tensor in tensors)  # noqa: S101 - they are the stack's own
        at_once = max(CALL_ROWS // (count * batch), 1)
        for start in range(0, steps, at_once):
            part = slice(start, min(start + at_once, steps))
            moving = (order[part], counts[part], pace[part])
            self._call(
                "learn", count, own, x, y, *moving, pace.shape[1], part.stop - start, count, batch, *state,
                rows.shape[1], numbers.shape[1], losses,
            )  # fmt: skip
        return losses

    def judge(
        self, widths: Tensor, x: Tensor, y: Tensor, rows: Tensor, masks: Tensor, numbers: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Summed cross entropy and right answers of each candidate, ``[candidates]`` of float64.

        Args:
            widths: see :meth:`learn`.
            x: samples ``[samples, features]``.
            y: classes ``[samples]``.
            rows: parameters.
            masks: 1 where a parameter is.
            numbers: of the quantizers.
        """
        losses, right = (torch.zeros(len(rows), dtype=torch.float64) for _ in range(2))
        assert all(t.is_contiguous() for t in (x, y, rows, masks, numbers))  # noqa: S101 - the stack's own
        sizes, own = (rows.shape[1], numbers.shape[1]), widths[:, self._links].contiguous()
        self._call("judge", len(rows), own, x, y, len(x), rows, masks, numbers, *sizes, losses, right)
        return losses, right

    def _call(self, name: str, candidates: int, *arguments: Tensor | int) -> None:
        given = [value.data_ptr() if isinstance(value, Tensor) else value for value in arguments]
        call = self._calls[name]
        threads = min(torch.get_num_threads(), candidates)
        plan = (self._plan.data_ptr(), len(self._plan))
        bounds = [candidates * part // threads for part in range(threads + 1)]
        if any(shared(call, [(*plan, *given, *pair) for pair in itertools.pairwise(bounds)])):
            raise MemoryError("no memory for the activations of a batch")


def is_chain(layout: Layout) -> bool:
    """Whether it holds dense layers and quantizers alone, all of whose formulas the kernels have."""
    kinds = {kind for kind, _ in layout.links} - {"flatten"}
    flat = all(positions == 1 for positions in (*layout.positions, *layout.reads))
    return kinds <= {"linear", "quantize"} and flat and not layout.activations.formulas & FINDING


def _planned(layout: Layout) -> Tensor:
    """``[links, LINK_FIELDS]``."""
    places = {(place.link, place.name): place.start for place in layout.parameters()}
    slots, reads, rows = layout.slots(), layout.inputs, []
    for index, (kind, _) in enumerate(layout.links):
        writes = layout.widths[index]
        if kind != "flatten":
            starts = (places.get((index, name), -1) for name in ("weight", "bias"))
            rows.append([reads, writes, *starts, slots[index]])
        reads = writes
    plan = torch.tensor(rows, dtype=torch.int64)
    assert plan.shape[1] == len(LINK_FIELDS)  # noqa: S101 - in its order
    return plan


@cache
def _functions(bits: int) -> dict[str, Any]:
    """The compiled functions for floats of so many bits."""
    arguments = {"learn": "pipppppp" + "iiii" + "pppppp" + "iip", "judge": "pipppi" + "ppp" + "iipp"}
    found = {}
    for name, kinds in arguments.items():
        function = getattr(library(CHAIN, bits), name)
        function.argtypes = [{"p": ctypes.c_void_p, "i": ctypes.c_int64}[kind] for kind in kinds + "ii"]
        function.restype = ctypes.c_int
        found[name] = function
    return found
