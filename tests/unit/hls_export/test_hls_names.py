from __future__ import annotations

import pytest

from hls_export.backends.names import cpp_names


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["fc1", "relu1", "output"], ["fc1", "relu1", "output"]),
        (["a.b", "a_b", "a__b"], ["a_b", "a_b_", "a_b__"]),
        (["input", "float", "class", "result", "int16"], ["input_", "float_", "class_", "result_", "int16_"]),
        (["0", "2nd"], ["layer_0", "layer_2nd"]),
        (["größe", "/", "../x"], ["gr_e", "layer", "x"]),
        (
            ["layer3_out", "w2", "config4", "relu_config5"],
            ["layer3_out_", "w2_", "config4_", "relu_config5_"],
        ),
        (["fc", "fc_weight", "fc_bias"], ["fc", "fc_weight_", "fc_bias_"]),
        (["fc_accum", "fc"], ["fc_accum", "fc_"]),
        (["myproject"], ["myproject_"]),
    ],
)
def test_names(names, expected):
    found = cpp_names(names, reserved=["myproject"])
    assert list(found) == names
    assert list(found.values()) == expected


def test_one_to_one_over_many():
    names = [f"{a}{s}{b}" for a in "xyz" for s in (".", "_", "/", "-") for b in ("1", "accum", "weight")]
    found = cpp_names(names)
    assert len(set(found.values())) == len(names)
    types = [f"{n}{s}_t" for n in found.values() for s in ("", "_accum", "_weight", "_bias", "_table")]
    assert len(set(types)) == len(types)
