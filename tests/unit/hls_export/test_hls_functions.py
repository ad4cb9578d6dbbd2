"""Files of ours in other runtimes: onnxruntime, and qonnx with our functions written out."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from hls_export.emulate import Emulator
from hls_export.qonnx import export, outside_of_hls4ml, portable
from hls_export.vectors import adversarial
from torchq.formats import FixedPoint, Overflow, Rounding
from torchq.nn import LAYERS, QActivation, QInput, QLinear, QReLU

Q = "quantized_bits(6,1,alpha=1)"
CASES = [
    pytest.param(layer, example, id=f"{name}-{i}")
    for name, layer in LAYERS.items()
    for i, example in enumerate(layer.examples())
]


def written(cls, example, tmp_path):
    """The exported file of an example, samples that float32 holds, and what the emulator makes of them."""
    torch.manual_seed(3)
    layer = cls.from_example(example)
    body = layer if example.within is None else example.within(layer)
    first = () if cls.reads_integers else (QInput(example.input),)
    exported = export(nn.Sequential(*first, body).eval(), tmp_path / "m.onnx", example.shape)
    x = adversarial(exported.graph, 64, 5).astype(np.float32)
    emulator = Emulator(exported.graph)
    return exported, x, emulator(x), max(edge.bits for edge in emulator.bounds.values()) <= 24


@pytest.mark.parametrize(("cls", "example"), CASES)
def test_onnxruntime_computes_the_same(cls, example, tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    exported, x, expected, narrow = written(cls, example, tmp_path)
    if not narrow:
        assert cls.__name__ in ("QLayerNorm", "QMultiheadAttention")  # float32 cannot hold their sums
        return
    model = portable(exported.path)
    onnx.checker.check_model(model)
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (got,) = session.run(None, {session.get_inputs()[0].name: x})
    assert (got == expected).all()


@pytest.mark.parametrize("name", ["QConv2d", "QLSTM", "QSoftmax", "QAvgPool2d", "QTanh"])
def test_qonnx_computes_the_same(name, tmp_path):
    wrapper = pytest.importorskip("qonnx.core.modelwrapper")
    shapes = pytest.importorskip("qonnx.transformation.infer_shapes")
    from onnx.inliner import inline_local_functions
    from qonnx.core.onnx_exec import execute_onnx

    cls = LAYERS.get(name)
    exported, x, expected, _ = written(cls, cls.examples()[0], tmp_path)
    plain = inline_local_functions(onnx.load(exported.path))
    del plain.graph.value_info[:]
    for value in (*plain.graph.input, *plain.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = len(x)
    plain.ir_version = 8
    model = wrapper.ModelWrapper(plain).transform(shapes.InferShapes())
    got = execute_onnx(model, {exported.graph.input: x})
    assert (next(iter(got.values())) == expected).all()


@pytest.mark.parametrize("rounding", list(Rounding))
@pytest.mark.parametrize("overflow", list(Overflow))
def test_roundings_in_float32(rounding, overflow, tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    grid = FixedPoint(np.array([3, 4, 5, 0]), np.array([1, 2, -1, 0]), np.arange(4) < 2, rounding, overflow)
    exported = export(nn.Sequential(QInput(grid)), tmp_path / "m.onnx", (4,))
    x = adversarial(exported.graph, 300, 1).astype(np.float32)
    session = runtime.InferenceSession(portable(exported.path).SerializeToString())
    assert (session.run(None, {exported.graph.input: x})[0] == grid.quantize(x)).all()


def test_signs_in_float32(tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    model = nn.Sequential(
        QInput(Q), QLinear(4, 3, weight_quantizer=Q, bias_quantizer=Q), QActivation("binary(alpha=0.5)")
    )
    exported = export(model.eval(), tmp_path / "m.onnx")
    x = adversarial(exported.graph, 100, 1).astype(np.float32)
    session = runtime.InferenceSession(portable(exported.path).SerializeToString())
    (got,) = session.run(None, {exported.graph.input: x})
    assert (got == Emulator(exported.graph)(x)).all()
    assert set(np.unique(got)) == {-0.5, 0.5}


def test_what_hls4ml_cannot_read_is_told(tmp_path):
    cls = LAYERS.get("QConv1d")
    example = cls.examples()[1]
    exported, *_ = written(cls, example, tmp_path)
    assert [text.split(" (")[0] for text in outside_of_hls4ml(exported.path)] == ["1.pad", "1", "1"]
    mlp = nn.Sequential(QInput(Q), QLinear(4, 3, weight_quantizer=Q, bias_quantizer=Q), QReLU(Q))
    assert outside_of_hls4ml(export(mlp, tmp_path / "mlp.onnx").path) == []
