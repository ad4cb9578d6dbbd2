"""A comparison that cannot fail is worth nothing: every reading is tampered with here."""

from __future__ import annotations

import json
from collections import OrderedDict

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from hls_export.backends.base import Project
from hls_export.compare import Mismatch, Reading, compare
from hls_export.emulate import Emulator
from hls_export.qonnx import export
from hls_export.report import FpgaReport
from hls_export.vectors import adversarial
from hls_export.verify import verify
from torchq.errors import DataError, VerifyError
from torchq.nn import QInput, QLinear, QReLU

W = "quantized_bits(6,0,alpha=1)"


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    torch.manual_seed(3)
    layers = OrderedDict(
        q=QInput("quantized_bits(8,2,alpha=1)"),
        fc1=QLinear(4, 6, weight_quantizer=W, bias_quantizer=W),
        relu1=QReLU("quantized_relu(6,1)"),
        fc2=QLinear(6, 6, weight_quantizer=W, bias_quantizer=W),
        relu2=QReLU("quantized_relu(6,1)"),
        fc3=QLinear(6, 5, weight_quantizer=W, bias_quantizer=W),
    )
    model = nn.Sequential(layers)
    return model, export(model, tmp_path_factory.mktemp("verify") / "m.onnx")


class Simulated(Project):
    """A project whose C simulation is the emulator, with a fault in one layer."""

    def __init__(self, graph, fault=None):
        super().__init__(None, graph)
        self.fault = fault

    def compile(self):
        return self

    def trace(self, x):
        values = Emulator(self.graph).trace(x)
        if self.fault is not None:
            name, element, step = self.fault
            values[name] = values[name].copy()
            values[name][(np.abs(x).sum(axis=1) > 0), element] += step
        return values

    def predict(self, x):
        return self.trace(x)[self.graph.output]

    def report(self):
        return FpgaReport("csim", "none", "", 5.0, ())

    def to_dict(self):
        return {}


def test_all_readings_agree(exported):
    model, file = exported
    real = np.random.default_rng(0).normal(size=(100, 4))
    verdict = verify(model, file.path, Simulated(file.graph), real, adversarial(file.graph, 300))
    assert verdict.agree
    assert str(verdict) == "torch = ONNX = emulator = C simulation on 400 vectors (2,000 values)"
    facts = verdict.to_dict()
    assert json.loads(json.dumps(facts)) == facts
    assert (facts["vectors"], facts["mismatches"], facts["first"], facts["agree"]) == (400, 0, None, True)
    assert facts["comparisons"][-1] == {
        "reading": "C simulation",
        "against": "torch",
        "kind": "adversarial",
        "vectors": 300,
        "mismatches": 0,
    }
    verdict.raise_if_different()


def test_without_torch_the_file_is_the_reference(exported):
    _, file = exported
    verdict = verify(None, file.path, None, adversarial(file.graph, 50))
    assert verdict.readings == ("ONNX", "emulator")
    assert verdict.agree


def test_the_traced_graph_will_do(exported):
    _, file = exported
    assert verify(file.torch_graph, file.path, None, adversarial(file.graph, 50)).agree


def test_a_fault_of_the_simulation_is_placed(exported):
    model, file = exported
    lsb = file.graph.output_format.lsb
    project = Simulated(file.graph, ("fc3", 3, lsb))
    x = np.array([[0.0] * 4, [0.0] * 4, [0.5, 0.0, 0.0, 0.25]])
    verdict = verify(model, file.path, project, x[:2], x)
    expected = float(Emulator(file.graph)(x[2:])[0, 3])
    assert str(verdict) == (
        "C simulation differs from torch in 1 of 25 values (max 1 LSB), first at fc3, sample 4, output 3: "
        f"{expected + lsb!r} against {expected!r}"
    )
    assert [c.mismatches for c in verdict.comparisons if c.reading == "C simulation"] == [0, 1]
    assert verdict.to_dict()["first"]["layer"] == "fc3"
    with pytest.raises(VerifyError, match=r"^C simulation differs from torch in 1 of 25 values"):
        verdict.raise_if_different()


def _tampered(source, target, tensor, place):
    """One weight of the file moved to another point of its grid."""
    model = onnx.load(source)
    for initializer in model.graph.initializer:
        if initializer.name == tensor:
            values = numpy_helper.to_array(initializer).copy()
            values[place] += 0.5 if values[place] < 0 else -0.5
            initializer.CopyFrom(numpy_helper.from_array(values, tensor))
    target.write_bytes(model.SerializeToString())
    return target


@pytest.mark.parametrize(
    ("tensor", "place", "layer", "output"),
    [("fc1.weight", (2, 4), "fc1", 4), ("fc2.bias", 1, "fc2", 1), ("fc3.weight", (0, 2), "fc3", 2)],
)
def test_a_tampered_file_is_placed_by_layer(exported, tmp_path, tensor, place, layer, output):
    model, file = exported
    path = _tampered(file.path, tmp_path / "m.onnx", tensor, place)
    verdict = verify(model, path, None, adversarial(file.graph, 300))
    assert not verdict.agree
    assert [found.reading for found in verdict.differences] == ["ONNX", "emulator"]
    assert {(found.layer, found.output) for found in verdict.differences} == {(layer, output)}
    assert verdict.mismatches == sum(found.count for found in verdict.differences)


def test_a_tampered_quantizer_is_placed(exported, tmp_path):
    model, file = exported
    proto = onnx.load(file.path)
    for initializer in proto.graph.initializer:
        if initializer.name == "relu2.quant.bits":
            initializer.CopyFrom(numpy_helper.from_array(np.float32(5), initializer.name))
    path = tmp_path / "m.onnx"
    path.write_bytes(proto.SerializeToString())
    verdict = verify(model, path, None, adversarial(file.graph, 500))
    assert verdict.first.layer == "relu2"
    assert verdict.first.expected > verdict.first.got


def test_a_project_of_another_model(exported, tmp_path):
    _, file = exported
    path = _tampered(file.path, tmp_path / "m.onnx", "fc2.bias", 1)
    project = Simulated(file.graph)
    project.path = tmp_path / "hls"
    with pytest.raises(VerifyError) as fault:
        verify(None, path, project, adversarial(file.graph, 10))
    assert str(fault.value) == f"{project.path} was lowered from another model than {path}; lower it again"


def test_the_worst_difference_is_counted_in_lsbs():
    x = np.zeros((2, 1))
    one = Reading("one", np.array([[1.0, 2.0], [3.0, 4.0]]), lambda x: {})
    other = Reading("other", np.array([[1.0, 2.5], [3.0, 2.0]]), lambda x: {})
    assert compare(one, other, x, [("t", "layer")], 0.25) == Mismatch(
        "other", "one", 2, 4, 8.0, "layer", 0, 1, 2.5, 2.0
    )
    assert compare(one, one, x, [("t", "layer")], 0.25) is None


def test_readings_of_other_shapes_are_no_readings():
    one = Reading("one", np.zeros((2, 1)), lambda x: {})
    with pytest.raises(ValueError, match=r"other has outputs \(2, 2\), one \(2, 1\)"):
        compare(one, Reading("other", np.zeros((2, 2)), lambda x: {}), np.zeros((2, 1)), [], 1.0)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((0, 4)), "there are no vectors to compare; give at least one"),
        (np.zeros((3, 5)), "the vectors have shape (3, 5), the model takes (n, 4)"),
        (np.full((3, 4), np.nan), "the vectors hold nan in sample 0; give finite numbers"),
    ],
)
def test_vectors_that_are_none(exported, x, message):
    model, file = exported
    with pytest.raises(DataError) as fault:
        verify(model, file.path, None, x)
    assert str(fault.value) == message
