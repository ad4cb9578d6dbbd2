"""Files with random changes: each is refused, or computed as the file says; nothing else is raised."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from hls_export.emulate import Emulator
from hls_export.qonnx import execute, read
from torchq.errors import TorchqError

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "hls_export"))
from hls_onnx import DOMAIN, Foreign, weights


@pytest.fixture
def path(tmp_path):
    return tmp_path / "m.onnx"


def _rich(path) -> onnx.ModelProto:
    """A file with many kinds of operators."""
    file = Foreign(("n", 2, 6, 6))
    x = file.quant("x", 6, 2.0**-3)
    y = file.op("Conv", x, file.quant(file.constant(weights(0, (3, 2, 3, 3)))), pads=[1, 1, 1, 1])
    y = file.quant(file.op("Relu", file.op("MaxPool", y, kernel_shape=[2, 2], strides=[2, 2])), 6, 0.25)
    y = file.op("Add", y, file.quant(file.op("Sigmoid", y), 6, 2.0**-4))
    y = file.op("Transpose", file.quant(y, 8, 0.25), perm=[0, 2, 3, 1])
    y = file.op("Reshape", y, file.constant([0, -1], np.int64))
    y = file.op("Gemm", y, file.quant(file.constant(weights(1, (3, 27)))), transB=1, alpha=0.5)
    y = file.op(
        "Trunc",
        file.quant(y, 8, 0.25),
        *[file.constant(n) for n in (0.25, 0.0, 8.0, 1.0, 5.0)],
        domain=DOMAIN,
    )
    y = file.op("Concat", y, file.op("Slice", y, *[file.constant([n], np.int64) for n in (0, 2, 1)]), axis=1)
    file.save(path, file.op("Clip", y, file.constant(-2.0), file.constant(3.0)), out_shape=None)
    return onnx.load(path)


def _changed(model: onnx.ModelProto, random: np.random.Generator) -> None:
    """One change that a broken exporter might make."""
    nodes, tensors = model.graph.node, model.graph.initializer
    node, tensor = nodes[random.integers(len(nodes))], tensors[random.integers(len(tensors))]
    numbers = [0, -1, 1, 2, 7, 2**31 - 1, -(2**31), 2**40]
    number = numbers[random.integers(len(numbers))]
    match random.integers(12):
        case 0:
            nodes.remove(node)
        case 1:
            node.op_type = nodes[random.integers(len(nodes))].op_type
        case 2 if node.attribute:
            attribute = node.attribute[random.integers(len(node.attribute))]
            attribute.i, attribute.f = number, float(number)
            attribute.ints[:] = [number for _ in attribute.ints]
        case 3 if node.attribute:
            del node.attribute[random.integers(len(node.attribute))]
        case 4 if node.input:
            node.input[random.integers(len(node.input))] = nodes[random.integers(len(nodes))].output[0]
        case 5 if node.input:
            node.input[random.integers(len(node.input))] = tensor.name
        case 6 if node.input:
            del node.input[-1]
        case 7:
            kind = [np.float16, np.int8, np.uint8, np.int64, np.float64, np.bool_][random.integers(6)]
            values = np.nan_to_num(onnx.numpy_helper.to_array(tensor)).astype(kind)
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
        case 8:
            values = onnx.numpy_helper.to_array(tensor)
            bad = [np.nan, np.inf, -np.inf, 1e-45, 3e38, 0.3, -1.0][random.integers(7)]
            made = np.full(values.shape, bad, np.float32)
            tensor.CopyFrom(onnx.numpy_helper.from_array(made, tensor.name))
        case 9:
            tensor.dims[:] = [max(number, 0), *tensor.dims]
        case 10:
            node.domain = ["", "my.domain", "qonnx.custom_op.channels_last"][random.integers(3)]
        case _:
            dims = model.graph.input[0].type.tensor_type.shape.dim
            dims[random.integers(len(dims))].dim_value = number


@pytest.mark.parametrize("seed", range(4))
def test_changed_files_are_read_exactly_or_refused(path, seed):
    """Whatever is read computes what the file says; the rest is refused, and nothing raises anything else."""
    whole = _rich(path)
    random = np.random.default_rng(seed)
    outcomes = {"read": 0, "refused": 0}
    for number in range(90):
        model = onnx.ModelProto()
        model.CopyFrom(whole)
        for _ in range(1 + number % 2):
            _changed(model, random)
        path.write_bytes(model.SerializeToString())
        try:
            graph = read(path)
            x = random.normal(size=(3, *graph.input_shape)) * 3
            wanted = execute(path, x)
        except TorchqError:
            outcomes["refused"] += 1
            continue
        outcomes["read"] += 1
        assert (Emulator(graph)(x).reshape(-1) == wanted.reshape(-1)).all(), (seed, number)
    assert min(outcomes.values()) > 10
