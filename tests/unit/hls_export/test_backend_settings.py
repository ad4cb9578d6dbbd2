"""What a user sets, for the project and layer by layer, reaches hls4ml; and what cannot be is said."""

from __future__ import annotations

import importlib.util

import pytest
from hls_backend_graphs import Build, conv2d, kernels1d

from hls_export.backends import Settings
from hls_export.cli.layers import layer_options
from hls_export.cli.main import guarded
from hls_export.emulate import emulate
from hls_export.lower import lower
from hls_export.vectors import adversarial
from torchq.errors import BackendError


def perceptron():
    b = Build(4)
    b.dense(6, name="fc1")
    b.relu()
    b.quant()
    b.dense(3, name="fc2")
    return b.done()


def _refused(tmp_path, graph, **settings) -> str:
    with pytest.raises(BackendError) as fault:
        lower(graph, tmp_path / "p", **settings)
    assert list(tmp_path.iterdir()) == []
    return str(fault.value)


def test_options_by_layer_reach_the_cpp(tmp_path):
    project = lower(
        perceptron(),
        tmp_path / "p",
        layers={"fc1": {"reuse_factor": 4, "strategy": "resource"}},
        pipeline="dataflow",
    )
    rows = {row.name: row for row in project.report().layers}
    assert rows["fc1"].reuse_factor == 4
    assert rows["fc2"].reuse_factor == 1
    parameters = (project.path / "firmware" / "parameters.h").read_text()
    assert parameters.count("strategy = nnet::resource") == 1
    assert "#pragma HLS DATAFLOW" in (project.path / "firmware" / "myproject.cpp").read_text()
    assert project.to_dict()["layers"] == {"fc1": {"reuse_factor": 4, "strategy": "resource"}}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"layers": {"fc11": {}}}, "vitis: there is no layer 'fc11'; did you mean 'fc1'? Layers: fc1, fc2"),
        (
            {"layers": {"relu_3": {"reuse_factor": 2}}},
            "vitis: relu_3 (relu) has no weights, and so no reuse_factor",
        ),
        (
            {"layers": {"fc1": {"reuse_facto": 4}}},
            "layer fc1 has no option 'reuse_facto'; did you mean 'reuse_factor'? "
            "Options: reuse_factor, strategy",
        ),
        (
            {"layers": {"fc1": {"reuse_factor": 0}}},
            "layer fc1: reuse_factor must be a number of at least 1, got 0",
        ),
        ({"layers": {"fc1": {"strategy": 3}}}, "layer fc1: strategy must be a name, got 3"),
        (
            {"layers": {"fc1": {"strategy": "resources"}}},
            "vitis: fc1 has no strategy 'resources'; did you mean 'resource'? "
            "Strategies: latency, resource, resource_unrolled, distributed_arithmetic",
        ),
        (
            {"layers": {"fc2": {"strategy": "resource", "reuse_factor": 7}}},
            "vitis: fc2 cannot have reuse factor 7 with resource; it can have 1, 2, 3, 6, 18",
        ),
        ({"pipeline": "stream"}, "pipeline must be one of auto, pipeline, dataflow, got 'stream'"),
    ],
)
def test_options_that_cannot_be(tmp_path, settings, message):
    assert _refused(tmp_path, perceptron(), **settings) == message


def test_a_depthwise_layer_that_hls4ml_builds_wrongly(tmp_path):
    assert _refused(tmp_path, kernels1d(), strategy="resource").splitlines()[0] == (
        "vitis: depthwise is depthwise, and what hls4ml makes of it with resource in io_parallel is wrong; "
        "build that layer with latency"
    )


def test_distributed_arithmetic_without_its_package(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert _refused(tmp_path, perceptron(), strategy="distributed_arithmetic") == (
        "vitis: strategy distributed_arithmetic needs da4ml; pip install 'da4ml>=0.5.2,<0.6'"
    )


def test_distributed_arithmetic_knows_one_reuse_factor(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    layers = {"fc1": {"strategy": "distributed_arithmetic", "reuse_factor": 2}}
    assert _refused(tmp_path, perceptron(), layers=layers) == (
        "vitis: fc1 has strategy distributed_arithmetic, which has reuse factor 1 only; got 2"
    )


def test_what_stands_between_layers_has_no_strategy(tmp_path):
    """Sums are products with ones: they follow no reuse factor of the project."""
    b = Build(4)
    b.dense(6, name="fc")
    b.softmax(b.quant())
    project = lower(b.done(), tmp_path / "p", strategy="resource", reuse_factor=2)
    factors = {row.name: row.reuse_factor for row in project.report().layers if row.accumulator_type}
    assert factors.pop("fc") == 2
    assert set(factors.values()) == {1}


@pytest.mark.parametrize("text", ["fc1", "fc1:", "fc1:reuse_factor", ":reuse_factor=4", "fc1:reuse_factor="])
def test_layer_options_of_the_command_line(text):
    with pytest.raises(BackendError) as fault:
        layer_options([text])
    assert str(fault.value) == f"--layer {text!r} is not understood; write fc1:reuse_factor=4"


def test_the_command_line_refuses_before_it_writes(tmp_path, capsys):
    assert guarded([str(tmp_path / "no.onnx"), "--out", str(tmp_path / "p"), "--pipeline", "x"]) == 2
    assert "'x' is not one of 'auto', 'pipeline', 'dataflow'" in capsys.readouterr().err


def test_settings_of_one_layer():
    settings = Settings(strategy="resource", layers={"a.b": {"reuse_factor": 2}})
    assert (settings.of("a.b").reuse_factor, settings.of("a.b").strategy) == (2, "resource")
    assert settings.of("c").reuse_factor == 1


@pytest.mark.slow
def test_strategies_are_exact(tmp_path):
    graph = conv2d()
    layers = {
        "conv1": {"strategy": "resource", "reuse_factor": 3},
        "conv2": {"strategy": "resource_unrolled", "reuse_factor": 3},
        "fc": {"strategy": "resource", "reuse_factor": 6},
    }
    project = lower(graph, tmp_path / "p", io_type="io_stream", layers=layers).compile()
    x = adversarial(graph, 200, 3)
    assert (project.predict(x) == emulate(graph, x)).all()


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("da4ml") is None, reason="da4ml is not installed")
def test_distributed_arithmetic_is_exact(tmp_path):
    graph = perceptron()
    project = lower(graph, tmp_path / "p", strategy="distributed_arithmetic").compile()
    x = adversarial(graph, 200, 3)
    assert (project.predict(x) == emulate(graph, x)).all()
