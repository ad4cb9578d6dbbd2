"""Max pooling: it makes no new values, so it needs no quantizer."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from torchq.formats import FixedPoint, Format
from torchq.formats.arithmetic import widest
from torchq.nn.passive import same
from torchq.nn.registry import PASSIVES, Passive


def pooled(format: Format | None) -> Format | None:
    """The format of the largest of several values: theirs, or the widest of them."""
    return widest(format) if isinstance(format, FixedPoint) else format


PASSIVES.add(
    "max_pool1d",
    Passive(
        kind="max_pool",
        apply=same,
        format=pooled,
        modules=(nn.MaxPool1d,),
        functions=(F.max_pool1d, torch.max_pool1d),
        module=nn.MaxPool1d,
    ),
)
PASSIVES.add(
    "max_pool2d",
    Passive(
        kind="max_pool",
        apply=same,
        format=pooled,
        modules=(nn.MaxPool2d,),
        functions=(F.max_pool2d, torch.max_pool2d),
        module=nn.MaxPool2d,
    ),
)
