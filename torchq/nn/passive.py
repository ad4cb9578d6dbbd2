"""The layers without quantizers: relu, dropout, identity, reshape, transpose, slice, softmax."""

from __future__ import annotations

import operator
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


def dropout(
    p: float = 0.5,
    training: bool = True,  # noqa: ARG001 - the module follows the mode of the model
    inplace: bool = False,
    *,
    kind: type[nn.Dropout | nn.Dropout2d] = nn.Dropout,
) -> nn.Module:
    """The module for a call of ``F.dropout``."""
    return kind(p, inplace)


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
    Passive(
        kind="identity",
        apply=same,
        format=same,
        modules=(nn.Identity,),
        methods=("contiguous", "clone"),
    ),
)
PASSIVES.add(
    "dropout",
    Passive(
        kind="identity",
        apply=same,
        format=same,
        modules=(nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.AlphaDropout),
        functions=(F.dropout, torch.dropout),
        module=dropout,
    ),
)
PASSIVES.add(
    "dropout2d",
    Passive(
        kind="identity",
        apply=same,
        format=same,
        functions=(F.dropout2d,),
        module=partial(dropout, kind=nn.Dropout2d),
    ),
)
PASSIVES.add(
    "reshape",
    Passive(
        kind="reshape",
        apply=same,
        format=same,
        modules=(nn.Flatten, nn.Unflatten),
        functions=(torch.flatten, torch.reshape, torch.squeeze, torch.unsqueeze, torch.unflatten),
        methods=("flatten", "reshape", "view", "squeeze", "unsqueeze", "unflatten"),
        moves=True,
    ),
)
PASSIVES.add(
    "transpose",
    Passive(
        kind="transpose",
        apply=same,
        format=same,
        functions=(torch.permute, torch.transpose, torch.swapaxes, torch.movedim),
        methods=("permute", "transpose", "swapaxes", "movedim"),
        moves=True,
    ),
)
PASSIVES.add(
    "slice",
    Passive(
        kind="transpose",
        apply=same,
        format=same,
        functions=(operator.getitem, torch.select, torch.narrow),
        methods=("select", "narrow"),
        moves=True,
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
