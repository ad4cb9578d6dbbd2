"""The table of what is lowered: measuring, keeping, resuming and showing it."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import nn

from hls_export.qonnx import export
from hls_export.support import COLUMNS, Case, Cell, Record, measure, page
from hls_export.support import __main__ as command
from hls_export.support.cases import random_samples, torch_reference
from hls_export.support.cells import column
from hls_export.support.measure import missing, samples, written
from hls_export.support.record import Entry
from torchq.errors import ExportError
from torchq.nn import QInput, QReLU

FAST = "onnx,emulator"


def network(width: int = 4) -> nn.Module:
    return nn.Sequential(QInput(f"quantized_bits({width},1,alpha=1)"), QReLU("quantized_relu(3,1)")).eval()


def case(width: int = 4, key: str = "QReLU-0", shift: float = 0.0, fault: Exception | None = None) -> Case:
    def write(path):
        if fault is not None:
            raise fault
        model = network(width)
        export(model, path, (3,))
        right = torch_reference(model)
        return lambda x: right(x) + shift

    return Case(key, "QReLU", "a relu", write)


def cell_of(given: Case, key: str, folder) -> Cell:
    (folder / key).mkdir()
    return measure(written(given, folder), column(key), folder / key, 40)


@pytest.mark.parametrize("key", ["onnx", "emulator"])
def test_exact(tmp_path, key):
    cell = cell_of(case(), key, tmp_path)
    assert cell.says == ("exact", "")
    assert cell.vectors == 80
    assert cell.tools["torch"] == torch.__version__


@pytest.mark.parametrize("key", ["onnx", "emulator"])
def test_a_difference_is_broken_and_told(tmp_path, key):
    cell = cell_of(case(shift=0.5), key, tmp_path)
    assert cell.result == "broken"
    assert cell.reason.startswith("240 of 240 values differ, first sample 0: 0.0 against 0.5")


def test_a_refusal_has_its_reason_without_folders_and_hints(tmp_path):
    fault = ExportError(f"{tmp_path}/QReLU-0.onnx: fc1 is odd", hint="mend it")
    cell = cell_of(case(fault=fault), "onnx", tmp_path)
    assert str(cell) == "refused: fc1 is odd"


def test_a_backend_refuses_in_its_own_words(tmp_path):
    pytest.importorskip("hls4ml")
    model = nn.Sequential(QInput("quantized_bits(4,1,alpha=1)")).eval()

    def write(path):
        export(model, path, (3,))
        return torch_reference(model)

    cell = cell_of(Case("QInput-0", "QInput", "", write), "cpp_io_parallel", tmp_path)
    assert cell.result in ("refused", "exact")
    assert not cell.reason.startswith("vitis: ")


def test_a_compiler_that_fails_is_no_refusal(tmp_path, monkeypatch):
    pytest.importorskip("hls4ml")
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "g++").write_text("#!/bin/sh\necho 'a.cpp:1:1: error: out of luck' >&2\nexit 1\n")
    (tools / "g++").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    cell = cell_of(case(), "cpp_io_parallel", tmp_path)
    assert cell.result == "broken"
    assert cell.reason.endswith("g++ failed: a.cpp:1:1: error: out of luck")


def test_samples_are_adversarial_and_random(tmp_path):
    graph = written(case(), tmp_path).graph
    x = samples(graph, 50)
    assert x.shape == (100, 3)
    assert np.array_equal(x[50:], random_samples((3,), 50))


def test_missing_tools_are_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert missing(column("onnx")) == ""
    assert missing(column("rtl")) == "alkaid is not installed; make rtl-tools"
    assert missing(column("cpp_io_stream")).startswith("hls4ml is not installed")


# ---------------------------------------------------------------------- the command


@pytest.fixture
def cases(monkeypatch):
    found = {"layers": [case()], "others": []}
    monkeypatch.setattr(command, "layer_cases", lambda: iter(found["layers"]))
    monkeypatch.setattr(command, "other_cases", lambda: iter(found["others"]))
    monkeypatch.setattr(command, "skipped", lambda: iter(()))
    return found


def run(target, *options, columns=FAST) -> int:
    return command.main(["--write", str(target), "--columns", columns, *options])


def test_the_page_and_the_record_are_written(cases, tmp_path, capsys):
    assert run(tmp_path / "s.md") == 0
    text = (tmp_path / "s.md").read_text()
    assert "| QReLU 1 | exact | exact | not measured | not measured | not measured |" in text
    record = Record.load(tmp_path / "s.json")
    assert text == page(record)
    assert record.layers["QReLU-0"].cells["emulator"].vectors == 300
    assert "QReLU-0: ONNX exact, emulator exact" in capsys.readouterr().out


def test_what_is_known_is_not_measured_again(cases, tmp_path, monkeypatch):
    measured = []
    right = command.measure

    def counted(made, reading, folder, headers):
        measured.append(reading.key)
        return right(made, reading, folder, headers=headers)

    monkeypatch.setattr(command, "measure", counted)
    run(tmp_path / "s.md", columns="onnx")
    run(tmp_path / "s.md")
    assert measured == ["onnx", "emulator"]
    run(tmp_path / "s.md")
    assert measured == ["onnx", "emulator"]
    run(tmp_path / "s.md", "--again", columns="emulator")
    assert measured == ["onnx", "emulator", "emulator"]
    cases["layers"] = [case(width=5)]
    run(tmp_path / "s.md")
    assert measured[3:] == ["onnx", "emulator"]


def test_the_same_measurements_give_the_same_bytes(cases, tmp_path):
    for name in ("a", "b"):
        run(tmp_path / f"{name}.md")
    for suffix in ("md", "json"):
        assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()


def test_layers_that_are_gone_leave_and_new_ones_come(cases, tmp_path):
    run(tmp_path / "s.md")
    cases["layers"] = [case(key="QFoo-0")]
    run(tmp_path / "s.md")
    assert list(Record.load(tmp_path / "s.json").layers) == ["QFoo-0"]


def test_networks_whose_tools_are_not_here_stay(cases, tmp_path, capsys, monkeypatch):
    cases["others"] = [case(key="brevitas-mlp")]
    run(tmp_path / "s.md")
    cases["others"] = []
    monkeypatch.setattr(command, "skipped", lambda: iter(["Brevitas: brevitas is not installed"]))
    run(tmp_path / "s.md")
    assert "exact" in str(Record.load(tmp_path / "s.json").others["brevitas-mlp"].cells["onnx"])
    assert "kept as they are: Brevitas: brevitas is not installed" in capsys.readouterr().out


def test_a_broken_cell_is_exit_code_1_and_stands_out(cases, tmp_path):
    cases["layers"] = [case(shift=1.0)]
    assert run(tmp_path / "s.md") == 1
    text = (tmp_path / "s.md").read_text()
    assert "| QReLU 1 | **broken: " in text
    assert "| broken | 1 | 1 | 0 | 0 | 0 |" in text


def test_a_damaged_record_is_exit_code_2(cases, tmp_path, capsys):
    (tmp_path / "s.json").write_text("{")
    assert run(tmp_path / "s.md") == 2
    assert "s.json is damaged" in capsys.readouterr().err


def test_a_record_is_its_own_inverse(tmp_path):
    cells = {"onnx": Cell("refused", "too wide", tools={"onnx": "1"}), "rtl": Cell("exact", vectors=3)}
    Record({"a-0": Entry("a", "text", "12", cells)}, {}).save(tmp_path / "r.json")
    again = Record.load(tmp_path / "r.json").layers["a-0"]
    assert (again.group, again.text, again.digest, again.cells) == ("a", "text", "12", cells)
    facts = json.loads((tmp_path / "r.json").read_text())
    (tmp_path / "r.json").write_text(json.dumps({**facts, "version": 0}))
    assert Record.load(tmp_path / "r.json").layers == {}


def test_signs_of_markdown_are_escaped():
    cells = {c.key: Cell("refused", "a|b needs ap_fixed<8,3>") for c in COLUMNS}
    text = page(Record({"QLinear-1": Entry("QLinear", "x * y", "", cells)}, {}))
    assert r"| QLinear 2 | refused: a\|b needs ap\_fixed\<8,3\> |" in text
    assert r"* **QLinear 2** x \* y" in text


def test_references_in_float32_get_such_samples(tmp_path):
    seen = []

    def write(path):
        model = network()
        export(model, path, (3,))
        right = torch_reference(model)
        return lambda x: seen.append(x) or right(x)

    made = written(Case("a", "b", "c", write, single=True), tmp_path)
    assert measure(made, column("onnx"), tmp_path, 40).result == "exact"
    assert np.array_equal(seen[0], seen[0].astype(np.float32))
