"""The one home of rounding: the seven modes of ``ap_fixed``, on torch tensors.

Everything that rounds, in training, in the emulator and in the vectors, calls :func:`round_to_integer`.
(The QONNX executor rounds by itself on purpose: it is the second reading that this one is compared with.)
"""

from __future__ import annotations

from enum import StrEnum

import torch
from torch import Tensor


class Rounding(StrEnum):
    """What happens to the bits below the last one; names and meanings are those of ``ap_fixed``.

    ``RND_CONV`` (ties to even) is what ``torch.round``, QKeras and QONNX's ``ROUND`` do.
    """

    TRN = "TRN"
    """Toward minus infinity (floor): the bits are cut off."""
    TRN_ZERO = "TRN_ZERO"
    """Toward zero."""
    RND = "RND"
    """To nearest, ties toward plus infinity."""
    RND_ZERO = "RND_ZERO"
    """To nearest, ties toward zero."""
    RND_MIN_INF = "RND_MIN_INF"
    """To nearest, ties toward minus infinity."""
    RND_INF = "RND_INF"
    """To nearest, ties away from zero."""
    RND_CONV = "RND_CONV"
    """To nearest, ties to even."""


def round_to_integer(x: Tensor, rounding: Rounding = Rounding.RND_CONV) -> Tensor:
    """Round every element of ``x`` to an integer.

    ``floor(x + 0.5)`` would be wrong just below a tie, where the sum itself is rounded, and so would be the
    distance of a small negative number to the integer below it. Magnitudes have neither problem: ``|x| -
    floor(|x|)`` is exact for every float.

    Args:
        x: any shape, any float dtype.
        rounding: the mode.

    Returns:
        The shape and dtype of ``x``.

    Example:
        >>> x = torch.tensor([-1.5, -0.5, 0.5, 1.5])
        >>> round_to_integer(x, Rounding.RND_CONV).tolist()
        [-2.0, -0.0, 0.0, 2.0]
        >>> round_to_integer(x, Rounding.RND).tolist()
        [-1.0, -0.0, 1.0, 2.0]
    """
    if rounding is Rounding.RND_CONV:
        return torch.round(x)
    if rounding is Rounding.TRN:
        return torch.floor(x)
    if rounding is Rounding.TRN_ZERO:
        return torch.trunc(x)
    size = torch.abs(x)
    low = torch.floor(size)
    rest = size - low
    if rounding is Rounding.RND:
        up = torch.where(x < 0, rest > 0.5, rest >= 0.5)
    elif rounding is Rounding.RND_MIN_INF:
        up = torch.where(x < 0, rest >= 0.5, rest > 0.5)
    elif rounding is Rounding.RND_INF:
        up = rest >= 0.5
    else:  # RND_ZERO
        up = rest > 0.5
    return torch.copysign(torch.where(up, low + 1, low), x)


def in_steps(x: Tensor, step: Tensor) -> Tensor:
    """``x / step`` for powers of two; a tiny number does not vanish, its sign decides what ``TRN`` does.

    Example:
        >>> round_to_integer(in_steps(torch.tensor([-1e-45]), torch.tensor(4.0)), Rounding.TRN).tolist()
        [-1.0]
    """
    steps = x / step
    if not bool((step > 1).any()):
        return steps
    tiny = torch.copysign(torch.full_like(steps, torch.finfo(x.dtype).tiny), x)
    return torch.where((steps == 0) & (x != 0), tiny, steps)


def wrapped(code: Tensor, low: Tensor, span: Tensor) -> Tensor:
    """``code`` modulo ``span`` in ``[low, low + span)``, exactly: no sum on the way needs more digits.

    Args:
        code: integers, in any float dtype.
        low: the smallest code of the range, 0 or ``-span / 2``.
        span: how many codes the range has, a power of two.

    Example:
        >>> low, span = torch.tensor(-(2.0**20)), torch.tensor(2.0**21)
        >>> wrapped(torch.tensor([2.0**53 - 1], dtype=torch.float64), low, span).tolist()
        [-1.0]
    """
    rest = torch.fmod(code, span)
    rest = torch.where(rest < low, rest + span, rest)
    return torch.where(rest >= low + span, rest - span, rest)
