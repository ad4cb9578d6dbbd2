"""``NativeArithmetic``: the compiled kernels on tensors of the CPU."""

from __future__ import annotations

import ctypes
import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache

import torch
from torch import Tensor

from torchq.train.stacked import formulas
from torchq.train.stacked.arithmetic import Arithmetic
from torchq.train.stacked.native.build import KERNELS, library
from torchq.train.stacked.native.threads import shared
from torchq.train.stacked.numbers import FINDING, Families

WORTH_SHARING = 1 << 18
"""From this many values on, threads share the candidates among them."""

_REALS = {torch.float32: ctypes.c_float, torch.float64: ctypes.c_double}


class NativeArithmetic(Arithmetic):
    """Quantizers, their gradients and Adam in one walk over the values each.

    Values and gradients are bit for bit those of torch; so is Adam but for its square roots, which torch does
    not round correctly. Scales that are found from the weights and gradients of ``tanh`` stay torch's.

    Raises:
        OSError: the machine has no C compiler.
    """

    def __init__(self) -> None:
        library(KERNELS, 32)
        self._kept: list[Tensor] = []
        self._next: int | None = None
        self._run: object = None

    @property
    def kept(self) -> object:
        """As the base."""
        return self._run

    def keep(self, run: object) -> None:
        """As the base."""
        self._run = run

    @contextmanager
    def step(self) -> Iterator[None]:
        """As the base: a step asks for the same memory in the same order as the one before it.

        Asked from the system in every step, and given back, it would cost more than the arithmetic.
        """
        self._next = 0
        try:
            yield
        finally:
            self._next = None

    def _new(self, x: Tensor, *shape: int) -> Tensor:
        """Memory of the type of ``x``, not filled."""
        if self._next is None:
            return x.new_empty(shape)
        place, self._next = self._next, self._next + 1
        if place < len(self._kept):
            found = self._kept[place]
            if found.shape == shape and found.dtype == x.dtype:
                return found
        self._kept[place:] = [x.new_empty(shape)]
        return self._kept[place]

    def picked(self, x: Tensor, order: Tensor) -> Tensor:
        """As the base."""
        found = self._new(x, *order.shape, *x.shape[1:])
        order, x = order.contiguous(), x.contiguous()
        _run("picked", found, len(order), x, order, found, order.shape[1], x[0].numel())
        return found

    def product(self, a: Tensor, b: Tensor) -> Tensor:
        """As the base."""
        return torch.bmm(a, b, out=self._new(a, len(a), a.shape[1], b.shape[2]))

    def sums(self, x: Tensor) -> Tensor:
        """As the base."""
        x = x.contiguous()
        found = x.new_empty(len(x), 1, x.shape[2])
        _run("total", x, len(x), x, found, x.shape[1], x.shape[2])
        return found

    def cross_entropy(self, logits: Tensor, y: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
        """As the base."""
        count, rows, classes = logits.shape
        value, gradient = logits.new_empty(count), self._new(logits, count, rows, classes)
        y = y.expand(count, rows).contiguous()
        strides = logits.stride()
        _run("entropy", logits, count, logits, *strides, y, share, value, gradient, rows, classes)
        return value, gradient

    def values(self, x: Tensor, numbers: Tensor, families: Families, mask: Tensor | None = None) -> Tensor:
        """As the base; where a scale is found, torch does it for all and what belongs there is taken."""
        count = len(numbers)
        turned = not _dense(x) and _dense(x.transpose(1, 2)) and mask is None
        source = x.transpose(1, 2) if turned else x
        if not _dense(source):
            source = source.contiguous()
        if mask is not None and not _dense(mask):
            mask = mask.contiguous()
        made = self._new(source, count, *source.shape[1:])
        each = made[0].numel()
        step, mask_step = (0 if t is None or len(t) == 1 else t.stride(0) for t in (source, mask))
        _run("values", made, count, source, step, made, each, numbers, numbers.stride(0), mask, mask_step)
        made = made.transpose(1, 2) if turned else made
        for formula in families.formulas & FINDING:
            other = formulas.values(x, numbers, Families(frozenset({formula}), families.lifts))
            other = other if mask is None else other * mask
            made = torch.where(formulas.is_formula(numbers, formula), other, made)
        return made

    def shifted(
        self, x: Tensor, factor: Tensor | None, offset: Tensor, numbers: Tensor, families: Families
    ) -> tuple[Tensor, Tensor]:
        """As the base, but in the memory of ``x``."""
        held = [x, offset] if factor is None else [x, offset, factor]
        if len(x) != len(numbers) or not all(tensor.is_contiguous() for tensor in held):
            return super().shifted(x, factor, offset, numbers, families)
        made = self._new(x, *x.shape)
        rows, columns = x.shape[1:]
        _run("shifted", x, len(x), x, factor, offset, made, rows, columns, numbers, numbers.stride(0))
        return x, made

    def moments(self, x: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
        """As the base."""
        x = x.contiguous()
        mean, variance = (x.new_empty(len(x), 1, x.shape[2]) for _ in range(2))
        for middle, out in ((None, mean), (mean, variance)):
            _run("moment", x, len(x), x, share, middle, out, x.shape[1], x.shape[2])
        return mean, variance

    def slopes(self, gradient: Tensor, x: Tensor, mean: Tensor | None) -> tuple[Tensor, Tensor]:
        """As the base."""
        gradient, x = gradient.contiguous(), x.contiguous()
        total, along = (x.new_empty(len(x), 1, x.shape[2]) for _ in range(2))
        _run("slopes", x, len(x), gradient, x, mean, total, along, x.shape[1], x.shape[2])
        return total, along

    def returned(
        self,
        gradient: Tensor | None,
        scale: Tensor | None,
        x: Tensor,
        mean: Tensor,
        constant: Tensor,
        slope: Tensor,
        share: Tensor,
    ) -> Tensor:
        """As the base, but in the memory of the gradient, or of ``x``."""
        x = x.contiguous()
        out = x if gradient is None else gradient.contiguous()
        of_columns = [None if t is None else t.contiguous() for t in (scale, constant, slope, mean)]
        read = None if gradient is None else out
        _run("returned", x, len(x), read, x, out, share, *of_columns, x.shape[1], x.shape[2])
        return out

    def passed(self, gradient: Tensor, x: Tensor, numbers: Tensor, families: Families) -> Tensor:
        """As the base, but in the memory of the gradient given."""
        if families.tanh:
            return super().passed(gradient, x, numbers, families)
        if not families.gates:
            return gradient
        if x.shape != gradient.shape and len(x) != 1:
            return super().passed(gradient, x, numbers, families)
        turned = not _dense(x) and _dense(x.transpose(1, 2))
        source, slope = (x.transpose(1, 2), gradient.transpose(1, 2)) if turned else (x, gradient)
        if not _dense(source):
            source = source.contiguous()
        slope = slope.contiguous()
        step = 0 if len(source) == 1 else source.stride(0)
        each = slope[0].numel()
        _run("passed", slope, len(numbers), slope, source, step, each, numbers, numbers.stride(0))
        return slope.transpose(1, 2) if turned else slope

    def adam(
        self,
        rows: Tensor,
        first: Tensor,
        second: Tensor,
        slope: Tensor,
        masks: Tensor,
        lr: Tensor,
        pace: Tensor,
    ) -> None:
        """As the base."""
        _, scale, decay, root, *_ = pace.tolist()
        tensors = (rows, first, second, slope, masks, lr)
        assert all(tensor.is_contiguous() for tensor in tensors)  # noqa: S101 - they are the stack's own
        _run("adam", rows, len(rows), *tensors, rows[0].numel(), decay, scale, root)


def _dense(x: Tensor) -> bool:
    """Whether the values of each candidate lie one after the other."""
    return x.stride(2) == 1 and (x.stride(1) == x.shape[2] or x.shape[1] == 1)


def _run(name: str, x: Tensor, candidates: int, *arguments: Tensor | float | None) -> None:
    """Run a kernel of the type of ``x`` on all candidates; in torch's threads where that is worth it."""
    kernel = _kernel(name, x.dtype)
    given = [value.data_ptr() if isinstance(value, Tensor) else value for value in arguments]
    threads = min(torch.get_num_threads(), candidates) if x.numel() >= WORTH_SHARING else 1
    if threads == 1:
        kernel(*given, 0, candidates)
        return
    bounds = [candidates * part // threads for part in range(threads + 1)]
    shared(kernel, [(*given, *pair) for pair in itertools.pairwise(bounds)])


_ARGUMENTS = {
    "values": "pipipipi",
    "shifted": "ppppiipi",
    "moment": "ppppii",
    "slopes": "pppppii",
    "returned": "ppppppppii",
    "passed": "ppiipi",
    "picked": "pppii",
    "total": "ppii",
    "entropy": "piiippppii",
    "adam": "ppppppirrr",
}
"""What each kernel takes before the first and the last candidate: pointers, integers and reals."""


@lru_cache(maxsize=32)
def _kernel(name: str, dtype: torch.dtype) -> Callable[..., None]:
    found = getattr(library(KERNELS, torch.finfo(dtype).bits), name)
    kinds = {"p": ctypes.c_void_p, "i": ctypes.c_int64, "r": _REALS[dtype]}
    found.argtypes = [kinds[letter] for letter in _ARGUMENTS[name] + "ii"]
    found.restype = None
    kernel: Callable[..., None] = found
    return kernel
