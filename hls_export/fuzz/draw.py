"""Drawing networks: layers, quantizers, formats, widths, roundings, overflow, branches."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hls_export.fuzz import deep_layers as deep
from hls_export.fuzz import layers
from hls_export.fuzz.growing import Growing
from hls_export.fuzz.network import Spec

_Step = Callable[[Growing], None]
_ANYWHERE: tuple[_Step, ...] = (
    layers.linear,
    layers.scale_shift,
    layers.table,
    deep.softmax,
    layers.merge,
    layers.merge,
    deep.layer_norm,
    layers.quantize,
)
_WINDOWS: tuple[_Step, ...] = (
    layers.conv,
    layers.conv_transpose,
    layers.batch_norm,
    layers.max_pool,
    layers.average_pool,
)
_OF_RANK: dict[int, tuple[_Step, ...]] = {
    1: (layers.linear, layers.batch_norm, layers.merge),
    2: (*_WINDOWS, deep.recurrent, deep.attention),
    3: _WINDOWS,
}
_MOVES: tuple[_Step, ...] = (
    layers.flatten,
    layers.permute,
    layers.split,
    layers.part,
    layers.one,
    layers.same,
)


def draw(seed: int, *, most_steps: int = 5) -> Spec:
    """A random network.

    Args:
        seed: the same one gives the same network.
        most_steps: layers with numbers of their own, at most.

    Example:
        >>> draw(5) == draw(5), draw(5) == draw(6)
        (True, False)
    """
    growing = Growing(np.random.default_rng([seed, 20]), seed)
    if growing.chance(0.04):
        growing.embed()
    for _ in range(growing.upto(most_steps)):
        growing.any([*_ANYWHERE, *_OF_RANK[len(growing.shape)] * 2])(growing)
        if growing.chance(0.3):
            growing.any(_MOVES)(growing)
    if growing.chance(0.4):  # a last layer whose exact sums leave
        args = [growing.shape[-1], growing.upto(4)]
        growing.add(op="QLinear", args=args, slots=growing.constants())
    return growing.spec
