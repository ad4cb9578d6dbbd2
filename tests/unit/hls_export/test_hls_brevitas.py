"""Networks of Brevitas, as it writes them: read and computed exactly as Brevitas does."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from hls_export.emulate import Emulator
from hls_export.qonnx import execute, read
from hls_export.vectors import adversarial
from torchq.errors import ExportError

pytest.importorskip("brevitas")
pytest.importorskip("onnxoptimizer", reason="Brevitas needs it to write ONNX")
pytest.importorskip("onnxscript", reason="torch needs it to write ONNX")

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.slow]


def mlp() -> tuple[nn.Module, tuple[int, ...]]:
    import brevitas.nn as qnn
    from brevitas.quant import fixed_point as fp

    weight, bias = fp.Int8WeightPerTensorFixedPoint, fp.Int8BiasPerTensorFixedPointInternalScaling
    layers = [
        qnn.QuantIdentity(act_quant=fp.Int8ActPerTensorFixedPoint, bit_width=8),
        qnn.QuantLinear(16, 12, True, weight_quant=weight, weight_bit_width=6, bias_quant=bias),
        qnn.QuantReLU(act_quant=fp.Uint8ActPerTensorFixedPoint, bit_width=5),
        qnn.QuantLinear(12, 5, True, weight_quant=weight, weight_bit_width=3, bias_quant=bias),
    ]
    return nn.Sequential(*layers), (16,)


def cnn() -> tuple[nn.Module, tuple[int, ...]]:
    import brevitas.nn as qnn
    from brevitas.quant import fixed_point as fp

    weight, bias = fp.Int8WeightPerTensorFixedPoint, fp.Int8BiasPerTensorFixedPointInternalScaling
    layers = [
        qnn.QuantIdentity(act_quant=fp.Int8ActPerTensorFixedPoint, bit_width=8),
        qnn.QuantConv2d(1, 4, 3, padding=1, weight_quant=weight, weight_bit_width=4, bias_quant=bias),
        qnn.QuantReLU(act_quant=fp.Uint8ActPerTensorFixedPoint, bit_width=6),
        nn.MaxPool2d(2),
        qnn.QuantConv2d(4, 4, 3, groups=4, weight_quant=weight, weight_bit_width=5, bias_quant=bias),
        qnn.QuantReLU(act_quant=fp.Uint8ActPerTensorFixedPoint, bit_width=4),
        nn.Flatten(),
        qnn.QuantLinear(16, 5, True, weight_quant=weight, weight_bit_width=5, bias_quant=bias),
    ]
    return nn.Sequential(*layers), (1, 8, 8)


def written(kind: str, model: nn.Module, shape: tuple[int, ...], path: Path) -> Path:
    from brevitas import export

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model(torch.randn(64, *shape))  # Brevitas learns the scales of activations from samples
        model.eval()
        example = torch.randn(1, *shape)
        if kind == "qonnx":
            export.export_qonnx(model, args=example, export_path=str(path))
        else:
            export.export_onnx_qcdq(model, args=example, export_path=str(path), dynamo=False)
    return path


@pytest.mark.parametrize("kind", ["qonnx", "qcdq"])
@pytest.mark.parametrize("network", [mlp, cnn])
def test_brevitas_its_file_and_the_emulator_agree(kind, network, tmp_path):
    torch.manual_seed(0)
    model, shape = network()
    path = written(kind, model, shape, tmp_path / "brevitas.onnx")
    graph = read(path)
    random = np.random.default_rng(0).normal(size=(100, *shape))
    x = np.concatenate([adversarial(graph, 200), random]).astype(np.float32).astype(np.float64)
    emulated = Emulator(graph)(x)
    with torch.no_grad():
        expected = model(torch.from_numpy(x).float())
    assert (expected.numpy() == emulated).all()
    single = np.concatenate([execute(path, row[None]) for row in x[::5]])  # the file has batches of one
    assert (single == emulated[::5]).all()


def test_scales_of_floats_are_refused_with_the_nodes_name(tmp_path):
    import brevitas.nn as qnn
    from brevitas import quant

    torch.manual_seed(0)
    weight = quant.Int8WeightPerChannelFloat
    layers = [qnn.QuantIdentity(act_quant=quant.Int8ActPerTensorFloat), qnn.QuantLinear(6, 4, False, weight)]
    path = written("qonnx", nn.Sequential(*layers), (6,), tmp_path / "float.onnx")
    with pytest.raises(ExportError, match=r"Quant.* has scale 0\.\d+, which is no power of two"):
        read(path)
