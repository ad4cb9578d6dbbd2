"""``hls-export``: exit codes and sentences. The compiler is not run here; see the end-to-end tests."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
from click.testing import CliRunner
from hls_networks import onnx_of, random_graph
from rtl_tools import HAS_ALKAID

from hls_export.backends.csim import CsimProject
from hls_export.cli import cli, guarded
from hls_export.emulate import emulate
from hls_export.qonnx import read
from hls_export.rtl import installed
from hls_export.rtl.project import RtlProject
from torchq.errors import BackendError, ExportError


@pytest.fixture
def model(tmp_path):
    return onnx_of(random_graph(5, layers=2), tmp_path / "m.onnx")


@pytest.fixture
def simulated(monkeypatch, model):
    """A compiler that is right, or wrong in one value."""
    graph = read(model)
    fault = {"step": 0.0}

    def predict(_, x):
        values = emulate(graph, x)
        values.reshape(len(values), -1)[0, 0] += fault["step"]
        return values

    monkeypatch.setattr(CsimProject, "compile", lambda self: self)
    monkeypatch.setattr(CsimProject, "predict", predict)
    monkeypatch.setattr(CsimProject, "trace", lambda *_: {})
    return fault


def test_equal_is_0(model, simulated, tmp_path, capsys):
    assert guarded([str(model), "--out", str(tmp_path / "p")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["layer", "shape", "weight", "bias", "accumulator", "output", "nonzero"]
    assert any(line.startswith("fc1") for line in lines)
    assert lines[-2].startswith("equal  ONNX = emulator = C simulation on 2,000 vectors (")
    assert lines[-1] == str(tmp_path / "p")
    assert json.loads((tmp_path / "p" / "verify.json").read_text())["agree"] is True


def test_different_is_1(model, simulated, tmp_path, capsys):
    simulated["step"] = 0.25
    assert guarded(["lower", str(model), "--out", str(tmp_path / "p")]) == 1
    out = capsys.readouterr().out
    assert "DIFFERENT  C simulation differs from ONNX in 1 of " in out
    assert json.loads((tmp_path / "p" / "verify.json").read_text())["mismatches"] == 1


def test_vectors_of_a_file_are_compared_too(model, simulated, tmp_path, capsys):
    np.save(tmp_path / "x.npy", np.zeros((30, *read(model).input_shape), dtype=np.float32))
    command = [str(model), "--out", str(tmp_path / "p"), "--vectors", str(tmp_path / "x.npy")]
    assert guarded(command) == 0
    assert "on 2,030 vectors" in capsys.readouterr().out


def test_verify_without_and_with_a_project(model, simulated, tmp_path, capsys):
    assert guarded(["verify", str(model), "--quick"]) == 0
    assert capsys.readouterr().out.startswith("equal  ONNX = emulator on 2,000 vectors (")
    assert guarded([str(model), "--out", str(tmp_path / "p")]) == 0
    simulated["step"] = -1.0
    assert guarded(["verify", str(model), "--project", str(tmp_path / "p")]) == 1


def test_verify_takes_every_simulation_that_is_there(model, simulated, capsys, monkeypatch):
    monkeypatch.setattr(installed, "tools", dict)
    assert guarded(["verify", str(model)]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == "without Verilog: alkaid and a Verilog simulator are not installed; make rtl-tools"
    assert second.startswith("equal  ONNX = emulator = C simulation on 2,000 vectors (")
    simulated["step"] = 0.5
    assert guarded(["verify", str(model)]) == 1
    assert "DIFFERENT  C simulation differs from ONNX in 1 of " in capsys.readouterr().out


def test_verify_says_what_a_backend_refuses(model, simulated, capsys, monkeypatch):
    def refuses(*_, backend, **__):
        raise BackendError(f"{backend}: fc1 has sums of 99 bits")

    monkeypatch.setattr(sys.modules["hls_export.lower"], "lower", refuses)
    monkeypatch.setattr(installed, "missing", lambda *_: ())
    monkeypatch.setattr("shutil.which", lambda _: "/usr/bin/g++")
    assert guarded(["verify", str(model)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "without C++: vitis: fc1 has sums of 99 bits"
    assert lines[1] == "without Verilog: rtl: fc1 has sums of 99 bits"
    assert lines[2].startswith("equal  ONNX = emulator on 2,000 vectors (")


@pytest.mark.skipif(not HAS_ALKAID, reason="alkaid is not installed")
def test_where_verilator_lacks_icarus_takes_the_first_vectors(model, simulated, capsys, monkeypatch):
    graph = read(model)
    monkeypatch.setattr(installed, "missing", lambda *_: ())
    monkeypatch.setattr(RtlProject, "affordable", lambda *_: 50)
    monkeypatch.setattr(RtlProject, "compile", lambda self: self)
    monkeypatch.setattr(RtlProject, "predict", lambda _, x: emulate(graph, x))
    assert guarded(["verify", str(model)]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("equal  ONNX = emulator = C simulation on 2,000 vectors (")
    assert second.startswith("equal  ONNX = emulator = RTL simulation on 50 vectors (")


def test_a_file_that_cannot_be_executed_leaves_no_project(model, tmp_path, capsys, monkeypatch):
    def cannot(*_, **__):
        raise ExportError("fc1_weight: Quant of 99 bits cannot be executed")

    monkeypatch.setattr("hls_export.qonnx.execute", cannot)
    for words in ([str(model), "--out", str(tmp_path / "p")], ["verify", str(model)]):
        assert guarded(words) == 2
        captured = capsys.readouterr()
        assert captured.err == "error: fc1_weight: Quant of 99 bits cannot be executed\n"
        assert captured.out == ""
    assert not (tmp_path / "p").exists()


def test_a_project_that_was_not_compared_says_so(model, simulated, tmp_path, capsys, monkeypatch):
    def fails(_):
        raise BackendError("p: g++ failed: out of memory")

    verdict = tmp_path / "p" / "verify.json"
    monkeypatch.setattr(CsimProject, "compile", fails)
    assert guarded([str(model), "--out", str(tmp_path / "p")]) == 2
    told = json.loads(verdict.read_text())
    assert told == {"agree": False, "verdict": "not verified: p: g++ failed: out of memory"}

    def stopped(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(CsimProject, "compile", stopped)
    assert guarded([str(model), "--out", str(tmp_path / "p")]) == 130
    assert json.loads(verdict.read_text()) == {"agree": False, "verdict": "not verified yet"}
    words = [str(model), "--out", str(tmp_path / "q"), "--backend", "oneapi", "--strategy", "resource"]
    assert guarded(words) == 0
    told = json.loads((tmp_path / "q" / "verify.json").read_text())
    assert told["verdict"].startswith("not verified: C++ written; compiling needs icpx of Intel's oneAPI")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing.onnx", "--out", "p"], "error: nothing.onnx: no such file"),
        (["{m}"], "Missing option '--out'"),
        (["{m}", "--out", "{m}"], "error: {m} is a file; choose another folder"),
        (["{m}", "--out", "p", "--backend", "vits"], "error: unknown backend 'vits'; did you mean 'vitis'?"),
        (["{m}", "--out", "p", "--io-type", "serial"], "Invalid value for '--io-type'"),
        (["{m}", "--out", "p", "--clock-ns", "0"], "error: clock_ns must be greater than 0, got 0"),
        (["{m}", "--out", "p", "--clock-ns", "fast"], "Invalid value for '--clock-ns'"),
        (["{m}", "--out", "p", "--vectors", "x.npy"], "error: x.npy: no such file"),
        (["{m}", "--out", "p", "--vectors", "{m}"], "error: {m} is no .npy file of numbers"),
        (["verify", "{m}", "--project", "{d}"], "error: {d} is no project of hls_export"),
        (["--nonsense"], "No such option '--nonsense'"),
        (["{m}", "--nonsense", "--out", "p"], "No such option"),
    ],
)
def test_bad_input_is_2(model, tmp_path, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    facts = {"m": str(model), "d": str(tmp_path)}
    assert guarded([a.format(**facts) for a in arguments]) == 2
    captured = capsys.readouterr()
    assert message.format(**facts) in captured.err
    assert captured.out == ""
    assert not (tmp_path / "p").exists()


def test_vectors_of_a_wrong_shape_and_archives(model, tmp_path, capsys):
    path = tmp_path / "x.npy"
    np.save(path, np.zeros((3, 99)))
    assert guarded(["verify", str(model), "--vectors", str(path)]) == 2
    assert capsys.readouterr().err.startswith(f"error: {path} have shape (3, 99), the model takes (n, ")
    np.savez(tmp_path / "x.npz", a=np.zeros(3))
    assert guarded(["verify", str(model), "--vectors", str(tmp_path / "x.npz")]) == 2
    assert "holds several arrays" in capsys.readouterr().err
    np.save(path, np.array([{"a": 1}]), allow_pickle=True)
    assert guarded(["verify", str(model), "--vectors", str(path)]) == 2
    assert "is no .npy file of numbers" in capsys.readouterr().err


def test_stopped_is_130(model, monkeypatch, capsys):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("hls_export.cli.samples.vectors", stop)
    assert guarded(["verify", str(model)]) == 130
    assert capsys.readouterr().err.strip() == "stopped; nothing was left half-written"


@pytest.mark.parametrize("arguments", [["--help"], ["lower", "--help"], ["verify", "-h"]])
def test_help(arguments):
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0
    assert "Usage:" in result.output
