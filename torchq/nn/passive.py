"""The layers without quantizers: relu, dropout, identity, flatten, softmax."""

from __future__ import annotations

from functools import partial
from typing import TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from torchq.formats import FixedPoint, Format, Overflow
from torchq.nn.registry import PASSIVES, Passive
from torchq.nn.types import fixed

T = TypeVar("T")


def without_sign(format: Format | None) -> FixedPoint | None:
    """The format of ``relu(x)``: the sign bit is gone.

    Example:
        >>> str(without_sign(FixedPoint(26, 12)))
        'ap_ufixed<25,11,RND_CONV,SAT>'
        >>> str(without_sign(FixedPoint(6, 0, signed=False)))
        'ap_ufixed<6,0,RND_CONV,SAT>'
    """
    f = format if isinstance(format, FixedPoint) else fixed(format)
    if f is None or not np.any(f.signed):
        return f
    sign = np.asarray(f.signed).astype(np.int64)
    overflow = Overflow.SAT if f.overflow is Overflow.SAT_SYM else f.overflow
    width = np.maximum(np.asarray(f.width) - sign, 0)
    return FixedPoint(width, np.asarray(f.integer) - sign, False, f.rounding, overflow)


def same(value: T) -> T:
    """The value itself."""
    return value


def none(format: Format | None) -> None:
    """No number format, whatever came."""


PASSIVES.add(
    "relu",
    Passive(
        kind="relu",
        apply=torch.relu,
        format=without_sign,
        modules=(nn.ReLU,),
        functions=(torch.relu, F.relu),
        methods=("relu",),
        module=nn.ReLU,
    ),
)
PASSIVES.add(
    "identity",
    Passive(kind="identity", apply=same, format=same, modules=(nn.Identity, nn.Dropout)),
)
PASSIVES.add(
    "flatten",
    Passive(
        kind="identity",
        apply=same,
        format=same,
        modules=(nn.Flatten,),
        functions=(torch.flatten,),
        methods=("flatten",),
    ),
)
PASSIVES.add(
    "softmax",
    Passive(
        kind="softmax",
        apply=partial(torch.softmax, dim=-1),
        format=none,
        modules=(nn.Softmax,),
        last_only=True,
    ),
)
PASSIVES.add(
    "log_softmax",
    Passive(
        kind="softmax",
        apply=partial(torch.log_softmax, dim=-1),
        format=none,
        modules=(nn.LogSoftmax,),
        last_only=True,
    ),
)
