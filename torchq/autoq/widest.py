"""``widest``: the points of a space that together have all that any of its networks has."""

from __future__ import annotations

from torchq.search import Knob, Space
from torchq.search.space_settings import ACTIVATIONS


def widest(space: Space) -> list[dict[str, int]]:
    """Points with the largest layers, and with every quantizer family of every slot at its largest width.

    Example:
        >>> texts = ["ternary()", "quantized_bits(2,0)", "quantized_bits(4,0)"]
        >>> widest(Space((Knob.quantizer("fc1", "weight", texts), Knob.units("fc1", [4, 8]))))
        [{'fc1.weight': 0, 'fc1.units': 1}, {'fc1.weight': 2, 'fc1.units': 1}]
    """
    largest = {knob.name: _families(knob) for knob in space.knobs}
    count = max(len(indices) for indices in largest.values())
    return [
        {name: indices[min(number, len(indices) - 1)] for name, indices in largest.items()}
        for number in range(count)
    ]


def _families(knob: Knob) -> list[int]:
    """The last option of each family, cheap ones first; of numbers the last alone."""
    if knob.slot in ("units", "learning_rate", "pruning"):
        return [len(knob.options) - 1]
    last: dict[str, int] = {}
    for index, option in enumerate(knob.options):
        name = str(option) if option in ACTIVATIONS else str(option).partition("(")[0]
        last[name] = index
    return sorted(last.values())
