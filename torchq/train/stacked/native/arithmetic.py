"""``NativeArithmetic``: the compiled kernels on tensors of the CPU."""

from __future__ import annotations

import ctypes
import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import torch
from torch import Tensor

from torchq.train.stacked import formulas
from torchq.train.stacked.arithmetic import Arithmetic
from torchq.train.stacked.native.build import library
from torchq.train.stacked.numbers import FOUND, Families

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
        library()

    def values(self, x: Tensor, numbers: Tensor, families: Families, mask: Tensor | None = None) -> Tensor:
        """As the base; where a scale is found, torch does it for all and what belongs there is taken."""
        count = len(numbers)
        turned = not _dense(x) and _dense(x.transpose(1, 2)) and mask is None
        source = x.transpose(1, 2) if turned else x
        if not _dense(source):
            source = source.contiguous()
        if mask is not None and not _dense(mask):
            mask = mask.contiguous()
        made = source.new_empty((count, *source.shape[1:]))
        each = made[0].numel()
        _run(
            _kernel("values", x.dtype),
            count,
            made.numel(),
            source.data_ptr(),
            0 if len(source) == 1 else source.stride(0),
            made.data_ptr(),
            each,
            numbers.data_ptr(),
            numbers.stride(0),
            None if mask is None else mask.data_ptr(),
            0 if mask is None or len(mask) == 1 else mask.stride(0),
        )
        made = made.transpose(1, 2) if turned else made
        if FOUND in families.formulas:
            other = formulas.values(x, numbers, Families(frozenset({FOUND}), families.lifts))
            other = other if mask is None else other * mask
            made = torch.where(formulas.is_formula(numbers, FOUND), other, made)
        return made

    def shifted(
        self, x: Tensor, offset: Tensor, numbers: Tensor, families: Families
    ) -> tuple[Tensor, Tensor]:
        """As the base, but in the memory of ``x``."""
        if not (x.is_contiguous() and offset.is_contiguous()) or len(x) != len(numbers):
            return super().shifted(x, offset, numbers, families)
        made = torch.empty_like(x)
        _run(
            _kernel("shifted", x.dtype),
            len(x),
            x.numel(),
            x.data_ptr(),
            offset.data_ptr(),
            made.data_ptr(),
            x.shape[1],
            x.shape[2],
            numbers.data_ptr(),
            numbers.stride(0),
        )
        return x, made

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
        _run(
            _kernel("passed", x.dtype),
            len(numbers),
            slope.numel(),
            slope.data_ptr(),
            source.data_ptr(),
            0 if len(source) == 1 else source.stride(0),
            slope[0].numel(),
            numbers.data_ptr(),
            numbers.stride(0),
        )
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
        real = _REALS[rows.dtype]
        _, scale, decay, root, *_ = pace.tolist()
        tensors = (rows, first, second, slope, masks, lr)
        assert all(tensor.is_contiguous() for tensor in tensors)  # noqa: S101 - they are the stack's own
        pointers = [tensor.data_ptr() for tensor in tensors]
        numbers = (real(decay), real(scale), real(root))
        _run(_kernel("adam", rows.dtype), len(rows), rows.numel(), *pointers, rows[0].numel(), *numbers)


def _dense(x: Tensor) -> bool:
    """Whether the values of each candidate lie one after the other."""
    return x.stride(2) == 1 and (x.stride(1) == x.shape[2] or x.shape[1] == 1)


Kernel = Callable[..., None]


def _run(kernel: Kernel, candidates: int, values: int, *arguments: object) -> None:
    """Run a kernel on all candidates; in as many threads as torch has where that is worth it."""
    threads = min(torch.get_num_threads(), candidates) if values >= WORTH_SHARING else 1
    if threads == 1:
        kernel(*arguments, 0, candidates)
        return
    bounds = [candidates * part // threads for part in range(threads + 1)]
    parts = [
        _pool(threads).submit(kernel, *arguments, first, last) for first, last in itertools.pairwise(bounds)
    ]
    for part in parts:
        part.result()


@lru_cache(maxsize=1)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="torchq_kernels")


_POINTER, _COUNT = ctypes.c_void_p, ctypes.c_int64
_TENSORS = {"values": (0, 2, 4, 6), "shifted": (0, 1, 2, 5), "passed": (0, 1, 4), "adam": (0, 1, 2, 3, 4, 5)}
"""Which arguments of a kernel are pointers; all others are counts, or numbers where a list says so."""
_ARGUMENTS = {"values": 10, "shifted": 9, "passed": 8, "adam": 12}
_REAL_ARGUMENTS = {"adam": (7, 8, 9)}


@lru_cache(maxsize=8)
def _kernel(name: str, dtype: torch.dtype) -> Kernel:
    found = getattr(library(), f"{name}_{str(dtype).removeprefix('torch.')}")
    reals = _REAL_ARGUMENTS.get(name, ())
    found.argtypes = [
        _POINTER if place in _TENSORS[name] else _REALS[dtype] if place in reals else _COUNT
        for place in range(_ARGUMENTS[name])
    ]
    found.restype = None
    kernel: Kernel = found
    return kernel
