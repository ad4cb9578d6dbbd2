"""What is drawn is the whole grammar: every registered layer, slot and quantizer, every mode, every width."""

from __future__ import annotations

import collections
import functools
import re
from collections.abc import Iterator
from typing import Any

import pytest

from hls_export.fuzz import draw
from hls_export.fuzz.network import PLAIN
from hls_export.fuzz.quantizers import families
from torchq.formats import Overflow, Rounding
from torchq.nn import LAYERS
from torchq.quantizers import QUANTIZERS

pytestmark = pytest.mark.filterwarnings("ignore")
SEEDS = 600
NOT_A_STEP = {"QInput"}
"""It begins every network."""


@functools.lru_cache
def specs() -> list[dict[str, Any]]:
    return [draw(seed) for seed in range(SEEDS)]


def steps() -> Iterator[dict[str, Any]]:
    return (step for spec in specs() for step in spec["steps"])


def texts() -> set[str]:
    found = {str(text) for step in steps() for text in step.get("slots", {}).values()}
    return found | {str(spec["input"]) for spec in specs()}


def test_every_registered_layer_is_drawn():
    drawn = {step["op"] for step in steps()}
    registered = {name for name, _ in LAYERS.items()} - NOT_A_STEP
    assert registered - drawn == set(), "hls_export/fuzz/layers.py does not draw these"
    assert drawn - registered == set(PLAIN) - {"swap"}, "moves and functions that are not drawn"


def test_every_slot_of_every_layer_is_drawn():
    drawn = collections.defaultdict(set)
    for step in steps():
        drawn[step["op"]] |= set(step.get("slots", {}))
    missing = {
        f"{name}.{slot}"
        for name, layer in LAYERS.items()
        if name not in NOT_A_STEP
        for slot in layer.slots
        if slot not in drawn[name]
    }
    assert missing == set(), "no network has a quantizer of its own there"


def test_every_quantizer_that_hardware_has_is_drawn():
    hardware = {
        name
        for name, cls in QUANTIZERS.items()
        if any(example.hardware_reason() is None for example in cls.examples())
    }
    assert {text.split("(")[0] for text in families("weight")} == hardware
    drawn = {text.split("(")[0] for text in texts()}
    assert hardware - drawn == set()
    assert {"binary", "fixed", "quantized_bits"} <= {text.split("(")[0] for text in families("activation")}
    assert not any("auto" in text for text in families("activation"))


def test_every_rounding_overflow_and_width_is_drawn():
    grids = re.findall(r"ap_(u?)fixed<(\d+),-?\d+,(\w+),(\w+)>", " ".join(texts()))
    assert {(rounding, overflow) for _, _, rounding, overflow in grids} == {
        (str(rounding), str(overflow)) for rounding in Rounding for overflow in Overflow
    }
    assert {int(width) for _, width, _, _ in grids} == set(range(1, 17))
    assert {sign for sign, _, _, _ in grids} == {"", "u"}


def test_branches_embeddings_and_formats_by_element_are_drawn():
    joins = [step for step in steps() if "with" in step]
    assert {len(step["with"]) for step in joins} == {1, 2}
    assert any(spec["input"] is None for spec in specs())
    assert any(isinstance(spec["input"], dict) for spec in specs())
    convs = [step["args"] for step in steps() if step["op"].startswith("QConv") and "Tr" not in step["op"]]
    assert any(groups == channels > 1 for channels, *_, groups, _, _ in convs), "depthwise"
    assert {args[5] for args in convs} == {1, 2}, "dilation"
    assert {args[-1] for args in convs} == {"zeros", "reflect", "replicate", "circular"}
