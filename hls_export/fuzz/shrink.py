"""From a network that fails to the smallest one of its family that still does."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

from hls_export.fuzz.network import Spec

_SIMPLEST = "quantized_bits(4,1,alpha=1)"


def shrink(spec: Spec, fails: Callable[[Spec], bool], most: int = 400) -> Spec:
    """A smaller network for which ``fails`` still holds: steps, slots and formats go one by one.

    Args:
        spec: a network that fails.
        fails: whether another one does; one that cannot be built does not.
        most: how many networks are tried at most.

    Example:
        >>> spec = {"shape": [3], "input": "ap_fixed<9,2,RND>", "seed": 3, "scale": 2.0,
        ...         "steps": [{"op": "relu"}, {"op": "flatten"}, {"op": "relu"}]}
        >>> small = shrink(spec, lambda s: any(step["op"] == "flatten" for step in s["steps"]))
        >>> small["steps"], small["input"]
        ([{'op': 'flatten'}], 'quantized_bits(4,1,alpha=1)')
    """
    tried = 0
    while True:
        for candidate in _smaller(spec):
            tried += 1
            if tried > most:
                return spec
            if fails(candidate):
                spec = candidate
                break
        else:
            return spec


def _smaller(spec: Spec) -> Iterator[Spec]:
    """Networks with a little less, the largest cuts first."""
    steps: list[dict[str, Any]] = spec["steps"]
    for i in range(len(steps) - 1, 0, -1):
        yield {**spec, "steps": copy.deepcopy(steps[:i])}
    for i in range(len(steps)):
        yield {**spec, "steps": _without(steps, i)}
    for i, length in enumerate(spec["shape"]):
        if length > 1:
            yield {**spec, "shape": [*spec["shape"][:i], length - 1, *spec["shape"][i + 1 :]]}
    if spec["input"] not in (None, _SIMPLEST):
        yield {**spec, "input": _SIMPLEST}
    if spec["scale"] != 1.0:
        yield {**spec, "scale": 1.0}
    for i, step in enumerate(steps):
        for slot, text in step.get("slots", {}).items():
            if text != _SIMPLEST:
                simpler = {**step, "slots": {**step["slots"], slot: _SIMPLEST}}
                yield {**spec, "steps": [*steps[:i], simpler, *steps[i + 1 :]]}


def _without(steps: list[dict[str, Any]], gone: int) -> list[dict[str, Any]]:
    """The steps without one; numbers of earlier tensors move with it."""
    kept = []
    for step in copy.deepcopy(steps[:gone] + steps[gone + 1 :]):
        if "with" in step:
            others = step["with"] if isinstance(step["with"], list) else [step["with"]]
            step["with"] = [place - (place > gone) for place in others]
        kept.append(step)
    return kept
