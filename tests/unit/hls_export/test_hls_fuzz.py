"""Random networks over the whole grammar: torch in float64 = ONNX = emulator = integers, every value."""

from __future__ import annotations

import importlib
import json

import pytest
import torch

from hls_export import float_steps
from hls_export.fuzz import build, check, draw, shrink
from hls_export.fuzz.__main__ import main
from hls_export.hardware import Sub
from torchq.errors import TorchqError

pytestmark = pytest.mark.filterwarnings("ignore")
Q = "quantized_bits(4,1,alpha=1)"

CASES = [
    # a function's positional ceil_mode was taken for return_indices
    {
        "shape": [2, 5],
        "input": Q,
        "seed": 0,
        "scale": 1.0,
        "steps": [{"op": "max_pool1d", "args": [2, 2, 1, 1, True]}, {"op": "flatten"}],
    },
    # wrapped values far beyond the range, and formats of no bits among others
    {
        "shape": [3],
        "input": {
            "width": [0, 3, 5],
            "integer": [0, 2, -1],
            "signed": [0, 1, 1],
            "rounding": "RND_MIN_INF",
            "overflow": "WRAP",
        },
        "seed": 1,
        "scale": 4.0,
        "steps": [{"op": "QLinear", "args": [3, 2], "slots": {"weight": Q, "bias": Q}}],
    },
    # a table read values that did not lie in memory one after the other, and the evaluator failed
    {
        "shape": [3, 5],
        "input": Q,
        "seed": 0,
        "scale": 1.0,
        "steps": [
            {"op": "permute", "args": [2, 1]},
            {"op": "QSoftmax", "args": [1], "slots": {"output": "quantized_relu(8,0)"}},
        ],
    },
]
"""Networks that once went wrong, or nearly did."""


@pytest.mark.parametrize("spec", CASES)
def test_cases_that_were_found(spec):
    verdict = check(spec)
    assert verdict.agree, verdict.reason


@pytest.mark.parametrize("seed", range(30))
def test_random_networks(seed):
    verdict = check(draw(seed))
    assert verdict.agree is not False, f"seed {seed}: {verdict.reason}"


@pytest.mark.slow
@pytest.mark.parametrize("start", range(1000, 3000, 100))
def test_thousands_of_networks(start, capsys):
    code = main(["--count", "100", "--start", str(start)])
    text = capsys.readouterr().out
    assert code == 0, text
    assert "refused" not in text or int(text.split(" refused")[-2].rsplit(" ", 1)[-1]) < 10, text


def test_a_fault_is_found_and_shrinks(monkeypatch, capsys):
    """A subtraction that is wrong in the emulator alone."""

    def wrong(node, dtype):
        return lambda a, b: (a - b).abs()

    def step(node, dtype):
        return wrong(node, dtype) if isinstance(node, Sub) else float_steps.float_step(node, dtype)

    monkeypatch.setattr(importlib.import_module("hls_export.emulate"), "float_step", step)
    failing = next(seed for seed in range(200) if check(draw(seed)).agree is False)
    spec = draw(failing)
    small = shrink(spec, _fails)
    assert check(small).agree is False
    assert len(small["steps"]) <= len(spec["steps"])
    assert len(small["steps"]) <= 2
    assert main(["--count", "1", "--start", str(failing)]) == 1
    text = capsys.readouterr().out
    assert f"seed {failing} differs: " in text
    case = json.loads(text.split("smallest: ")[1].splitlines()[0])
    assert case["through"] == "emulator"
    assert case["spec"]["steps"]


def _fails(spec):
    try:
        return check(spec).agree is False
    except (TorchqError, RuntimeError, ValueError, IndexError):
        return False


def test_a_description_is_json_and_builds_the_same_model():
    for seed in range(8):
        spec = draw(seed)
        again = json.loads(json.dumps(spec))
        x = torch.randn(3, *spec["shape"])
        assert torch.equal(build(spec)(x), build(again)(x))
