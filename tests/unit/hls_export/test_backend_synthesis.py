"""Synthesis by the vendor's tool: a stand-in shows the command line; reports are read as they are written."""

from __future__ import annotations

import json
import stat
import sys

import numpy as np
import pytest
from hls_backend_graphs import Build

from hls_export.emulate import emulate
from hls_export.lower import lower, open_project
from hls_export.report import vendor
from torchq.errors import BackendError

CSYNTH = """<?xml version="1.0" encoding="UTF-8"?>
<profile>
<ReportVersion><Version>2023.2</Version></ReportVersion>
<UserAssignments><unit>ns</unit><ProductFamily>virtexuplus</ProductFamily><Part>xcvu9p-flga2577-2-e</Part>
<TopModelName>myproject</TopModelName><TargetClockPeriod>5.00</TargetClockPeriod></UserAssignments>
<PerformanceEstimates>
<PipelineType>yes</PipelineType>
<SummaryOfTimingAnalysis><unit>ns</unit><EstimatedClockPeriod>3.627</EstimatedClockPeriod>
</SummaryOfTimingAnalysis>
<SummaryOfOverallLatency><unit>clock cycles</unit><Best-caseLatency>11</Best-caseLatency>
<Average-caseLatency>11</Average-caseLatency><Worst-caseLatency>12</Worst-caseLatency>
<Best-caseRealTimeLatency>55.000 ns</Best-caseRealTimeLatency><Interval-min>1</Interval-min>
<Interval-max>2</Interval-max></SummaryOfOverallLatency>
</PerformanceEstimates>
<AreaEstimates>
<Resources><BRAM_18K>4</BRAM_18K><DSP>28</DSP><FF>3521</FF><LUT>9824</LUT><URAM>0</URAM></Resources>
<AvailableResources><BRAM_18K>4320</BRAM_18K><DSP>6840</DSP><FF>2364480</FF><LUT>1182240</LUT><URAM>960</URAM>
</AvailableResources>
</AreaEstimates>
</profile>
"""

VSYNTH = """Copyright 1986-2022 Xilinx, Inc. All Rights Reserved.
| Tool Version : Vivado v.2023.2 (lin64) Build 4029153
Utilization Design Information

1. CLB Logic
------------

+----------------------------+------+-------+------------+-----------+-------+
|          Site Type         | Used | Fixed | Prohibited | Available | Util% |
+----------------------------+------+-------+------------+-----------+-------+
| CLB LUTs*                  | 4211 |     0 |          0 |   1182240 |  0.36 |
|   LUT as Logic             | 4190 |     0 |          0 |   1182240 |  0.35 |
| CLB Registers              | 2977 |     0 |          0 |   2364480 |  0.13 |
+----------------------------+------+-------+------------+-----------+-------+

2. BLOCKRAM
-----------

+-------------------+------+-------+------------+-----------+-------+
|     Site Type     | Used | Fixed | Prohibited | Available | Util% |
+-------------------+------+-------+------------+-----------+-------+
| Block RAM Tile    |  1.5 |     0 |          0 |      2160 |  0.07 |
| URAM              |    0 |     0 |          0 |       960 |  0.00 |
+-------------------+------+-------+------------+-----------+-------+

3. ARITHMETIC
-------------

+----------------+------+-------+------------+-----------+-------+
|    Site Type   | Used | Fixed | Prohibited | Available | Util% |
+----------------+------+-------+------------+-----------+-------+
| DSPs           |   24 |     0 |          0 |      6840 |  0.35 |
+----------------+------+-------+------------+-----------+-------+
"""

COSIM = """================================================================
== Vitis HLS - High-Level Synthesis from C, C++ and OpenCL v2023.2
================================================================
Report time       : Mon 01 Jan 2024 00:00:00
Solution          : solution1.
Simulation tool   : xsim.

+----------+----------+-----------------------------------------------+
|          |          |  Latency(Clock Cycles)  |  Interval(Clock Cycles)  |
+   RTL    +  Status  +-----------------------------------------------+
|          |          |  min  |  avg  |  max  |  min  |  avg  |  max  |
+----------+----------+-----------------------------------------------+
|      VHDL|        NA|     NA|     NA|     NA|     NA|     NA|     NA|
|   Verilog|      Pass|     13|     13|     14|      1|      1|      1|
+----------+----------+-----------------------------------------------+
"""

STAND_IN = """#!{python}
import json, pathlib, sys
here = pathlib.Path.cwd()
pathlib.Path({record!r}).write_text(json.dumps([pathlib.Path(sys.argv[0]).name, *sys.argv[1:]]))
print("INFO: [HLS 200-10] running")
reports = json.loads(pathlib.Path({reports!r}).read_text())
if "error" in reports:
    print(reports["error"])
    sys.exit(1)
for name, text in reports.items():
    (here / name).parent.mkdir(parents=True, exist_ok=True)
    (here / name).write_text(text)
"""


def perceptron():
    b = Build(4)
    b.dense(3, name="fc")
    b.relu()
    b.quant()
    return b.done()


class Bench:
    """A PATH with stand-ins for the vendor's programs, and what they were called with."""

    def __init__(self, folder, monkeypatch):
        self.folder = folder / "bin"
        self.folder.mkdir()
        self.record, self.reports = folder / "call.json", folder / "reports.json"
        monkeypatch.setenv("PATH", f"{self.folder}:/usr/bin:/bin")
        self.gives(
            {
                "myproject_prj/solution1/syn/report/myproject_csynth.xml": CSYNTH,
                "myproject_prj/solution1/sim/report/myproject_cosim.rpt": COSIM,
                "vivado_synth.rpt": VSYNTH,
            }
        )

    def gives(self, reports):
        self.reports.write_text(json.dumps(reports))

    def install(self, *names):
        for name in names:
            file = self.folder / name
            file.write_text(
                STAND_IN.format(python=sys.executable, record=str(self.record), reports=str(self.reports))
            )
            file.chmod(file.stat().st_mode | stat.S_IXUSR)

    @property
    def call(self):
        return json.loads(self.record.read_text())


@pytest.fixture
def bench(tmp_path, monkeypatch):
    return Bench(tmp_path, monkeypatch)


def test_c_synthesis_by_vitis(bench, tmp_path):
    bench.install("vitis-run", "vitis_hls")
    project = lower(perceptron(), tmp_path / "p")
    report = project.synthesize()
    assert bench.call == ["vitis-run", "--mode", "hls", "--tcl", "build_prj.tcl"]
    options = (project.path / "build_opt.tcl").read_text().split()
    assert [options[options.index(word) + 1] for word in ("csim", "synth", "cosim", "vsynth")] == list("0100")
    assert (report.source, report.tool) == ("csynth", "Vitis HLS 2023.2")
    assert report.resources == {
        **{"LUT": 9824, "FF": 3521, "DSP": 28, "BRAM18": 4, "URAM": 0, "clock_ns": 3.627},
        **{"latency_cycles": 12, "latency_cycles_best": 11},
        **{"initiation_interval": 2, "initiation_interval_best": 1},
    }
    assert "LUT: 9824 of 1.18224e+06 (0.83%)" in report.notes
    assert [row.name for row in report.layers] == ["x", "fc", "relu_3"]
    assert open_project(project.path).report() == report
    assert project.to_dict()["state"].endswith("; csynth by Vitis HLS 2023.2")


def test_an_older_vitis(bench, tmp_path):
    bench.install("vitis_hls")
    lower(perceptron(), tmp_path / "p").synthesize()
    assert bench.call == ["vitis_hls", "-f", "build_prj.tcl"]


def test_vivado_hls(bench, tmp_path):
    bench.install("vivado_hls")
    lower(perceptron(), tmp_path / "p", backend="vivado").synthesize()
    assert bench.call == [
        *("vivado_hls", "-f", "build_prj.tcl"),
        "reset=1 csim=0 synth=1 cosim=0 validation=0 export=0 vsynth=0 fifo_opt=0",
    ]


def test_all_steps(bench, tmp_path):
    bench.install("vitis-run", "vivado")
    graph = perceptron()
    project = lower(graph, tmp_path / "p")
    x = np.array([[0.5, -1.0, 0.25, 1.5], [9.0, 0.0, 0.0, -9.0]])
    report = project.synthesize(csim=True, cosim=True, vsynth=True, x=x)
    assert report.source == "vsynth"
    assert report.resources["LUT"] == 4211
    assert report.resources["FF"] == 2977
    assert report.resources["DSP"] == 24
    assert report.resources["BRAM18"] == 3
    assert report.resources["latency_cycles"] == 14
    assert report.resources["initiation_interval"] == 1
    assert any("measured in co-simulation" in note for note in report.notes)
    data = project.path / "tb_data"
    assert (np.loadtxt(data / "tb_input_features.dat") == x).all()
    assert (np.loadtxt(data / "tb_output_predictions.dat") == emulate(graph, x)).all()


@pytest.mark.parametrize(
    ("backend", "strategy", "message"),
    [
        (
            "vitis",
            "latency",
            "neither vitis-run nor vitis_hls is on the PATH; source settings64.sh of Vitis; "
            "without it the project can be compiled and run in C",
        ),
        (
            "vivado",
            "latency",
            "vivado_hls is not on the PATH; source settings64.sh of Vivado HLS; "
            "without it the project can be compiled and run in C",
        ),
        (
            "quartus",
            "resource",
            "quartus projects are not synthesised from here; run the tool in their folder",
        ),
    ],
)
def test_a_tool_that_is_missing(bench, tmp_path, backend, strategy, message):
    project = lower(perceptron(), tmp_path / "p", backend=backend, strategy=strategy)
    with pytest.raises(BackendError) as fault:
        project.synthesize()
    assert str(fault.value) == message
    assert project.report().source == "csim"


def test_vivado_that_is_missing(bench, tmp_path):
    bench.install("vitis-run")
    with pytest.raises(BackendError) as fault:
        lower(perceptron(), tmp_path / "p").synthesize(vsynth=True)
    assert str(fault.value) == "vivado is not on the PATH; vsynth needs it; leave that step out"
    assert not bench.record.exists()


def test_a_tool_that_fails(bench, tmp_path):
    bench.install("vitis-run")
    bench.gives({"error": "ERROR: [HLS 200-70] Compilation errors found"})
    project = lower(perceptron(), tmp_path / "p")
    with pytest.raises(BackendError) as fault:
        project.synthesize()
    assert str(fault.value) == (
        "vitis-run failed: ERROR: [HLS 200-70] Compilation errors found; "
        f"all of it stands in {project.path / 'synthesis.log'}"
    )
    assert "INFO: [HLS 200-10] running" in (project.path / "synthesis.log").read_text()
    assert project.report().source == "csim"


def test_a_tool_that_does_not_end(bench, tmp_path):
    file = bench.folder / "vitis-run"
    file.write_text("#!/bin/sh\nsleep 60 & wait\n")
    file.chmod(0o755)
    with pytest.raises(BackendError, match=r"^vitis-run did not finish in 0.2 s; allow it more time"):
        lower(perceptron(), tmp_path / "p").synthesize(timeout_s=0.2)


@pytest.mark.parametrize(
    ("reports", "steps", "message"),
    [
        ({}, {}, "myproject_csynth.xml is missing; see synthesis.log for what the tool did"),
        ({"csynth": CSYNTH[:300]}, {}, "myproject_csynth.xml is damaged"),
        ({"csynth": "<profile/>"}, {}, "it has no PerformanceEstimates/SummaryOfOverallLatency/Worst"),
        ({"csynth": CSYNTH}, {"vsynth": True}, "vivado_synth.rpt is missing"),
        ({"csynth": CSYNTH, "vsynth": "nothing"}, {"vsynth": True}, "vivado_synth.rpt has no table of LUTs"),
        (
            {"csynth": CSYNTH, "cosim": COSIM.replace("Pass", "Fail")},
            {"cosim": True, "x": np.zeros((1, 4))},
            "the RTL computes something else than the C++",
        ),
        (
            {"csynth": CSYNTH, "cosim": "empty"},
            {"cosim": True, "x": np.zeros((1, 4))},
            "has no simulation in it",
        ),
    ],
)
def test_reports_that_are_no_good(bench, tmp_path, monkeypatch, reports, steps, message):
    bench.install("vitis-run", "vivado")
    places = {
        "csynth": "myproject_prj/solution1/syn/report/myproject_csynth.xml",
        "cosim": "myproject_prj/solution1/sim/report/myproject_cosim.rpt",
        "vsynth": "vivado_synth.rpt",
    }
    bench.gives({places[name]: text for name, text in reports.items()})
    project = lower(perceptron(), tmp_path / "p")
    monkeypatch.setattr(type(project), "_run", lambda self, samples: np.zeros((len(samples), 3)))
    with pytest.raises(BackendError) as fault:
        project.synthesize(**steps)
    assert message in str(fault.value)
    assert project.report().source == "csim"


def test_steps_that_cannot_be(bench, tmp_path):
    project = lower(perceptron(), tmp_path / "p")
    with pytest.raises(BackendError, match="there is nothing to synthesise"):
        project.synthesize(csynth=False)
    with pytest.raises(BackendError, match="cosim needs the RTL that csynth writes"):
        project.synthesize(csim=True, csynth=False, cosim=True)


def test_figures_that_the_tool_does_not_know(tmp_path):
    path = tmp_path / "csynth.xml"
    path.write_text(
        CSYNTH.replace("<Worst-caseLatency>12<", "<Worst-caseLatency>undef<").replace("DSP>", "DSP48E>")
    )
    figures, there, version = vendor.csynth(path)
    assert "latency_cycles" not in figures
    assert figures["DSP"] == 28
    assert there["DSP"] == 6840
    assert version == "2023.2"
