"""ONNX files that are absurd, endless, or make no numbers: refused at once, by the node."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from hls_export.emulate import Emulator
from hls_export.qonnx import execute, read
from torchq.errors import ExportError

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "hls_export"))
from hls_onnx import Foreign, weights


@pytest.fixture
def path(tmp_path):
    return tmp_path / "m.onnx"


def _refused(path, *, reader=read) -> str:
    with pytest.raises(ExportError) as fault:
        reader(path)
    return str(fault.value).replace(str(path.parent) + "/", "")


BIG = 2**31 - 1
WINDOWS = {
    "pads": ("MaxPool", {"kernel_shape": [2, 2], "pads": [BIG] * 4}),
    "kernel": ("MaxPool", {"kernel_shape": [BIG, BIG], "pads": [BIG] * 4}),
    "dilations": ("MaxPool", {"kernel_shape": [2, 2], "dilations": [BIG, 1], "pads": [BIG] * 4}),
    "ceil": (
        "MaxPool",
        {"kernel_shape": [2, 2], "strides": [BIG] * 2, "pads": [1, 1, BIG, BIG], "ceil_mode": 1},
    ),
    "average": ("AveragePool", {"kernel_shape": [2, 2], "pads": [BIG] * 4, "count_include_pad": 1}),
    "areas": ("AveragePool", {"kernel_shape": [2**20] * 2, "pads": [2**20] * 4, "count_include_pad": 1}),
}


@pytest.mark.parametrize("name", WINDOWS)
def test_absurd_windows_are_refused_before_anything_is_made(path, name):
    kind, attributes = WINDOWS[name]
    file = Foreign(("n", 4, 3, 3))
    file.save(path, file.op(kind, file.quant("x"), name="big", **attributes))
    assert _refused(path).startswith(f"the padding of big ({kind}) makes samples of shape (4, ")


LONG = 2**13
CONSTANTS = {
    "ConstantOfShape": lambda f: f.op("ConstantOfShape", f.constant([2**20, 2**20], np.int64), name="big"),
    "Expand": lambda f: f.op("Expand", f.constant([1.0]), f.constant([2**40], np.int64), name="big"),
    "Mul": lambda f: f.op("Mul", *_row_and_column(f), name="big"),
    "MatMul": lambda f: f.op("MatMul", *_row_and_column(f), name="big"),
    "Range": lambda f: f.op("Range", f.constant(0.0), f.constant(1e30), f.constant(1.0), name="big"),
    "Tile": lambda f: f.op("Tile", f.constant([1.0]), f.constant([2**45], np.int64), name="big"),
}


def _row_and_column(file):
    return file.constant(np.ones((LONG, 1))), file.constant(np.ones((1, LONG)))


@pytest.mark.parametrize("kind", CONSTANTS)
def test_absurd_constants(path, kind):
    file = Foreign()
    file.save(path, file.op("Add", file.quant("x"), CONSTANTS[kind](file)))
    assert _refused(path).startswith(f"big ({kind}) makes a constant of shape (")


@pytest.mark.parametrize("reader", [read, lambda p: execute(p, np.zeros((1, 4)))], ids=["read", "execute"])
def test_more_memory_than_there_is(path, reader, monkeypatch):
    def fails(*_, **__):
        raise MemoryError

    monkeypatch.setattr("hls_export.qonnx.ops_functions.read_op", fails)
    monkeypatch.setattr("onnx.reference.ReferenceEvaluator.run", fails)
    file = Foreign()
    file.save(path, file.op("MatMul", file.quant("x"), file.quant(file.constant(weights()))))
    assert _refused(path, reader=reader) == "m.onnx needs more memory than there is"


CHAINS = {
    "relu": lambda f, x, i: f.op("Relu", x),
    "moves": lambda f, x, i: f.op("Reshape", x, f.constant([-1, 2, 2] if i % 2 else [-1, 4], np.int64)),
    "factors": lambda f, x, i: f.op("Mul", x, f.constant(2.0 if i % 2 else 0.5)),
    "quantizers": lambda f, x, i: f.quant(x),
    "functions": lambda f, x, i: f.op("Tanh", x),
}


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.slow if n in ("factors", "quantizers") else ()) for n in CHAINS],
)
def test_chains_of_3000_nodes(path, name):
    file = Foreign()
    x = file.quant("x")
    for i in range(3000):
        x = CHAINS[name](file, x, i)
    file.save(path, file.quant(x))
    graph = read(path)
    assert graph.input_shape == (4,)
    assert np.isfinite(Emulator(graph)(np.ones((1, 4)))).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", ["Add", "Mul", "Sub", "Clip", "MatMul", "PRelu"])
def test_constants_that_are_no_numbers(path, kind, value):
    file = Foreign()
    shape = (4, 3) if kind == "MatMul" else (1,)
    y = file.op(kind, file.quant("x", name="in"), file.constant(np.full(shape, value)), name="odd")
    file.save(path, y)
    try:
        graph = read(path)
    except ExportError as fault:
        assert "odd" in str(fault)  # noqa: PT017
    else:
        x = np.linspace(-3, 3, 40).reshape(-1, 4)
        assert kind == "Clip"
        assert (Emulator(graph)(x) == execute(path, x)).all()


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN", "LayerNormalization", "Softmax", "LogSoftmax"])
def test_what_rounds_nowhere_is_refused_with_a_reason(path, kind):
    file = Foreign()
    file.save(path, file.quant(file.op(kind, file.quant("x"), file.constant(weights()), name="deep")))
    first, second = _refused(path).splitlines()
    assert first == f"m.onnx: 1 node cannot be lowered: deep ({kind})"
    assert second.startswith(f"{kind} ")
