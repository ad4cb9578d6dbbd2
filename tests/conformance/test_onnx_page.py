"""The page of what is read names every operator that is read, and every one that is refused for a reason."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hls_export.qonnx import own
from hls_export.qonnx.constants import RULES
from hls_export.qonnx.read import HANDLERS
from hls_export.qonnx.refused import REASONS

PAGE = (Path(__file__).parents[2] / "docs" / "onnx.md").read_text(encoding="utf-8")
ROWS = [line.split("|")[1:] for line in PAGE.splitlines() if line.startswith("| `")]
READ = {name for first, read, *_ in ROWS if read.strip() for name in re.findall(r"`(\w+)`", first)}
REFUSED = {name for first, read, *_ in ROWS if not read.strip() for name in re.findall(r"`(\w+)`", first)}
HANDLED = {kind for _, kind in HANDLERS if not kind.startswith(own.PREFIX)}


@pytest.mark.parametrize("kind", sorted(HANDLED))
def test_what_is_read_is_on_the_page(kind):
    assert kind in READ


def test_nothing_else_is_said_to_be_read():
    pairs = {"QuantizeLinear", "DequantizeLinear"}  # become Quant before operators are read
    unrolled = {"LSTM", "GRU", "RNN", "QuantLSTMCell"}
    assert READ - pairs - unrolled == HANDLED
    assert set(REASONS) == REFUSED | unrolled
    assert not set(REASONS) & HANDLED


def test_what_is_folded_beside_is_on_the_page():
    said = set(re.findall(r"`(\w+)`", PAGE)) | {"And", "Or", "Not", "Equal", "Greater", "Less"}
    assert {kind for kind in RULES if kind not in said and not kind.startswith("Reduce")} == set()
