"""The synthesis of a run: with the tools, without them, killed, asked for later, and with tools that fail."""

from __future__ import annotations

import importlib.util
import json
import shutil
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from hls_export.rtl import installed, yosys
from hls_export.rtl.project import RtlProject
from torchq.cli.main import cli, guarded
from torchq.errors import BackendError, RunDirError, VerifyError
from torchq.recipe import load, run_recipe
from torchq.recipe.flow import verify_run
from torchq.recipe.show import Show
from torchq.recipe.stages import synthesis

TINY = """
title: Tiny
data: {limit: 800}
model: {units: [4, 3, 3]}
train: {epochs: 1}
references:
  bf: &six {input: "quantized_bits(8,3,alpha=1)", weight: "quantized_bits(4,0,alpha=1)",
            bias: "quantized_bits(4,0,alpha=1)", output: "quantized_relu(4,2)"}
  q6: *six
  train: {epochs: 1}
search:
  searcher: random
  trials: 1
  train: {epochs: 1}
  input: "quantized_bits(8,3,alpha=1)"
  space:
    fc1: {weight: ["ternary(alpha=1)", "quantized_bits(4,0,alpha=1)"]}
  fixed:
    "*":
      weight: "quantized_bits(3,0,alpha=1)"
      bias: "quantized_bits(4,0,alpha=1)"
      output: "quantized_relu(3,2)"
pick: {train: {epochs: 1}}
verify: {jets: 60, adversarial: 40}
"""
BOTH = "synthesis={networks: [picked, q6]}"
TOOLS = {
    installed.WRITE: importlib.util.find_spec("alkaid") is not None,
    installed.SIMULATE: shutil.which("iverilog") is not None,
    installed.COUNT: shutil.which("yosys") is not None,
}
needs_tools = pytest.mark.skipif(not all(TOOLS.values()), reason="alkaid, Icarus or yosys is not installed")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that asked for no synthesis."""
    folder = tmp_path_factory.mktemp("tiny")
    (folder / "tiny.yaml").write_text(TINY)
    run_recipe(load(str(folder / "tiny.yaml")), folder / "run")
    return folder


@pytest.fixture
def tiny(finished: Path, tmp_path: Path) -> Path:
    shutil.copytree(finished, tmp_path / "tiny")
    return tmp_path / "tiny"


def go_on(tiny: Path, *overrides: str, until: str = "report") -> str:
    """What the run says when it goes on."""
    said = StringIO()
    show = Show(Console(file=said, width=200))
    run_recipe(load(str(tiny / "tiny.yaml"), overrides), tiny / "run", until=until, show=show)
    return said.getvalue()


def facts(tiny: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((tiny / "run" / f"{name}.json").read_text())
    return found


def test_who_asks_for_none_sees_nothing_of_it(finished: Path) -> None:
    assert not (finished / "run" / "synthesis.json").exists()
    assert "Synthesis" not in (finished / "run" / "report.md").read_text()


def test_without_tools_the_run_goes_on_and_says_so(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installed, "tools", dict)
    said = go_on(tiny, BOTH)
    assert "left out: alkaid is not installed; make rtl-tools\n" in said
    assert facts(tiny, "synthesis")["left_out"] == "alkaid is not installed; make rtl-tools"
    for page in ("report.md", "report.html"):
        text = (tiny / "run" / page).read_text()
        assert "Nothing was synthesised: alkaid is not installed; make rtl-tools." in text
    assert "synthesis  done before" in go_on(tiny, BOTH, until="synthesis")


@needs_tools
def test_both_networks_are_written_compared_and_counted(tiny: Path) -> None:
    said = go_on(tiny, BOTH)
    assert facts(tiny, "synthesis")["networks"] == ["picked", "q6"]
    for name in ("picked", "q6"):
        found = facts(tiny, f"synthesis_{name}")
        assert found["left_out"] == {}
        assert found["verification"]["mismatches"] == 0
        assert found["verification"]["comparisons"][-1]["reading"] == "RTL simulation"
        assert found["report"]["resources"]["LUT"] > 10
        assert found["report"]["source"] == "yosys"
        assert found["estimate"]["total"]["lut"] > 0
        folder = tiny / "run" / "rtl" / name
        assert (folder / "tb" / "testbench.v").is_file()
        handed = json.loads((folder / "interface.json").read_text())["input"]
        assert set(handed["standardisation"]) == {"mean", "scale"}
        assert len(handed["elements"]) == 16
    page = (tiny / "run" / "report.md").read_text()
    assert "Synthesised with open tools" in page
    assert "Estimates against the synthesis" in page
    assert "<svg" in (tiny / "run" / "report.html").read_text()
    assert f"{facts(tiny, 'synthesis_q6')['report']['resources']['LUT']:,} LUT" in said


@pytest.mark.slow
@needs_tools
def test_a_killed_synthesis_goes_on_with_the_next_network(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = synthesis._made

    def stopped(recipe: Any, run: Any, show: Any, name: str) -> dict[str, Any]:
        if name == "q6":
            raise KeyboardInterrupt
        return made(recipe, run, show, name)

    monkeypatch.setattr(synthesis, "_made", stopped)
    with pytest.raises(KeyboardInterrupt):
        go_on(tiny, BOTH, until="synthesis")
    first = (tiny / "run" / "synthesis_picked.json").read_bytes()
    assert not (tiny / "run" / "synthesis.json").exists()
    monkeypatch.setattr(synthesis, "_made", made)
    said = go_on(tiny, BOTH, until="synthesis")
    assert "picked: done before" in said
    assert (tiny / "run" / "synthesis_picked.json").read_bytes() == first
    assert facts(tiny, "synthesis")["networks"] == ["picked", "q6"]


@pytest.mark.slow
@needs_tools
def test_what_lacked_is_done_once_it_is_there_and_another_network_can_be_added(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = installed.tools()
    monkeypatch.setattr(installed, "tools", lambda: {k: v for k, v in there.items() if k != installed.COUNT})
    said = go_on(tiny, "synthesis={}")
    assert "picked: no count: yosys is not installed; make rtl-tools" in said
    assert "picked: no count: yosys is not installed; make rtl-tools." in (tiny / "run/report.md").read_text()
    assert facts(tiny, "synthesis_picked")["report"] is None
    assert facts(tiny, "synthesis_picked")["verification"]["mismatches"] == 0
    monkeypatch.setattr(installed, "tools", lambda: there)
    go_on(tiny, "synthesis={}", until="synthesis")
    assert facts(tiny, "synthesis_picked")["report"]["resources"]["FF"] > 0
    said = go_on(tiny, BOTH)
    assert "picked: done before" in said
    assert facts(tiny, "synthesis")["networks"] == ["picked", "q6"]
    assert facts(tiny, "run")["overrides"] == [BOTH]
    assert "torchq run tiny " + BOTH in (tiny / "run" / "report.md").read_text()


@pytest.mark.slow
@needs_tools
def test_a_tool_that_fails_is_named_and_tried_again(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise BackendError("picked: yosys failed: ERROR: no such command")

    with monkeypatch.context() as patched:
        patched.setattr(yosys, "synthesise", fails)
        said = go_on(tiny, "synthesis={}")
    assert "picked: picked: yosys failed: ERROR: no such command" in said
    page = (tiny / "run" / "report.md").read_text()
    assert "picked: no synthesis: picked: yosys failed: ERROR: no such command." in page
    go_on(tiny, "synthesis={}", until="synthesis")
    assert facts(tiny, "synthesis_picked")["left_out"] == {}


@pytest.mark.slow
@needs_tools
def test_verilog_that_computes_something_else_ends_the_run_with_the_place(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    right = RtlProject.predict

    def wrong(self: RtlProject, x: Any, simulator: str | None = None) -> Any:
        values = right(self, x, simulator)
        values[3, 1] += 0.25
        return values

    monkeypatch.setattr(RtlProject, "predict", wrong)
    command = ["run", str(tiny / "tiny.yaml"), "synthesis={}", "--out", str(tiny / "run"), "--quiet"]
    assert guarded(cli, command) == 1
    told = capsys.readouterr().err
    assert told.startswith(
        f"error: {tiny}/run/synthesis_picked.json: RTL simulation differs from torch in 1 of "
    )
    assert "sample 3, output 1" in told
    with pytest.raises(VerifyError, match="RTL simulation differs from torch in 1 of 300 values"):
        verify_run(tiny / "run")


@pytest.mark.slow
@needs_tools
def test_verify_compares_a_finished_run_in_all_readings(tiny: Path) -> None:
    assert guarded(cli, ["verify", str(tiny / "run"), "--jets", "30", "--adversarial", "20"]) == 0
    found = facts(tiny, "verify")
    readings = [(c["reading"], c["kind"], c["vectors"], c["mismatches"]) for c in found["comparisons"]]
    names = ("ONNX", "emulator", "C simulation", "RTL simulation")
    assert readings == [
        (name, kind, n, 0) for kind, n in (("real", 30), ("adversarial", 20)) for name in names
    ]
    assert "RTL simulation = torch" in (tiny / "run" / "report.md").read_text()


@pytest.mark.slow
def test_verify_without_the_tools_says_what_is_left_out(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(installed, "tools", dict)
    assert guarded(cli, ["verify", str(tiny / "run")]) == 0
    sentence = "without Verilog: alkaid and a Verilog simulator are not installed; make rtl-tools"
    assert sentence in capsys.readouterr().out
    assert facts(tiny, "verify")["agree"] is True


def test_verify_wants_a_run_with_firmware(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(RunDirError, match=r"holds no run; give the folder that `torchq run` printed"):
        verify_run(tmp_path)
    (tiny / "run" / "lower.json").unlink()
    with pytest.raises(RunDirError, match="the run has no firmware project yet; finish it with `torchq run`"):
        verify_run(tiny / "run")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("synthesis={networks: [best]}", "synthesis.networks[0]: must be 'picked' or 'q6', got 'best'"),
        ("synthesis.latency_cutoff=0", "synthesis.latency_cutoff: must be greater than 0, got 0"),
        ("synthesis.lut=1", "synthesis.lut: unknown key; Known: networks, latency_cutoff, fmax"),
    ],
)
def test_keys_are_checked(
    finished: Path, override: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert guarded(cli, ["run", str(finished / "tiny.yaml"), override, "--out", str(finished / "no")]) == 2
    assert message in capsys.readouterr().err
