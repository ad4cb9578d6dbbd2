"""A problem without training: accuracy and energy by formulas, shaped like those of the jet network.

A 16-64-32-32-5 network with a width for every weight, activation and the input and a number of neurons for
every hidden layer: 11 knobs, 232 million points. A trial costs nothing, and what is left is the searcher.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping

from torchq.quantizers import parse
from torchq.scheme import Scheme
from torchq.search import Knob, MultiObjective, Space, TrialInfo

FEATURES, CLASSES = 16, 5
HIDDEN = {"fc1": 64, "fc2": 32, "fc3": 32}
LAYERS = (*HIDDEN, "output")
NEED = {
    "input": 2.4,
    "fc1": 1.6,
    "fc2": 1.3,
    "fc3": 1.2,
    "output": 1.5,
    "relu1": 1.8,
    "relu2": 1.5,
    "relu3": 1.5,
}
CROWD = {"fc1": 0.12, "fc2": 0.06, "fc3": 0.05}
NOISE = 0.0015
FLOAT_ACCURACY = 0.766
"""How accurate the imagined network is, how fast each width saturates, and what a lost neuron costs."""


def space() -> Space:
    """11 knobs: widths 2 to 8 for weights, 3 to 8 for activations, 4 to 10 for the input, neurons."""
    knobs = [Knob.input(f"quantized_bits({bits},3,alpha=1)" for bits in range(4, 11))]
    for layer in LAYERS:
        knobs.append(
            Knob.quantizer(layer, "weight", (f"quantized_bits({bits},0,alpha=1)" for bits in range(2, 9)))
        )
    for index, (layer, most) in enumerate(HIDDEN.items(), 1):
        knobs.append(
            Knob.quantizer(f"relu{index}", "output", (f"quantized_relu({bits},2)" for bits in range(3, 9)))
        )
        knobs.append(Knob.units(layer, (most // 4, most // 2, 3 * most // 4, most)))
    return Space(tuple(knobs))


def price(widths: Mapping[str, int], units: Mapping[str, int]) -> dict[str, float]:
    """Energy (a multiplication costs the product of its widths) and bits of such a network."""
    energy, bits, sizes = 0.0, 0.0, [FEATURES, *(units[name] for name in HIDDEN), CLASSES]
    sources = ("input", "relu1", "relu2", "relu3")
    for layer, source, fan_in, fan_out in zip(LAYERS, sources, sizes, sizes[1:], strict=False):
        product = widths[layer] * widths[source]
        adder = widths[layer] + widths[source] + math.log2(fan_in)
        energy += fan_in * fan_out * (0.003 * product + 0.0031 * adder)
        bits += (fan_in + 1) * fan_out * widths[layer]
    return {"energy_pj": energy, "bits": bits}


def evaluate(scheme: Scheme, info: TrialInfo) -> dict[str, float]:
    """Formulas in place of a training, with noise that depends on the point alone."""
    texts = {layer: scheme.slot(layer, "weight") for layer in LAYERS}
    texts |= {name: scheme.slot(name, "output") for name in ("relu1", "relu2", "relu3")}
    texts["input"] = scheme.input
    widths = {name: parse(text).bits for name, text in texts.items() if text is not None}
    lost = sum(0.25 * math.exp(-NEED[name] * (bits - 1.5)) for name, bits in widths.items())
    lost += sum(CROWD[name] * (most / scheme.units[name] - 1) / 10 for name, most in HIDDEN.items())
    digest = hashlib.sha256(repr(sorted(info.point.items())).encode()).digest()
    noise = NOISE * (int.from_bytes(digest[:4], "big") / 2**31 - 1)
    return {"accuracy": FLOAT_ACCURACY * math.exp(-lost) + noise, **price(widths, scheme.units)}


def goal() -> MultiObjective:
    """At most 5 points of accuracy lost, at least 4 times less energy than with 16 bits everywhere."""
    dearest = price(dict.fromkeys(NEED, 16), HIDDEN)["energy_pj"]
    return MultiObjective("energy_pj", FLOAT_ACCURACY - 0.05, dearest / 4)
