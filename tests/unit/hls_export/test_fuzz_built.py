"""Random networks as C++ and as Verilog: the same comparison as users get, settings drawn, failures kept."""

from __future__ import annotations

import datetime
import importlib.util
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from hls_export.backends.csim import CsimProject
from hls_export.fuzz import Case, Target, Verdict, build, check_built, draw
from hls_export.fuzz.__main__ import kind_of, main
from hls_export.fuzz.cases import keep, load
from hls_export.fuzz.targets import draw_target
from hls_export.qonnx import export
from hls_export.rtl import icarus, verilator

pytestmark = pytest.mark.filterwarnings("ignore")

KEPT = load(Path(__file__).with_name("fuzz_cases.json"))
TODAY = datetime.datetime.now(datetime.UTC).date().toordinal()
START = int(os.environ.get("FUZZ_SEED", TODAY * 100))
"""Other networks every day; ``FUZZ_SEED`` repeats those of another one."""
CPP, RTL = 12, 4
Q = "quantized_bits(4,1,alpha=1)"
LINEAR = {
    "shape": [3],
    "input": Q,
    "seed": 0,
    "scale": 1.0,
    "steps": [{"op": "QLinear", "args": [3, 2], "slots": {"weight": Q, "bias": Q, "output": Q}}],
}

needs_cpp = pytest.mark.skipif(
    importlib.util.find_spec("hls4ml") is None or shutil.which("g++") is None, reason="needs hls4ml and g++"
)
needs_rtl = pytest.mark.skipif(
    importlib.util.find_spec("alkaid") is None or not (icarus.available() or verilator.available()),
    reason="needs alkaid and a simulator; make rtl-tools",
)


def tools_for(case: Case) -> bool:
    """Whether this machine can run a case."""
    mark = {"cpp": needs_cpp, "rtl": needs_rtl}.get(case.through)
    return mark is None or not mark.args[0]


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=case.found.split(":")[0], marks=[pytest.mark.slow] * (case.target is not None))
        for case in KEPT
    ],
)
def test_cases_that_were_found(case):
    if not tools_for(case):
        pytest.skip(f"no tools for {case.through}")
    verdict = case.check()
    assert verdict.agree is not False, verdict.reason


@pytest.mark.slow
@needs_cpp
@pytest.mark.parametrize("seed", range(START, START + CPP))
def test_as_cpp(seed):
    verdict = check_built(draw(seed), "cpp")
    assert verdict.agree is not False, f"seed {seed} ({verdict.target}): {verdict.reason}"


@pytest.mark.slow
@needs_rtl
@pytest.mark.parametrize("seed", range(START, START + RTL))
def test_as_rtl(seed):
    verdict = check_built(draw(seed), "rtl")
    assert verdict.agree is not False, f"seed {seed} ({verdict.target}): {verdict.reason}"


# ---------------------------------------------------------------------- how it is done


@needs_cpp
def test_one_network_agrees_as_cpp_and_its_target_is_told():
    target = Target("vitis", "io_stream", layers={"layers.s0": {"strategy": "resource", "reuse_factor": 3}})
    verdict = check_built(LINEAR, "cpp", target)
    assert verdict.agree, verdict.reason
    assert str(verdict.target) == "vitis io_stream, layers.s0 resource 3"
    assert {"dense", "quantize"} <= verdict.kinds


@needs_cpp
def test_a_difference_of_the_cpp_is_seen(monkeypatch):
    def wrong(self, x):
        return right(self, x) + (np.arange(len(x)) == 7)[:, None]

    right = CsimProject.predict
    monkeypatch.setattr(CsimProject, "predict", wrong)
    verdict = check_built(LINEAR, "cpp", Target("vitis"))
    assert verdict.agree is False
    assert verdict.reason.startswith("C simulation differs from torch in 2 of 360 values")
    assert "first at layers.s0, sample 7, output 0" in verdict.reason


@needs_cpp
def test_a_refusal_is_counted_by_its_reason(capsys, monkeypatch):
    broken = {
        **LINEAR,
        "steps": [{"op": "QActivation", "slots": {"output": "fixed(1,1,overflow='SAT_SYM')"}}],
    }
    monkeypatch.setattr("hls_export.fuzz.__main__.draw", lambda seed, most_steps: {**broken, "seed": seed})
    monkeypatch.setattr("hls_export.fuzz.built.draw_target", lambda *given: Target("vitis"))
    assert main(["--count", "2", "--start", "5", "--through", "cpp"]) == 0
    printed = capsys.readouterr().out.splitlines()
    reason = "has one signed bit and symmetric saturation: it holds zero alone"
    assert printed[0] == f"seed 5 (vitis io_parallel) refused: vitis: layers.s0 {reason}"
    assert printed[-1] == f"refused    2: vitis: NODE {reason} (seed 5)"
    assert printed[2].endswith("s: 2 refused")


def test_a_target_is_a_function_of_the_seed_and_says_all_its_settings(tmp_path):
    graph = export(build(LINEAR), tmp_path / "n.onnx", (3,)).graph
    drawn = [draw_target(seed, graph, "cpp") for seed in range(80)]
    assert drawn == [draw_target(seed, graph, "cpp") for seed in range(80)]
    assert {target.backend for target in drawn} == {"vitis", "vivado", "quartus", "catapult"}
    assert {target.io_type for target in drawn} == {"io_parallel", "io_stream"}
    assert {target.pipeline for target in drawn} == {"auto", "pipeline", "dataflow"}
    layers = [target.layers["layers.s0"] for target in drawn if target.layers]
    assert {one["strategy"] for one in layers} >= {"latency", "resource", "resource_unrolled"}
    assert {one["reuse_factor"] for one in layers if one["strategy"] == "resource"} == {1, 3, 6}
    rtl = {draw_target(seed, graph, "rtl").latency_cutoff for seed in range(40)}
    assert rtl == {1.5, 3.0, 5.0, 20.0}
    assert str(Target("rtl", strategy="distributed_arithmetic", latency_cutoff=3)) == (
        "rtl io_parallel, distributed_arithmetic 1, cutoff 3"
    )


def test_settings_of_layers_that_are_gone_go_with_them(tmp_path):
    graph = export(build(LINEAR), tmp_path / "n.onnx", (3,)).graph
    factor = {"strategy": "resource", "reuse_factor": 3}
    target = Target("vitis", layers={"layers.s0": factor, "layers.s4": factor})
    assert target.within(graph).layers == {"layers.s0": factor}


def test_cases_are_kept_one_a_line(tmp_path):
    path = tmp_path / "cases.json"
    assert load(path) == []
    first = Case("seed 1: too wide", "emulator", LINEAR)
    second = Case("seed 2: wrong", "cpp", LINEAR, Target("vitis", layers={"layers.s0": {"reuse_factor": 3}}))
    keep(path, first)
    keep(path, second)
    assert load(path) == [first, second]
    assert len(path.read_text().splitlines()) == 4
    assert json.loads(path.read_text())[0] == first.to_dict()


def test_reasons_without_names_and_numbers():
    reason = "vitis: layers.s3.quant cannot have reuse factor 5 with resource; it can have 1, 2, 4, ..."
    assert kind_of(reason) == "vitis: NODE cannot have reuse factor N with resource; it can have N"


def test_a_smaller_case_fails_in_the_same_way(monkeypatch):
    def checked(spec, through, target):
        steps = [step["op"] for step in spec["steps"]]
        readings = "A differs from B" if "QLinear" in steps else "C differs from D"
        return Verdict(False, f"{readings} in 3 of 4 values")

    monkeypatch.setattr("hls_export.fuzz.cases.check_built", checked)
    relu = {"op": "relu"}
    spec = {**LINEAR, "steps": [relu, LINEAR["steps"][0], relu]}
    factor = {"layers.s1": {"reuse_factor": 3}}
    case = Case("seed 3: A differs from B in 1 of 9", "cpp", spec, Target("vitis", layers=factor))
    small = case.smallest()
    assert [step["op"] for step in small.spec["steps"]] == ["QLinear"]
    assert small.target == Target("vitis")
