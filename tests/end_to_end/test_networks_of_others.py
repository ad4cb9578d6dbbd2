"""Networks that other tools wrote: their own results = ONNX execution = emulator = C++, every value."""

from __future__ import annotations

import importlib.util

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from hls_export import adversarial, emulate, execute, read, rescale
from hls_export.support.cells import column
from hls_export.support.measure import measure, missing, written
from hls_export.support.others import (
    brevitas_cases,
    shipped_cases,
    shipped_folder,
    write_brevitas,
    write_mnist,
)
from torchq.errors import ExportError

pytestmark = pytest.mark.filterwarnings("ignore")

BREVITAS = ("brevitas", "onnxoptimizer", "onnxscript")
HAS_BREVITAS = all(importlib.util.find_spec(name) for name in BREVITAS)
HAS_QONNX = importlib.util.find_spec("qonnx") is not None
BREVITAS_CASES = {case.key: case for case in brevitas_cases()}
FLOAT = (
    {case.key: case for case in shipped_cases() if not case.key.endswith("quantized")} if HAS_QONNX else {}
)

needs_brevitas = pytest.mark.skipif(
    not HAS_BREVITAS, reason="Brevitas or what it exports with is not installed"
)
needs_qonnx = pytest.mark.skipif(not HAS_QONNX, reason="qonnx is not installed")


def exact(case, keys, folder, vectors: int) -> None:
    made = written(case, folder)
    assert made.refused == ""
    for key in keys:
        if missing(column(key)):
            continue
        (folder / key).mkdir()
        cell = measure(made, column(key), folder / key, vectors)
        assert str(cell) == "exact", f"{case.key} in {key}: {cell}"


@pytest.mark.slow
@needs_brevitas
@pytest.mark.parametrize("key", BREVITAS_CASES)
def test_brevitas_is_lowered_exactly(key, tmp_path):
    """Against Brevitas's own model in float64."""
    exact(BREVITAS_CASES[key], ("onnx", "emulator", "cpp_io_parallel", "cpp_io_stream"), tmp_path, 300)


@pytest.mark.slow
@needs_brevitas
def test_the_files_of_brevitas_are_what_their_names_say(tmp_path):
    for dialect, operator in (("qonnx", "Quant"), ("qcdq", "DequantizeLinear")):
        made = written(BREVITAS_CASES[f"brevitas-cnn-{dialect}"], tmp_path)
        kinds = [node.op_type for node in onnx.load(made.path).graph.node]
        assert operator in kinds
        assert "Conv" in kinds


@needs_qonnx
def test_a_network_that_qonnx_quantized(tmp_path):
    """Against qonnx's own executor."""
    case = next(case for case in shipped_cases() if case.key == "qonnx-mnist-conv-quantized")
    exact(case, ("onnx", "emulator"), tmp_path, 5)


@pytest.mark.slow
@needs_qonnx
def test_a_network_that_qonnx_quantized_in_cpp(tmp_path):
    case = next(case for case in shipped_cases() if case.key == "qonnx-mnist-conv-quantized")
    exact(case, ("cpp_io_stream",), tmp_path, 20)


@needs_qonnx
def test_it_still_knows_the_digit(tmp_path):
    """The image that qonnx ships beside the float network, and what that network says of it."""
    folder = shipped_folder() / "mnist-conv"
    write_mnist(folder / "model.onnx", tmp_path / "m.onnx")
    image, scores = (
        numpy_helper.to_array(onnx.load_tensor(str(folder / "test_data_set_0" / f"{name}_0.pb")))
        for name in ("input", "output")
    )
    found = execute(tmp_path / "m.onnx", image)
    assert np.argmax(found) == np.argmax(scores)
    assert found.shape == scores.shape


@needs_qonnx
@pytest.mark.parametrize("key", FLOAT)
def test_float_networks_are_refused_by_the_name_of_a_node(key, tmp_path):
    """None of the files is of fixed point as it stands."""
    made = written(FLOAT[key], tmp_path)
    assert made.graph is None
    assert "\n" not in made.refused
    reasons = (
        "that no Quant made",
        "which is no power of two",
        "cannot be lowered",
        "3 inputs and 1 outputs",
    )
    assert any(reason in made.refused for reason in reasons), made.refused
    with pytest.raises(ExportError):
        read(made.path)


@pytest.mark.slow
@needs_brevitas
def test_brevitas_pools_that_cut_bits_off(tmp_path):
    """Trunc, against Brevitas's own model in float64."""
    import brevitas.nn as qnn
    from brevitas.quant import TruncTo8bit, fixed_point

    torch.manual_seed(0)
    weight = {"weight_quant": fixed_point.Int8WeightPerTensorFixedPoint, "bias": False}
    whole = {"return_quant_tensor": True}
    model = torch.nn.Sequential(
        qnn.QuantIdentity(act_quant=fixed_point.Int8ActPerTensorFixedPoint, **whole),
        qnn.QuantConv2d(1, 4, 3, **weight),
        qnn.QuantReLU(act_quant=fixed_point.Uint8ActPerTensorFixedPoint, **whole),
        qnn.TruncAvgPool2d(kernel_size=2, stride=2, trunc_quant=TruncTo8bit),
        torch.nn.Flatten(),
        qnn.QuantLinear(36, 3, **weight),
    )
    model(torch.randn(64, 1, 8, 8))
    write_brevitas(model.eval(), (1, 8, 8), tmp_path / "m.onnx", "QONNX")
    assert "Trunc" in [node.op_type for node in onnx.load(tmp_path / "m.onnx").graph.node]
    graph = read(tmp_path / "m.onnx")
    x = adversarial(graph, 300)
    expected = model.double()(torch.from_numpy(x))
    expected = getattr(expected, "value", expected).detach().numpy()
    assert (execute(tmp_path / "m.onnx", x) == expected).all()
    assert (emulate(graph, x) == expected).all()


@pytest.mark.slow
@needs_brevitas
@pytest.mark.parametrize("dialect", ["QONNX", "QCDQ"])
@pytest.mark.parametrize("channel", [False, True])
def test_brevitas_with_float_scales_is_rescaled(dialect, channel, tmp_path):
    """What Brevitas makes when it is not told otherwise: refused, and read after an explicit rescaling."""
    import brevitas.nn as qnn
    from brevitas import quant

    torch.manual_seed(1)
    weight = quant.Int8WeightPerChannelFloat if channel else quant.Int8WeightPerTensorFloat
    words = {"weight_quant": weight, "bias_quant": quant.Int32Bias, "bias": True}
    model = torch.nn.Sequential(
        qnn.QuantIdentity(act_quant=quant.Int8ActPerTensorFloat, return_quant_tensor=True),
        qnn.QuantLinear(16, 12, **words),
        qnn.QuantReLU(act_quant=quant.Uint8ActPerTensorFloat, return_quant_tensor=True),
        qnn.QuantLinear(12, 5, **words),
    )
    model(torch.randn(256, 16))
    write_brevitas(model.eval(), (16,), tmp_path / "m.onnx", dialect)
    with pytest.raises(ExportError, match="which is no power of two"):
        read(tmp_path / "m.onnx")
    made = rescale(tmp_path / "m.onnx", tmp_path / "new.onnx")
    assert made.other_decisions <= made.vectors // 200
    assert made.max_error < 0.01 * made.largest
    x = np.random.default_rng(0).normal(size=(200, 16))
    expected = model.double()(torch.from_numpy(x))
    expected = getattr(expected, "value", expected).detach().numpy()
    got = emulate(read(made.path), x)
    assert (got == execute(made.path, x)).all()
    assert np.abs(got * made.output_scale - expected).mean() < 0.001 * np.abs(expected).max()
