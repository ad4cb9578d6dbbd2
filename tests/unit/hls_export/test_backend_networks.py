"""Every kind of node, in both io types: what g++ compiles is the emulator, value by value."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hls_backend_graphs import NETWORKS, Build, conv2d, random_graph

from hls_export.emulate import Emulator, emulate
from hls_export.lower import lower, open_project
from hls_export.vectors import adversarial
from torchq.errors import BackendError

REFUSED = {
    ("elements", "io_stream"): (
        "vitis: quantize_1 has a format that differs by element, which hls4ml has in io_parallel only\n"
        "vitis: quantize_3 has a format that differs by element, which hls4ml has in io_parallel only"
    ),
}
"""What cannot be expressed, and the sentence that says so."""


def _agree(project, graph, vectors):
    """Outputs and every traced tensor."""
    assert project.predict(vectors).shape == (len(vectors), *graph.output_shape)
    assert (project.predict(vectors) == emulate(graph, vectors)).all()
    expected = Emulator(graph).trace(vectors[:40])
    traced = project.trace(vectors[:40])
    assert traced
    for name, values in traced.items():
        assert (values == expected[name].reshape(40, -1)).all(), name


@pytest.mark.slow
@pytest.mark.parametrize("io_type", ["io_parallel", "io_stream"])
@pytest.mark.parametrize("kind", NETWORKS)
def test_the_cpp_is_the_emulator(kind, io_type, tmp_path, capfd):
    graph = NETWORKS[kind](1)
    if (kind, io_type) in REFUSED:
        with pytest.raises(BackendError) as fault:
            lower(graph, tmp_path / "p", io_type=io_type)
        assert str(fault.value) == REFUSED[kind, io_type]
        assert list(tmp_path.iterdir()) == []
        return
    project = lower(graph, tmp_path / "p", io_type=io_type).compile()
    _agree(project, graph, adversarial(graph, 400, 5))
    assert "WARNING" not in capfd.readouterr().out  # a stream that is read while empty, or left full


@pytest.mark.parametrize("io_type", ["io_parallel", "io_stream"])
@pytest.mark.parametrize("kind", NETWORKS)
def test_every_kind_is_written(kind, io_type, tmp_path):
    """Without the compiler: no layer is left out, put in or changed; the same model gives the same bytes."""
    if (kind, io_type) in REFUSED:
        return
    project = lower(NETWORKS[kind](), tmp_path / "p", io_type=io_type)
    lower(NETWORKS[kind](), tmp_path / "again", io_type=io_type)
    for file in sorted((tmp_path / "p").rglob("*")):
        if file.is_file():
            assert file.read_bytes() == (tmp_path / "again" / file.relative_to(tmp_path / "p")).read_bytes()
    assert project.report().layers


def test_rewritten_convolutions_are_notes(tmp_path):
    notes = lower(NETWORKS["kernels"](), tmp_path / "p").report().notes
    text = "groups and dilations are written out as zeros of a larger kernel, exactly"
    assert notes[:2] == (f"grouped: {text}", f"dilated: {text}")


def test_a_selection_of_too_many_values(tmp_path):
    b = Build(300)
    b.select(np.arange(300)[::-1])
    b.dense(2)
    with pytest.raises(BackendError) as fault:
        lower(b.done(), tmp_path / "p")
    assert str(fault.value) == (
        "vitis: select_2 wires 300 values to 300 by a product of zeros and ones; "
        "at most 65,536 products are supported"
    )


@pytest.mark.parametrize("io_type", ["io_parallel", "io_stream"])
@pytest.mark.parametrize("seed", range(8))
def test_random_networks_are_written(seed, io_type, tmp_path):
    graph = random_graph(seed, parallel=io_type == "io_parallel")
    assert lower(graph, tmp_path / "p", io_type=io_type).report().layers


@pytest.fixture(scope="module")
def image_project(tmp_path_factory):
    graph = conv2d(2)
    return graph, lower(graph, tmp_path_factory.mktemp("hls") / "p").compile()


def test_a_convolution_in_the_default_suite(image_project):
    graph, project = image_project
    _agree(project, graph, adversarial(graph, 200, 6))
    assert np.array_equal(
        open_project(project.path).predict(np.ones((3, 2, 5, 6)))[0],
        project.predict(np.ones((1, 2, 5, 6)))[0],
    )


def test_the_order_of_the_input_is_documented(image_project):
    _, project = image_project
    port = json.loads((project.path / "interface.json").read_text())["input"]
    assert port["shape"] == [2, 5, 6]
    assert port["axes"] == [1, 2, 0]
    assert port["port_shape"] == [5, 6, 2]
    last = json.loads((project.path / "interface.json").read_text())["output"]
    assert "axes" not in last


@pytest.mark.slow
def test_a_product_of_two_tensors_in_a_stream(tmp_path):
    """Different numbers of rows, terms and columns; hls4ml itself has no such layer for streams."""
    b = Build(3, 4, seed=4)
    source = b.last
    left = b.quant(b.dense(5, source, name="left"))
    right = b.quant(b.dense(5, b.transpose(1, 0, x=source), name="right"))
    b.quant(b.matmul(left, b.transpose(1, 0, x=right)))
    b.dense(2, name="out")
    graph = b.done()
    project = lower(graph, tmp_path / "p", io_type="io_stream").compile()
    _agree(project, graph, adversarial(graph, 300, 5))
