"""The RTL backend: what it writes, what it refuses, what it does with folders; little is simulated."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hls_networks import ALL_MODES, random_graph
from rtl_tools import needs_alkaid

from hls_export.backends import BACKENDS
from hls_export.backends.folder import MARKER
from hls_export.backends.rtl import CAPABILITIES, RtlBackend
from hls_export.hardware import Dense, HardwareGraph, Input, Quantize, Relu, Reshape
from hls_export.lower import lower, open_project
from hls_export.passes import annotate
from hls_export.report import FpgaReport
from hls_export.rtl.project import RtlProject
from torchq.errors import BackendError
from torchq.formats import FixedPoint, Overflow

FILES = {
    "README.md",
    "hls_export.json",
    "interface.json",
    "net.xdc",
    "rtl/net.v",
    "rtl/net_fc_1.v",
    "rtl/net_out.v",
    "tb/expected.hex",
    "tb/testbench.v",
    "tb/vectors.hex",
    "vivado.tcl",
}


def network(seed: int = 0, first: FixedPoint | None = None) -> HardwareGraph:
    """4 -> 3 -> relu -> 2."""
    random = np.random.default_rng(seed)
    w = FixedPoint(5, 1)
    nodes = (
        Input(name="x", shape=(4,)),
        Quantize(name="q", inputs=("x",), shape=(4,), format=first or FixedPoint(6, 2)),
        Dense(
            name="fc.1",
            inputs=("q",),
            shape=(3,),
            weight=w.quantize(random.normal(size=(4, 3)) / 2),
            weight_format=w,
            bias=w.quantize(random.normal(size=3) / 2),
            bias_format=w,
        ),
        Relu(name="relu", inputs=("fc.1",), shape=(3,)),
        Quantize(name="act", inputs=("relu",), shape=(3,), format=FixedPoint(4, 1, signed=False)),
        Dense(
            name="out",
            inputs=("act",),
            shape=(2,),
            weight=w.quantize(random.normal(size=(3, 2)) / 2),
            weight_format=w,
        ),
    )
    return annotate(HardwareGraph(nodes, "x", "out", "small", {"classes": json.dumps(["a", "b"])}))


def files(folder):
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()
    }


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return lower(network(), tmp_path_factory.mktemp("rtl") / "p", backend="rtl", top="net")


def test_it_is_registered():
    backend = BACKENDS.get("rtl")
    assert isinstance(backend, RtlBackend)
    assert {"dense", "conv", "matmul", "table", "max_pool", "quantize"} <= CAPABILITIES.kinds


@needs_alkaid
def test_the_project_is_whole(project):
    made = files(project.path)
    library = {name for name in made if name.startswith("rtl/")} - FILES
    assert set(made) - library == FILES
    assert "rtl/shift_adder.v" in library
    top = made["rtl/net.v"].decode()
    assert "module net (" in top
    assert "// fc.1 (dense), relu (relu), act (quantize): " in top
    assert len(made["tb/vectors.hex"].splitlines()) == len(made["tb/expected.hex"].splitlines()) == 128


@needs_alkaid
def test_same_model_same_bytes(project, tmp_path):
    again = lower(network(), tmp_path / "elsewhere", backend="rtl", top="net")
    assert files(again.path) == files(project.path)


@needs_alkaid
def test_the_interface_says_how_the_ports_are_laid_out(project):
    facts = json.loads((project.path / "interface.json").read_text())
    assert facts["output"]["elements"] == ["a", "b"]
    assert facts["input"]["format"]["type"] == "ap_fixed<6,2,RND_CONV,SAT>"
    x = facts["ports"]["x"]
    assert (x["bits"], x["elements"], x["element_bits"], x["signed"], x["fraction_bits"]) == (
        24,
        4,
        6,
        True,
        4,
    )
    assert facts["initiation_interval"] == 1
    readme = (project.path / "README.md").read_text()
    assert "| `x` | 24 | 4 | 6 bits, signed, 4 fraction" in readme
    assert "LGPL-3.0-or-later" in readme


@needs_alkaid
def test_the_report_before_synthesis_is_an_estimate(project):
    report = project.report()
    assert report.source == "estimate"
    assert report.tool.startswith("alkaid 0.8")
    assert [row.name for row in report.layers] == ["fc.1", "out"]
    assert report.layers[0].output_type == "ap_ufixed<4,1,RND_CONV,SAT>"
    assert report.resources["LUT"] > 0
    assert report.resources["latency_cycles"] == project.design["latency_cycles"] > 1
    assert FpgaReport.from_dict(report.to_dict()) == report
    assert "not synthesised" in project.to_dict()["state"]


@needs_alkaid
def test_less_delay_a_stage_is_more_stages(tmp_path):
    deep = lower(network(), tmp_path / "deep", backend="rtl", latency_cutoff=1.0)
    flat = lower(network(), tmp_path / "flat", backend="rtl", latency_cutoff=100.0)
    assert deep.design["latency_cycles"] > flat.design["latency_cycles"] == 2


@needs_alkaid
def test_it_is_opened_again_without_the_model(project):
    again = open_project(project.path)
    assert isinstance(again, RtlProject)
    assert again.digest == network().digest()


@needs_alkaid
def test_the_folder_of_another_model_is_left_alone(project):
    before = files(project.path)
    with pytest.raises(BackendError, match="holds the project of another model"):
        lower(network(1), project.path, backend="rtl", top="net")
    assert files(project.path) == before


@needs_alkaid
def test_a_failure_on_the_way_leaves_nothing(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hls_export.backends.rtl.write_marker", full)
    with pytest.raises(BackendError, match="the project cannot be written"):
        lower(network(), tmp_path / "p", backend="rtl")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_alkaid_is_a_sentence(tmp_path, monkeypatch):
    import sys

    for name in ("alkaid", "alkaid.trace", "alkaid.codegen"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(BackendError, match="alkaid is not installed; "):
        lower(network(), tmp_path / "p", backend="rtl")
    assert list(tmp_path.iterdir()) == []


def test_everything_that_cannot_be_expressed_is_said_at_once(tmp_path):
    with pytest.raises(BackendError) as fault:
        lower(
            network(),
            tmp_path / "p",
            backend="rtl",
            strategy="resource",
            io_type="io_stream",
            reuse_factor=4,
            top="module",
            pipeline="dataflow",
            layers={
                "fc.1": {"reuse_factor": 2},
                "fc9": {},
                "out": {"reuse_factor": 1, "strategy": "latency"},
            },
        )
    assert str(fault.value).splitlines() == [
        "rtl: strategy must be one of latency, distributed_arithmetic, got 'resource'",
        "rtl: io_type io_stream is not supported",
        "rtl: every product has its own logic, so reuse_factor must be 1, got 4",
        "rtl: the layers are one pipeline, so pipeline must be auto or pipeline, got 'dataflow'",
        "rtl: fc.1 cannot have settings of its own: every product has its own logic",
        "rtl: the model has no layer 'fc9'",
        "rtl: top must be a name that Verilog allows, got 'module'",
    ]
    assert list(tmp_path.iterdir()) == []


def test_latency_cutoff_out_of_range(tmp_path):
    with pytest.raises(BackendError, match="latency_cutoff must be greater than 0, got 0"):
        lower(network(), tmp_path / "p", backend="rtl", latency_cutoff=0)


def test_inputs_in_two_formats_are_refused(tmp_path):
    graph = network()
    other = Quantize(name="q2", inputs=("x",), shape=(4,), format=FixedPoint(3, 1))
    graph = graph.with_nodes([*graph.nodes[:2], other, *graph.nodes[2:]])
    with pytest.raises(BackendError, match="q, q2 round the input in different ways"):
        lower(graph, tmp_path / "p", backend="rtl")


def test_sums_beyond_float64_are_refused(tmp_path):
    graph = network(first=FixedPoint(52, 2))
    with pytest.raises(BackendError, match=r"fc.1 has sums of \d+ bits, and alkaid's ranges hold 53"):
        lower(graph, tmp_path / "p", backend="rtl")


def test_too_many_products_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("hls_export.backends.rtl.MOST_PRODUCTS", 10)
    with pytest.raises(BackendError, match="at most 10 are laid out side by side; take backend vitis"):
        lower(network(), tmp_path / "p", backend="rtl")


@needs_alkaid
def test_a_network_of_constants_is_wires(tmp_path):
    graph = network()
    nodes = [
        replace(node, weight=node.weight * 0, bias=None, bias_format=None)
        if isinstance(node, Dense)
        else node
        for node in graph.nodes
    ]
    made = lower(annotate(graph.with_nodes(nodes)), tmp_path / "p", backend="rtl", top="net")
    assert made.design["latency_cycles"] == 0
    assert not (made.path / "rtl" / "net_out.v").exists()
    assert "constant" in (made.path / "rtl" / "net.v").read_text()


@needs_alkaid
def test_logic_that_differs_from_the_emulator_is_never_written(tmp_path, monkeypatch):
    from hls_export.rtl import alkaid

    real = alkaid.run
    monkeypatch.setattr(alkaid, "run", lambda comb, values: real(comb, values) + 0.25)
    with pytest.raises(BackendError, match=r"rtl: fc\.1 -> relu -> act: the logic differs from the emulator"):
        lower(network(), tmp_path / "p", backend="rtl")
    assert list(tmp_path.iterdir()) == []


@needs_alkaid
def test_errors_of_alkaid_name_the_layer(tmp_path, monkeypatch):
    from hls_export.rtl import alkaid

    def broken(*_):
        raise AssertionError("mask")

    monkeypatch.setattr(alkaid, "program", broken)
    with pytest.raises(BackendError, match=r"rtl: fc\.1 -> relu -> act: alkaid: AssertionError: mask"):
        lower(network(), tmp_path / "p", backend="rtl")


@needs_alkaid
def test_a_reshape_in_front_of_the_quantizer_and_formats_by_element(tmp_path):
    grid = FixedPoint(np.array([3, 0, 5, 4]), np.array([1, 0, 2, 6]), True, overflow=Overflow.SAT)
    graph = network(first=grid)
    flat = Reshape(name="flat", inputs=("x",), shape=(4,))
    nodes = [
        Input(name="x", shape=(2, 2)),
        flat,
        *(replace(n, inputs=("flat",)) if n.name == "q" else n for n in graph.nodes[1:]),
    ]
    project = lower(graph.with_nodes(nodes), tmp_path / "p", backend="rtl", top="net")
    port = project.design["ports"]["x"]
    assert (port["shape"], port["element_bits"], port["fraction_bits"]) == ([2, 2], 9, 3)
    assert json.loads((project.path / MARKER).read_text())["input"]["shape"] == [2, 2]


@needs_alkaid
def test_random_networks_are_written(tmp_path):
    for seed in range(5):
        lower(random_graph(seed, ALL_MODES), tmp_path / str(seed), backend="rtl")
