"""The jet model from torch to simulated and synthesised Verilog; whole networks with ``-m slow``."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import hls_export
from hls_export.cli import guarded
from torchq.convert import quantize
from torchq.models import jets_mlp
from torchq.scheme import Scheme

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "hls_export"))
from rtl_tools import needs_icarus, needs_verilator, needs_yosys


def jet_model(units: tuple[int, ...], bits: int = 6) -> torch.nn.Module:
    """The paper's network with one precision; weights large enough to saturate."""
    torch.manual_seed(7)
    model = jets_mlp(units=units).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2)
    scheme = Scheme.uniform(
        input="quantized_bits(16,6,alpha=1)",
        weight=f"quantized_bits({bits},0,alpha=1)",
        bias=f"quantized_bits({bits},0,alpha=1)",
        output=f"quantized_relu({bits},2)",
    )
    return quantize(model, scheme)


def jets_like(n: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(n, 16)) * 2


@needs_icarus
def test_jet_model_to_verilog_and_on_the_command_line(tmp_path, capsys):
    """torch = ONNX = emulator = RTL; then the same file with nothing but the command."""
    model = jet_model((8, 6, 6), bits=4)
    exported = hls_export.export(model, tmp_path / "jets.onnx", check=jets_like(50))
    project = hls_export.lower(exported.path, tmp_path / "rtl", backend="rtl", top="jets")
    x = jets_like(150)
    verdict = hls_export.verify(model, exported.path, project, x, hls_export.adversarial(exported.graph, 150))
    assert str(verdict) == "torch = ONNX = emulator = RTL simulation on 300 vectors (1,500 values)"
    assert np.unique(project.predict(x)).size > 20
    traced = project.trace(x[:4])
    assert list(traced) == ["relu1.quant", "relu2.quant", "relu3.quant", "output"]

    arguments = [str(exported.path), "--project", str(project.path), "--backend", "rtl"]
    assert guarded(["verify", *arguments]) == 0
    assert "equal  ONNX = emulator = RTL simulation = RTL simulation on" in capsys.readouterr().out


@needs_yosys
@needs_icarus
def test_one_command_writes_compares_and_synthesises(tmp_path, capsys):
    model = jet_model((4, 3, 3), bits=3)
    exported = hls_export.export(model, tmp_path / "jets.onnx")
    command = [str(exported.path), "--backend", "rtl", "--synthesize", "--latency-cutoff", "8"]
    assert guarded([*command, "--out", str(tmp_path / "p")]) == 0
    out = capsys.readouterr().out
    assert "equal  ONNX = emulator = RTL simulation on 2,000 vectors" in out
    assert "source: yosys 0" in out
    assert "LUT_packed is an estimate of CLB LUTs: x0.74, between" in out
    project = hls_export.open_project(tmp_path / "p")
    report = project.report()
    assert report.source == "yosys"
    assert "-abc9" in report.tool
    found = report.resources
    assert found["LUT"] > found["LUT_packed"] > 0
    assert found["depth"] > 1
    assert found["latency_cycles"] == project.design["latency_cycles"]
    assert json.loads((tmp_path / "p" / "verify.json").read_text())["agree"] is True


@needs_icarus
@pytest.mark.slow
def test_the_uniform_six_bit_network_in_icarus(tmp_path):
    """The paper's Q6, 16-64-32-32-5: every value of every layer's registers."""
    exported = hls_export.export(jet_model((64, 32, 32)), tmp_path / "q6.onnx")
    project = hls_export.lower(exported.path, tmp_path / "p", backend="rtl", top="q6")
    x = hls_export.adversarial(exported.graph, 60, 1)
    np.testing.assert_array_equal(project.predict(x, "icarus"), hls_export.emulate(exported.graph, x))
    expected = hls_export.emulate(exported.graph, x[:5], trace=True)
    for name, values in project.trace(x[:5]).items():
        np.testing.assert_array_equal(values, expected[name])


@needs_verilator
@pytest.mark.slow
def test_the_uniform_six_bit_network_in_verilator(tmp_path):
    exported = hls_export.export(jet_model((64, 32, 32)), tmp_path / "q6.onnx")
    project = hls_export.lower(exported.path, tmp_path / "p", backend="rtl", top="q6")
    x = np.concatenate([jets_like(10_000), hls_export.adversarial(exported.graph, 2000, 1)])
    np.testing.assert_array_equal(project.predict(x, "verilator"), hls_export.emulate(exported.graph, x))


@needs_icarus
def test_backend_rtl_without_its_tools_is_a_sentence(tmp_path, capsys, monkeypatch):
    exported = hls_export.export(jet_model((4, 3, 3), bits=3), tmp_path / "jets.onnx")
    monkeypatch.setenv("PATH", os.fspath(tmp_path))
    monkeypatch.setattr("hls_export.rtl.verilator.available", lambda: False)
    command = [str(exported.path), "--backend", "rtl", "--out", str(tmp_path / "p")]
    assert guarded(command) == 2
    assert "error: iverilog is not on the PATH; make rtl-tools" in capsys.readouterr().err


def test_synthesis_without_yosys_is_said_before_the_work(tmp_path, capsys, monkeypatch):
    exported = hls_export.export(jet_model((4, 3, 3), bits=3), tmp_path / "jets.onnx")
    monkeypatch.setenv("PATH", os.fspath(tmp_path))
    command = [str(exported.path), "--backend", "rtl", "--synthesize", "--out", str(tmp_path / "p")]
    assert guarded(command) == 2
    assert "error: yosys is not on the PATH; make rtl-tools, or install yosys" in capsys.readouterr().err
    assert not (tmp_path / "p").exists()
