"""The programs of a layout as torch's compiler makes them, once in a process: what a GPU is given."""

from __future__ import annotations

import functools
import itertools
import types
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from torchq.train.stacked import program
from torchq.train.stacked.arithmetic import Arithmetic
from torchq.train.stacked.layout import Layout
from torchq.train.stacked.programs import Programs


@functools.cache
def compiled(layout: Layout, rows: int) -> Programs:  # noqa: ARG001 - a batch of other length is another
    """The programs through torch's compiler, which works when they are called first.

    The number of candidates and of samples is left open, so that candidates may leave.

    Args:
        layout: of the stacks.
        rows: samples of a batch.
    """
    arithmetic = Arithmetic()

    def train(*args: Any) -> Tensor:
        return program.train_step(layout, arithmetic, *args)

    def look(*args: Any) -> tuple[Tensor, Tensor]:
        return program.look(layout, arithmetic, *args)

    return Programs(_compile(train), _compile(look), arithmetic, True)


@functools.cache
def lack(device: torch.device) -> str | None:
    """Why torch compiles nothing on this machine, found out by trying; None if it does."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the compiler's own imports use what torch has deprecated
            _compile(_probe)(torch.zeros(8, device=device))
    except Exception as fault:  # without a C++ compiler, its OpenMP, Triton, ... each is another error
        lines = [line for line in str(fault).splitlines() if line and not line.endswith("raised:")]
        return f"torch compiles nothing here ({lines[0] if lines else type(fault).__name__})"
    return None


def _probe(x: Tensor) -> Tensor:
    return x + 1


def _compile(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compiled under a code object of its own: torch gives up on one that it has compiled eight times."""
    code = function.__code__.replace(co_name=f"{function.__name__}_{next(_numbers)}")
    own = types.FunctionType(code, function.__globals__, code.co_name, None, function.__closure__)
    made: Callable[..., Any] = torch.compile(own, fullgraph=True)
    return made


_numbers = itertools.count()
