"""yosys: what it counted is read, and what can go wrong ends in a sentence."""

import json
import shutil

import pytest

from hls_export.rtl import yosys
from torchq.errors import BackendError

# As yosys 0.23 wrote it for a 16x32 layer (names of wires left out).
RECORDED = """{
   "creator": "Yosys 0.23 (git sha1 7ce5011c24b)",
   "invocation": "stat -json ",
   "modules": {"\\\\dense": {"num_cells": 4814, "num_cells_by_type": {"BUFG": 1}}},
      "design": {
         "num_wires":         10572,
         "num_cells":         4990,
         "num_cells_by_type": {
            "BUFG": 1,
            "CARRY4": 803,
            "DSP48E2": 3,
            "FDRE": 1324,
            "INV": 179,
            "LUT2": 2323,
            "LUT3": 469,
            "LUT4": 133,
            "LUT5": 41,
            "LUT6": 20,
            "RAM64M8": 2,
            "RAMB18E2": 1,
            "RAMB36E2": 2,
            "SRL16E": 5
         }
      }
}
"""

COUNTER = """
module counter(input clk, input [7:0] step, output reg [7:0] total);
  always @(posedge clk) total <= total + step;
endmodule
"""

needs_yosys = pytest.mark.skipif(shutil.which("yosys") is None, reason="yosys is not installed")


def test_a_recorded_statistics_file():
    found = yosys.parse(RECORDED)
    assert (found.lut, found.carry, found.ff, found.dsp, found.inverters) == (2986, 803, 1324, 3, 179)
    assert found.lut_memory == 5 + 2 * 8
    assert found.bram18 == 1 + 2 * 2
    assert (found.tool, found.version) == ("yosys", "0.23")
    assert found.cells["LUT2"] == 2323
    assert json.loads(json.dumps(found.to_dict()))["lut"] == 2986


def test_cells_with_areas_as_newer_versions_write_them():
    newer = json.dumps(
        {"creator": "Yosys 0.60", "design": {"num_cells_by_type": {"LUT6": {"count": 4, "area": 0}}}}
    )
    assert yosys.parse(newer).lut == 4


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"design": {}}', '{"design": {"num_cells_by_type": 3}}'])
def test_what_is_no_statistics_file(text):
    with pytest.raises(BackendError, match="no statistics file"):
        yosys.parse(text)


def test_cells_before_mapping_are_refused():
    with pytest.raises(BackendError, match=r"no FPGA primitives: \$add"):
        yosys.parse('{"design": {"num_cells_by_type": {"$add": 4, "LUT2": 1}}}')


def test_a_missing_yosys_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "a.v").write_text(COUNTER)
    with pytest.raises(BackendError, match="yosys is not on the PATH; make rtl-tools, or install yosys"):
        yosys.synthesise([tmp_path / "a.v"], "counter")


def test_names_are_checked_before_they_reach_a_script(tmp_path):
    with pytest.raises(BackendError, match="no name that yosys takes"):
        yosys.synthesise([tmp_path / "a.v"], "counter; shell rm")


def test_a_missing_file(tmp_path):
    with pytest.raises(BackendError, match=r"a\.v: there is no such Verilog file"):
        yosys.synthesise([tmp_path / "a.v"], "counter")


@needs_yosys
def test_a_counter_and_a_folder_with_blanks(tmp_path):
    folder = tmp_path / "my designs"
    folder.mkdir()
    (folder / "counter.v").write_text(COUNTER)
    found = yosys.synthesise([folder / "counter.v"], "counter")
    assert (found.ff, found.lut, found.carry, found.dsp) == (8, 8, 2, 0)
    assert found.version == yosys.version()
    assert "-abc9" in found.options


@needs_yosys
def test_the_first_error_of_a_failing_run(tmp_path):
    (tmp_path / "bad.v").write_text("module bad(input a; endmodule")
    with pytest.raises(BackendError, match=r"bad: yosys failed: .*bad\.v:1: ERROR: syntax error"):
        yosys.synthesise([tmp_path / "bad.v"], "bad")


@needs_yosys
def test_a_run_that_takes_too_long(tmp_path):
    (tmp_path / "counter.v").write_text(COUNTER)
    with pytest.raises(BackendError, match=r"yosys did not finish in 0\.01 s"):
        yosys.synthesise([tmp_path / "counter.v"], "counter", timeout_s=0.01)


SUM = """
module sums(input clk, input signed [7:0] a, b, c, d, output reg signed [9:0] total);
  wire signed [8:0] p = a + b;
  wire signed [8:0] q = c - d;
  always @(posedge clk) total <= p + q;
endmodule
"""


@needs_yosys
def test_each_adder_may_keep_its_carry_chain(tmp_path):
    (tmp_path / "sums.v").write_text(SUM)
    merged = yosys.synthesise([tmp_path / "sums.v"], "sums")
    chains = yosys.synthesise([tmp_path / "sums.v"], "sums", one_chain_each=True)
    assert chains.carry > merged.carry
    assert chains.lut < merged.lut
    assert chains.options.endswith("(one chain each)")
