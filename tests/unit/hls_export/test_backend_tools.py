"""The other vendors' tools: what is written, what can be compiled with shipped headers, what is refused."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from hls_backend_graphs import NETWORKS, Build, conv2d, elements, images, moves, residual, tables
from hls_networks import onnx_of

from hls_export.backends import BACKENDS
from hls_export.backends.tools import TOOLS
from hls_export.cli.main import guarded
from hls_export.emulate import emulate
from hls_export.lower import lower, open_project
from hls_export.vectors import adversarial
from torchq.errors import BackendError

STRATEGY = {tool.key: tool.strategies[0] for tool in TOOLS}
WRITTEN = ("vitis", "vivado", "quartus", "oneapi", "catapult")


def perceptron():
    b = Build(4)
    b.dense(5, name="fc1")
    b.relu()
    b.quant()
    b.dense(3, name="fc2")
    return b.done()


def test_every_tool_is_a_backend():
    assert {tool.key for tool in TOOLS} <= set(BACKENDS)
    assert all(BACKENDS.get(tool.key).capabilities.strategies == tool.strategies for tool in TOOLS)


@pytest.mark.parametrize("io_type", ["io_parallel", "io_stream"])
@pytest.mark.parametrize("backend", WRITTEN)
def test_a_project_is_written_for_every_tool(backend, io_type, tmp_path):
    graph = conv2d()
    names = [tmp_path / "one", tmp_path / "another" / "two"]
    for name in names:
        project = lower(graph, name, backend=backend, io_type=io_type, strategy=STRATEGY[backend])
    for file in sorted(names[0].rglob("*")):
        if file.is_file():
            data = file.read_bytes()
            assert data == (names[1] / file.relative_to(names[0])).read_bytes(), file
            assert str(tmp_path).encode() not in data, file
    rows = {row.name: row for row in project.report().layers}
    assert rows["fc"].accumulator_type == str(graph.node("fc").format)
    assert json.loads((names[1] / "interface.json").read_text())["input"]["axes"] == [1, 2, 0]


def test_a_part_of_the_tool_is_taken_where_none_is_said(tmp_path):
    project = lower(perceptron(), tmp_path / "p", backend="quartus", strategy="resource")
    assert project.to_dict()["part"] == "Arria10"
    project = lower(perceptron(), tmp_path / "p", backend="quartus", strategy="resource", part="Cyclone10GX")
    assert project.to_dict()["part"] == "Cyclone10GX"


def test_a_project_without_headers_says_so(tmp_path):
    project = lower(perceptron(), tmp_path / "p", backend="oneapi", strategy="resource")
    assert not project.runs_here
    message = (
        f"{tmp_path / 'p'}: projects for oneapi are written and not compiled here; "
        "compiling needs icpx of Intel's oneAPI"
    )
    for call in (project.compile, lambda: project.predict(np.zeros((1, 4)))):
        with pytest.raises(BackendError) as fault:
            call()
        assert str(fault.value) == message
    state = "C++ written; compiling needs icpx of Intel's oneAPI; not synthesised"
    assert open_project(project.path).to_dict()["state"] == state


def test_the_command_line_says_so_too(tmp_path, capsys):
    file = onnx_of(perceptron(), tmp_path / "x.onnx")
    words = [str(file), "--out", str(tmp_path / "p"), "--backend", "oneapi", "--strategy", "resource"]
    assert guarded(words) == 0
    assert "C++ written; compiling needs icpx of Intel's oneAPI; not synthesised" in capsys.readouterr().out
    assert guarded([*words, "--synthesize"]) == 2
    message = "error: oneapi projects are not synthesised from here; run the tool in their folder\n"
    assert capsys.readouterr().err == message


@pytest.mark.parametrize(
    ("make", "settings", "message"),
    [
        (perceptron, {"backend": "quartus"}, "quartus: strategy must be one of resource, got 'latency'"),
        (
            tables,
            {"backend": "quartus", "strategy": "resource"},
            "quartus: table_4 (table) is not supported in io_parallel\n"
            "quartus: table_7 (table) is not supported in io_parallel",
        ),
        (
            elements,
            {"backend": "catapult"},
            "catapult: quantize_1 has a format that differs by element, which is not supported\n"
            "catapult: quantize_3 has a format that differs by element, which is not supported",
        ),
        (
            moves,
            {"backend": "quartus", "strategy": "resource", "io_type": "io_stream"},
            "quartus: transpose_2 is needed with its axes in another order, which io_stream has not\n"
            "quartus: quantize_4 is needed with its axes in another order, which io_stream has not\n"
            "quartus: add_7 is needed with its axes in another order, which io_stream has not\n"
            "quartus: relu_10 is needed with its axes in another order, which io_stream has not",
        ),
        (
            residual,
            {"backend": "catapult", "io_type": "io_stream"},
            "catapult: concat_11.part1 (concat): what hls4ml makes of it in io_stream is wrong or "
            "does not compile\n"
            "catapult: concat_11 (concat): what hls4ml makes of it in io_stream is wrong or does not compile",
        ),
        (
            NETWORKS["rows"],
            {"backend": "catapult"},
            "catapult: embedding_2 (embedding) is not supported",
        ),
        (
            perceptron,
            {"backend": "libero", "io_type": "io_stream"},
            "libero: io_type io_stream is not supported",
        ),
    ],
)
def test_what_a_tool_has_not(make, settings, message, tmp_path):
    with pytest.raises(BackendError) as fault:
        lower(make(), tmp_path / "p", **settings)
    assert str(fault.value) == message
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_hls4ml_itself_lacks(tmp_path):
    """The package of hls4ml 1.3.0 has no build_lib.sh for Libero."""
    package = Path(importlib.util.find_spec("hls4ml").origin).parent
    if (package / "templates" / "libero" / "build_lib.sh").is_file():
        assert not lower(perceptron(), tmp_path / "p", backend="libero").runs_here
        return
    with pytest.raises(BackendError) as fault:
        lower(perceptron(), tmp_path / "p", backend="libero")
    expected = "libero: hls4ml 1.3.0 came without its own file templates/libero/build_lib.sh; "
    assert str(fault.value) == f"{expected}take another backend, or install hls4ml from its sources"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backend", "io_type", "make"),
    [
        ("quartus", "io_parallel", images),
        ("quartus", "io_stream", NETWORKS["kernels"]),
        ("catapult", "io_parallel", residual),
        ("vivado", "io_stream", conv2d),
    ],
)
def test_the_cpp_of_other_tools_is_the_emulator(backend, io_type, make, tmp_path):
    graph = make(1)
    project = lower(graph, tmp_path / "p", backend=backend, io_type=io_type, strategy=STRATEGY[backend])
    x = adversarial(graph, 300, 2)
    assert (project.compile().predict(x) == emulate(graph, x)).all()
    expected = emulate(graph, x[:20], trace=True)
    for name, values in project.trace(x[:20]).items():
        assert (values == expected[name].reshape(20, -1)).all(), name
