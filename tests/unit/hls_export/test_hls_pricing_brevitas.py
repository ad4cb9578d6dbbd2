"""Files that Brevitas writes (QONNX and QCDQ) cost what its models cost as ours."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import hls_export
from torchq.brevitas import convert
from torchq.cost import estimate

pytest.importorskip("brevitas")
pytest.importorskip("onnxoptimizer", reason="Brevitas needs it to write ONNX")
pytest.importorskip("onnxscript", reason="torch needs it to write ONNX")

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.slow]

TARGETS = ("bits", "energy_pj", "macs", "ebops")


def mlp() -> tuple[nn.Module, tuple[int, ...]]:
    import brevitas.nn as qnn
    from brevitas.quant import fixed_point as fp

    def linear(inputs: int, outputs: int, bits: int) -> nn.Module:
        return qnn.QuantLinear(
            inputs,
            outputs,
            bias=True,
            weight_quant=fp.Int8WeightPerTensorFixedPoint,
            weight_bit_width=bits,
            bias_quant=fp.Int8BiasPerTensorFixedPointInternalScaling,
        )

    layers = [
        qnn.QuantIdentity(act_quant=fp.Int8ActPerTensorFixedPoint, bit_width=8),
        linear(16, 12, 6),
        qnn.QuantReLU(act_quant=fp.Uint8ActPerTensorFixedPoint, bit_width=5),
        linear(12, 5, 3),
    ]
    return nn.Sequential(*layers), (16,)


def cnn() -> tuple[nn.Module, tuple[int, ...]]:
    import brevitas.nn as qnn
    from brevitas.quant import fixed_point as fp

    weight = fp.Int8WeightPerTensorFixedPoint
    bias = fp.Int8BiasPerTensorFixedPointInternalScaling
    layers = [
        qnn.QuantIdentity(act_quant=fp.Int8ActPerTensorFixedPoint, bit_width=8),
        qnn.QuantConv2d(1, 4, 3, padding=1, weight_quant=weight, weight_bit_width=4, bias_quant=bias),
        qnn.QuantReLU(act_quant=fp.Uint8ActPerTensorFixedPoint, bit_width=6),
        nn.MaxPool2d(2),
        qnn.QuantConv2d(4, 4, 3, groups=4, weight_quant=weight, weight_bit_width=5, bias_quant=bias),
        qnn.QuantReLU(act_quant=fp.Uint8ActPerTensorFixedPoint, bit_width=4),
        nn.Flatten(),
        qnn.QuantLinear(16, 5, bias=True, weight_quant=weight, weight_bit_width=5, bias_quant=bias),
    ]
    return nn.Sequential(*layers), (1, 8, 8)


def written(kind: str, model: nn.Module, shape: tuple[int, ...], path: Path) -> Path:
    from brevitas import export

    example = torch.randn(1, *shape)
    if kind == "qonnx":
        export.export_qonnx(model, args=example, export_path=str(path))
    else:
        export.export_onnx_qcdq(model, args=example, export_path=str(path), dynamo=False)
    return path


@pytest.mark.parametrize("kind", ["qonnx", "qcdq"])
@pytest.mark.parametrize("network", [mlp, cnn])
def test_brevitas_files_cost_what_the_converted_model_costs(kind: str, network: Any, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        model, shape = network()
        model(torch.randn(64, *shape))  # Brevitas learns the scales of activations from samples
        model.eval()
        path = written(kind, model, shape, tmp_path / "brevitas.onnx")
        ours = convert(model, shape)
    found = hls_export.read_work(path)
    assert found.notes == ()
    priced = estimate(found.workloads, targets=TARGETS)
    expected = estimate(ours, shape, targets=TARGETS)
    assert priced.total == expected.total
    assert [row.kind for row in priced.layers] == [row.kind for row in expected.layers]
    assert priced.total["macs"] > 0


@pytest.mark.parametrize("kind", ["qonnx", "qcdq"])
def test_float_scales_count_by_their_integers(kind: str, tmp_path: Path) -> None:
    import brevitas.nn as qnn
    from brevitas import quant

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        model = nn.Sequential(
            qnn.QuantIdentity(act_quant=quant.Int8ActPerTensorFloat),
            qnn.QuantLinear(
                6, 4, bias=False, weight_quant=quant.Int8WeightPerChannelFloat, weight_bit_width=4
            ),
        )
        model(torch.randn(64, 6))
        path = written(kind, model.eval(), (6,), tmp_path / "float.onnx")
    found = hls_export.read_work(path)
    assert estimate(found.workloads, targets=["bits"]).total["bits"] == 4 * 24
    assert found.workloads[0].output.bits == 8 * 6
    assert len(found.notes) == 2
    assert all("no power" in note for note in found.notes)
