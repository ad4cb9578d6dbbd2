"""What the fuzzer found, each at its root; the networks themselves stand in ``fuzz_cases.json``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from torch import nn

from hls_export import lower
from hls_export.backends.prepare import prepare
from hls_export.emulate import emulate
from hls_export.fuzz import build, check
from hls_export.fuzz.network import format_of
from hls_export.hardware import HardwareGraph, Input, MaxPool, Quantize, ScaleShift
from hls_export.passes import drop_identities
from hls_export.passes.gathered_windows import gathered_windows
from hls_export.passes.padded_windows import padded_windows
from hls_export.qonnx import export
from hls_export.qonnx.probe import plain_rounding
from torchq.errors import BackendError, ExportError
from torchq.formats import FixedPoint
from torchq.nn import QActivation, QInput
from torchq.quantizers import parse

Q = "quantized_bits(4,1,alpha=1)"


def graph_of(shape: list[int], step: dict[str, object], folder: Path) -> HardwareGraph:
    spec = {"shape": shape, "input": Q, "seed": 0, "scale": 1.0, "steps": [step]}
    return export(build(spec), folder / "n.onnx", tuple(shape)).graph


def linear(n_in: int, n_out: int) -> dict[str, object]:
    return {"op": "QLinear", "args": [n_in, n_out], "slots": {"weight": Q, "bias": Q}}


@pytest.mark.parametrize(("scale", "shift", "left"), [(1, 0, 2), (1, None, 2), (1, 1, 3), (0.5, 0, 3)])
def test_a_factor_of_one_is_left_out(scale, shift, left):
    """hls4ml removes it by itself, and its type with it."""
    grid = FixedPoint(4, 3)
    x = Input(name="x", shape=(3,))
    q = Quantize(name="q", inputs=("x",), shape=(3,), format=grid)
    constants = {"scale": np.full(1, float(scale)), "scale_format": grid}
    if shift is not None:
        constants |= {"shift": np.full(1, float(shift)), "shift_format": grid}
    s = ScaleShift(name="s", inputs=("q",), shape=(3,), **constants)
    assert len(drop_identities(HardwareGraph((x, q, s), "x", "s")).nodes) == left


def test_one_bit_is_refused_where_types_have_two(tmp_path):
    step = {"op": "QActivation", "slots": {"output": "ap_ufixed<1,0,TRN_ZERO,SAT>"}}
    graph = graph_of([3], step, tmp_path)
    for backend, tool in (("quartus", "Quartus"), ("catapult", "Catapult"), ("oneapi", "oneAPI")):
        strategy = "latency" if backend == "catapult" else "resource"
        with pytest.raises(BackendError) as caught:
            lower(graph, tmp_path / backend, backend=backend, strategy=strategy)
        reason = f"layers.s0 has one bit, and hls4ml writes {tool} types of 2 or more"
        assert caught.value.message == f"{backend}: {reason}"


def test_settings_that_are_wrong_for_convolutions_of_one_point_are_refused(tmp_path):
    graph = graph_of([4, 2], linear(2, 2), tmp_path)

    def refused(**layer):
        with pytest.raises(BackendError) as caught:
            lower(graph, tmp_path / "p", layers={"layers.s0": layer})
        return caught.value.message

    assert refused(strategy="resource", reuse_factor=4) == (
        "vitis: layers.s0 cannot have reuse factor 4 with resource; it can have 1, 2"
    )
    assert refused(strategy="resource_unrolled", reuse_factor=2) == (
        "vitis: layers.s0 is built as a convolution of one point, "
        "which hls4ml cannot build with resource_unrolled in io_parallel"
    )


def test_one_axis_takes_what_several_cannot(tmp_path):
    graph = graph_of([2], linear(2, 2), tmp_path)
    for strategy, factor in (("resource", 4), ("resource_unrolled", 2)):
        layers = {"layers.s0": {"strategy": strategy, "reuse_factor": factor}}
        assert lower(graph, tmp_path / strategy, layers=layers).path.is_dir()


@pytest.mark.parametrize("text", ["ap_ufixed<1,5,TRN,WRAP>", "ap_fixed<2,4,TRN,SAT_SYM>", "ap_fixed<3,9>"])
def test_one_ulp_beside_zero_is_no_reason_to_refuse(text):
    """The smallest number there is becomes zero once it is divided by a step of two or more."""
    quantizer = QInput(format_of(text)).output_quantizer
    assert plain_rounding(quantizer, quantizer.format)
    step = {"op": "QActivation", "slots": {"output": text}}
    spec = {"shape": [3], "input": Q, "seed": 0, "scale": 1.0, "steps": [step]}
    assert check(spec).agree


def test_a_rounding_that_differs_just_below_zero_is_still_seen():
    class UpToZero(nn.Module):
        def forward(self, x):
            return grid.quantize_tensor(x.where(x.abs() > 1e-200, 0 * x))

    grid = FixedPoint.parse("ap_fixed<4,2,TRN,SAT>")
    assert not plain_rounding(UpToZero(), grid)


def test_a_sign_whose_scale_follows_from_the_data_is_refused(tmp_path):
    model = nn.Sequential(QInput(Q), QActivation(parse("binary(alpha='auto_po2')"))).eval()
    with pytest.raises(ExportError) as caught:
        export(model, tmp_path / "n.onnx", (3,))
    assert "binary(alpha='auto_po2')" in caught.value.message
    assert "QONNX's Quant rounds to fixed point only" in caught.value.message


@pytest.mark.parametrize(
    ("shape", "arguments"),
    [
        ([2, 7], [3, 2, 1, 2, False]),
        ([2, 7], [2, 1, 1, 2, True]),
        ([2, 5, 5], [3, 1, 1, 1, True]),
        ([2, 5, 5], [2, 2, 0, 2, False]),
    ],
)
def test_dilated_and_padded_maxima_are_picked_and_pooled(shape, arguments, tmp_path):
    """They were refused, and need not be."""
    step = {"op": f"max_pool{len(shape) - 1}d", "args": arguments}
    graph = graph_of(shape, step, tmp_path)
    x = np.random.default_rng(0).normal(size=(40, *shape)) * 2
    for io_type in ("io_parallel", "io_stream"):
        prepared = prepare(graph, io_type)
        pools = [node for node in prepared.nodes if isinstance(node, MaxPool)]
        assert all(set(pool.dilations) == {1} for pool in pools)
        assert io_type == "io_parallel" or not any(any(map(any, pool.pads)) for pool in pools)
        assert np.array_equal(emulate(prepared, x).reshape(40, -1), emulate(graph, x).reshape(40, -1))


def test_windows_of_large_tensors_stay_as_they_are():
    shape = (8, 64)
    x = Input(name="x", shape=shape)
    window = {"kernel": (2,), "strides": (1,), "pads": ((0, 0),), "dilations": (2,)}
    pool = MaxPool(name="m", inputs=("x",), shape=(8, 62), **window)
    assert gathered_windows(HardwareGraph((x, pool), "x", "m"), padded=False).names == ("x", "m")


def test_padded_and_dilated_maxima_of_unsigned_numbers_are_picked_in_one_step():
    """Zeros around them stood in front of a transpose, which hls4ml left out."""
    x = Input(name="x", shape=(2, 5))
    q = Quantize(name="q", inputs=("x",), shape=(2, 5), format=FixedPoint(4, 4, signed=False))
    pool = MaxPool(
        name="m", inputs=("q",), shape=(2, 3), kernel=(2,), strides=(2,), pads=((1, 1),), dilations=(2,)
    )
    graph = HardwareGraph((x, q, pool), "x", "m")
    assert padded_windows(graph).names == graph.names
    values = np.random.default_rng(0).normal(size=(40, 2, 5)) * 9
    for io_type in ("io_parallel", "io_stream"):
        prepared = prepare(graph, io_type)
        assert not any("padding" in name for name in prepared.names)
        assert np.array_equal(
            emulate(prepared, values).reshape(40, -1), emulate(graph, values).reshape(40, -1)
        )


def test_elements_that_hold_zero_alone_have_no_bits():
    """``ap_fixed<1,1,RND,SAT_SYM>`` makes -1 of a negative number."""
    x = Input(name="x", shape=(3,))
    grid = FixedPoint(np.array([1, 1, 3]), 1, np.array([True, False, True]), overflow="SAT_SYM")
    graph = HardwareGraph((x, Quantize(name="q", inputs=("x",), shape=(3,), format=grid)), "x", "q")
    prepared = prepare(graph, "io_parallel")
    assert np.asarray(prepared.node("q").format.width).tolist() == [0, 1, 3]
    values = np.random.default_rng(0).normal(size=(40, 3)) * 2
    assert np.array_equal(emulate(prepared, values), emulate(graph, values))
