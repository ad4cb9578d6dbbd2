"""alkaid: what it writes computes the very product; what can go wrong ends in a sentence."""

import shutil

import numpy as np
import pytest
from rtl_tools import needs_alkaid

from hls_export.rtl import alkaid, yosys
from torchq.errors import BackendError
from torchq.formats import FixedPoint

WEIGHTS = np.array([[3, 0, 1], [-2, 0, 0], [0, 0, 0], [7, 0, 4]])


def test_a_missing_alkaid_says_what_to_install(monkeypatch, tmp_path):
    import sys

    monkeypatch.setitem(sys.modules, "alkaid.trace", None)
    monkeypatch.setitem(sys.modules, "alkaid", None)
    with pytest.raises(BackendError, match="alkaid is not installed; make rtl-tools, or pip install"):
        alkaid.write_dense(WEIGHTS, FixedPoint(4, 4), tmp_path)


@pytest.mark.parametrize(
    ("weights", "settings", "words"),
    [
        (WEIGHTS[0], {}, "weights must have 2 axes"),
        (WEIGHTS + 0.5, {}, "weights must be integer codes"),
        (WEIGHTS, {"bias": [1, 2]}, r"bias must have the shape \(3,\), got \(2,\)"),
        (WEIGHTS, {"bias": [0, 0, 2**40]}, "a bias code is larger"),
        (WEIGHTS, {"latency_cutoff": 0}, "latency_cutoff must be greater than 0"),
        (WEIGHTS, {"top": "a b"}, "top must be a Verilog name"),
    ],
)
def test_what_cannot_be_written(tmp_path, weights, settings, words):
    with pytest.raises(BackendError, match=words):
        alkaid.write_dense(weights, FixedPoint(4, 4), tmp_path, **settings)


@needs_alkaid
def test_lanes_leave_out_what_is_never_read_and_what_is_always_zero(tmp_path):
    design = alkaid.write_dense(WEIGHTS, FixedPoint(4, 4), tmp_path)
    assert [lane.width for lane in design.inputs] == [4, 4, 0, 4]
    assert [lane.width > 0 for lane in design.outputs] == [True, False, True]
    assert design.stages >= 1
    assert design.cost > 0


@needs_alkaid
@pytest.mark.skipif(shutil.which("yosys") is None, reason="yosys is not installed")
def test_a_layer_goes_through_synthesis(tmp_path):
    design = alkaid.write_dense(WEIGHTS, FixedPoint(4, 4), tmp_path, bias=[5, 0, -1])
    found = yosys.synthesise(design.files, design.top)
    assert found.lut > 0
    assert found.dsp == 0
    assert 0 < found.ff <= design.register_bits
