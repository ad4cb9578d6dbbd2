"""Every registered layer as Verilog: what Icarus simulates is what the emulator computes."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from test_lowering import REFUSED, every_layer, model_of

from hls_export.emulate import emulate
from hls_export.lower import lower
from hls_export.qonnx import export
from hls_export.vectors import adversarial

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "hls_export"))
from rtl_tools import needs_icarus

VECTORS = 24


@needs_icarus
@pytest.mark.slow
@every_layer
def test_verilog_computes_what_the_emulator_computes(cls, example, tmp_path):
    if cls.__name__ in REFUSED:
        pytest.skip("the layer is refused at export")
    exported = export(model_of(cls, example), tmp_path / "m.onnx", example.shape)
    project = lower(tmp_path / "m.onnx", tmp_path / "p", backend="rtl", top="net")
    x = adversarial(exported.graph, VECTORS, 3)
    np.testing.assert_array_equal(project.predict(x, "icarus"), emulate(exported.graph, x))
    assert project.latency == project.design["latency_cycles"]
