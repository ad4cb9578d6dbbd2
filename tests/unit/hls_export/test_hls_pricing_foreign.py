"""Files of other tools: counted by hand, or equal to the layers of torchq that say the same."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from hls_onnx import Foreign
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from torch import nn

import hls_export
from hls_export.qonnx.pricing.constants import narrow_grid
from hls_export.qonnx.pricing.grids import Integers
from torchq.cost import estimate
from torchq.errors import ExportError
from torchq.formats import FixedPoint
from torchq.nn import (
    QAdd,
    QAvgPool2d,
    QConv2d,
    QGlobalAvgPool2d,
    QInput,
    QLinear,
    QReLU,
    QScaleShift,
)

RANDOM = np.random.default_rng(1)


def grid(shape: tuple[int, ...], bits: int, exponent: int) -> np.ndarray:
    codes = RANDOM.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), shape)
    return codes.astype(np.float32) * np.float32(2.0**exponent)


def fixed(bits: int, integer: int, signed: bool = True) -> str:
    return f"fixed({bits},{integer},signed={signed})"


# ---------------------------------------------------------------------- a CNN


class Residual(nn.Module):
    """What the file below computes, in our layers."""

    def __init__(self, numbers: dict[str, np.ndarray]) -> None:
        super().__init__()
        act = fixed(6, 2, signed=False)
        weights = {"weight_quantizer": fixed(4, 0), "bias_quantizer": fixed(8, 2)}
        self.input = QInput(fixed(8, 3))
        self.conv = QConv2d(
            2, 4, 3, padding=1, weight_quantizer=fixed(4, 0), bias=False, output_quantizer=fixed(16, 7)
        )
        self.norm = QScaleShift(4, weight_quantizer=fixed(4, 2, False), bias_quantizer=fixed(4, 2))
        self.relu1 = QReLU(act)
        self.pool = nn.MaxPool2d(2)
        self.conv2 = QConv2d(4, 4, 1, groups=2, output_quantizer=fixed(9, 4), **weights)
        self.add = QAdd(fixed(7, 4))
        self.average = QAvgPool2d(2, output_quantizer=fixed(7, 4))
        self.whole = QGlobalAvgPool2d(output_quantizer=fixed(7, 4))
        self.fc = QLinear(4, 3, **weights)
        with torch.no_grad():
            for name, values in numbers.items():
                self.get_parameter(name).copy_(torch.from_numpy(values))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.relu1(self.norm(self.conv(self.input(x))))
        x = self.pool(x)
        x = self.add(x, self.conv2(x))
        return self.fc(self.whole(self.average(x)))


def numbers() -> dict[str, np.ndarray]:
    return {
        "conv.weight": grid((4, 2, 3, 3), 4, -4),
        "norm.weight": np.array([0.5, 0.25, 2.0, 1.0], np.float32),
        "norm.bias": np.array([-0.5, 0.25, 1.0, 0.0], np.float32),
        "conv2.weight": grid((4, 2, 1, 1), 4, -4),
        "conv2.bias": grid((4,), 8, -6),
        "fc.weight": grid((3, 4), 4, -4),
        "fc.bias": grid((3,), 8, -6),
    }


def cnn(path, values: dict[str, np.ndarray], *, batch: int | str = "n"):
    file = Foreign((batch, 2, 8, 8))

    def quant(source: str, bits: int, integer: int, signed: int = 1) -> str:
        return file.quant(source, bits, 2.0 ** (integer - bits), signed=signed, name="")

    def weight(name: str) -> str:
        return quant(file.constant(values[name]), 4, 0)

    def bias(name: str) -> str:
        return quant(file.constant(values[name]), 8, 2)

    x = quant("x", 8, 3)
    x = file.op("Conv", x, weight("conv.weight"), name="conv", kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    x = quant(x, 16, 7)
    # scale / sqrt(variance + epsilon) with variance 3.5 and epsilon 0.5: half of the scale
    scale, shift = 2 * values["norm.weight"], values["norm.bias"]
    mean, variance = np.zeros(4), np.full(4, 3.5)
    statistics = [file.constant(v) for v in (scale, shift, mean, variance)]
    x = file.op("BatchNormalization", x, *statistics, name="norm", epsilon=0.5)
    x = quant(file.op("Relu", x, name="relu1"), 6, 2, signed=0)
    x = file.op("MaxPool", x, name="pool", kernel_shape=[2, 2], strides=[2, 2])
    y = file.op("Conv", x, weight("conv2.weight"), bias("conv2.bias"), name="conv2", group=2)
    y = quant(y, 9, 4)
    x = quant(file.op("Add", x, y, name="add"), 7, 4)
    x = quant(file.op("AveragePool", x, name="average", kernel_shape=[2, 2], strides=[2, 2]), 7, 4)
    x = quant(file.op("GlobalAveragePool", x, name="whole"), 7, 4)
    x = file.op("Flatten", x)
    x = file.op("Gemm", x, weight("fc.weight"), bias("fc.bias"), name="fc", transB=1)
    return file.save(path, x, out_shape=(batch, 3))


@pytest.mark.parametrize("batch", ["n", 1, 4])
def test_a_cnn_with_batch_norm_pools_and_a_residual_sum(batch, tmp_path) -> None:
    values = numbers()
    found = estimate(
        hls_export.workloads_of_onnx(cnn(tmp_path / "cnn.onnx", values, batch=batch)), targets=TARGETS
    )
    expected = estimate(Residual(values).eval(), (2, 8, 8), targets=TARGETS)
    assert found.total == expected.total
    names = {row.layer: row for row in expected.layers}
    for row in found.layers:
        if row.layer in names:
            assert {**row.to_dict(), "costs": row.costs} == {**names[row.layer].to_dict(), "costs": row.costs}
    assert found.layer("conv").macs == 4 * 8 * 8 * 2 * 9
    assert found.layer("conv2").macs == 4 * 4 * 4 * 2


TARGETS = ("bits", "energy_pj", "ebops", "macs", "sparsity")


def test_a_model_in_memory_is_read_like_its_file(tmp_path) -> None:
    path = cnn(tmp_path / "cnn.onnx", numbers())
    assert hls_export.workloads_of_onnx(onnx.load(path)) == hls_export.workloads_of_onnx(path)


def test_same_padding_is_worked_out_from_the_shapes(tmp_path) -> None:
    file = Foreign(("n", 1, 5, 6))
    x = file.quant("x")
    w = file.quant(file.constant(grid((2, 1, 3, 2), 4, -3)), 4, 2.0**-3)
    x = file.op("Conv", x, w, name="conv", auto_pad="SAME_UPPER", strides=[2, 1])
    _, work = hls_export.workloads_of_onnx(file.save(tmp_path / "same.onnx", x, out_shape=("n", 2, 3, 6)))
    assert work.output.shape == (2, 3, 6)
    assert work.geometry.padding == ((1, 1), (0, 1))


def test_a_pad_in_front_belongs_to_the_convolution(tmp_path) -> None:
    file = Foreign(("n", 1, 4))
    x = file.quant("x")
    x = file.op("Pad", x, file.constant([0, 0, 1, 0, 0, 2], np.int64), name="pad", mode="reflect")
    w = file.quant(file.constant(grid((2, 1, 3), 4, -3)), 4, 2.0**-3)
    x = file.op("Conv", x, w, name="conv")
    _, work = hls_export.workloads_of_onnx(file.save(tmp_path / "pad.onnx", x, out_shape=("n", 2, 5)))
    assert (work.geometry.padding, work.geometry.mode) == (((1, 2),), "reflect")
    assert work.inputs[0].shape == (1, 4)


# ---------------------------------------------------------------------- formats


def test_scales_per_channel_become_formats_per_channel(tmp_path) -> None:
    file = Foreign(("n", 2))
    scale = np.array([[0.5], [0.25], [0.125]], np.float32)
    w = file.quant(file.constant(grid((3, 2), 3, -1) * scale * 2), 3, scale)
    x = file.op("Gemm", file.quant("x"), w, name="fc", transB=1)
    _, work = hls_export.workloads_of_onnx(file.save(tmp_path / "channels.onnx", x))
    assert work.weight.format == FixedPoint(3, np.array([[2], [1], [0]]))


def test_bits_per_channel_are_counted_one_by_one(tmp_path) -> None:
    file = Foreign(("n", 2))
    w = file.quant(file.constant(np.ones((3, 2))), np.array([[2], [3], [4]], np.float32), 1.0)
    x = file.op("Gemm", file.quant("x"), w, name="fc", transB=1)
    work = hls_export.workloads_of_onnx(file.save(tmp_path / "bits.onnx", x))
    assert estimate(work).total["bits"] == 2 * (2 + 3 + 4)


def test_a_scale_that_is_no_power_of_two_counts_by_its_integers(tmp_path) -> None:
    file = Foreign(("n", 4))
    x = file.quant("x", 8, 0.3, name="q")
    w = file.quant(file.constant(np.full((4, 3), 0.7)), 5, 0.1, name="w")
    x = file.op("MatMul", x, w, name="fc")
    found = hls_export.read_work(file.save(tmp_path / "odd.onnx", x))
    assert set(found.notes) == {
        "w (Quant): the scale 0.1 is no power of two and counts as 0.125",
        "q (Quant): the scale 0.3 is no power of two and counts as 0.25",
    }
    work = found.workloads[1]
    assert str(work.inputs[0].format) == "ap_fixed<8,6,RND_CONV,SAT>"
    assert work.weight.bits == 5 * 12


def test_a_zero_point_is_told(tmp_path) -> None:
    file = Foreign(("n", 4))
    x = file.quant("x", 8, 0.25, 128.0, name="q", signed=0)
    found = hls_export.read_work(file.save(tmp_path / "zero.onnx", x, out_shape=("n", 4)))
    assert found.notes == ("q (Quant): the zero point 128 is not counted, the width of the integers is",)
    assert str(found.workloads[0].output.format) == "ap_ufixed<8,6,RND_CONV,SAT>"


def test_bipolar_weights_and_activations(tmp_path) -> None:
    file = Foreign(("n", 4))
    x = file.op("BipolarQuant", "x", file.constant(1.0), name="q", domain="qonnx.custom_op.general")
    w = file.quant(file.constant(grid((4, 3), 4, -3)), 1, 0.5, name="w")
    x = file.op("MatMul", x, w, name="fc")
    first, work = hls_export.workloads_of_onnx(file.save(tmp_path / "bipolar.onnx", x))
    assert (str(first.output.format), str(work.weight.format)) == ("binary<-1,1>", "binary<-0.5,0.5>")
    assert estimate([work], targets=["macs"]).total["macs_xor"] == 12
    assert set(np.unique(work.weight.values)) <= {-0.5, 0.5}


def test_trunc_keeps_the_scale_and_drops_bits(tmp_path) -> None:
    file = Foreign(("n", 1, 2, 2))
    x = file.quant("x", 6, 0.25, signed=0)
    x = file.op("AveragePool", x, kernel_shape=[2, 2], name="pool")
    x = file.op(
        "Trunc", x, *map(file.constant, (0.25, 0.0, 8.0, 6.0)), name="cut", domain="qonnx.custom_op.general"
    )
    work = hls_export.workloads_of_onnx(file.save(tmp_path / "trunc.onnx", x, out_shape=("n", 1, 1, 1)))
    assert str(work[-1].output.format) == "ap_ufixed<6,4,TRN,SAT>"


def test_constants_without_quantizer_count_by_the_grid_that_holds_them(tmp_path) -> None:
    file = Foreign(("n", 4))
    w, b = file.constant(grid((4, 3), 4, -2)), file.constant([0.5, -0.25, 1.75])
    x = file.op("Add", file.op("MatMul", file.quant("x"), w, name="fc"), b, name="plus")
    _, work = hls_export.workloads_of_onnx(file.save(tmp_path / "plain.onnx", x))
    assert str(work.bias.format) == "ap_fixed<4,2,RND_CONV,SAT>"
    assert work.weight.format.width <= 4


@settings(deadline=None)
@given(
    st.lists(st.integers(-(2**11), 2**11 - 1), min_size=1, max_size=6),
    st.integers(-8, 8),
)
def test_the_narrow_grid_holds_its_values_and_none_is_narrower(codes, exponent) -> None:
    values = np.array(codes, np.float64) * 2.0**exponent
    found = narrow_grid(values)
    assert found is not None
    assert found.holds(values).all()
    if found.width > 1:
        narrower = [
            FixedPoint(found.width - 1, integer, found.signed)
            for integer in (found.integer, found.integer - 1)
            if found.width - 1 >= 1 + int(found.signed)
        ]
        assert not any(f.holds(values).all() for f in narrower)


@given(st.integers(-(2**15), 0), st.integers(0, 2**16 - 1))
def test_codes_have_the_bits_that_hold_them(low, high) -> None:
    codes = Integers(low, high)
    grid_ = FixedPoint(codes.bits, codes.bits, codes.signed)
    assert grid_.lo <= low
    assert high <= grid_.hi
    fewer = codes.bits - 1
    if fewer > int(codes.signed):
        less = FixedPoint(fewer, fewer, codes.signed)
        assert low < less.lo or high > less.hi


# ---------------------------------------------------------------------- QCDQ


def qcdq(path, *, clip: bool = True, per_channel: bool = False):
    """As Brevitas writes it: 4-bit weights as int8 codes between clips, activations 6 of 8 bits."""
    file = Foreign(("n", 4))

    def constant(values, dtype) -> str:
        return file.constant(values, dtype)

    zero8, zeru = constant(0, np.int8), constant(0, np.uint8)
    s = constant(0.25, np.float32)
    x = file.op("DequantizeLinear", file.op("QuantizeLinear", "x", s, zero8, name="q"), s, zero8)
    codes = constant(RANDOM.integers(-7, 8, (3, 4)), np.int8)
    if clip:
        codes = file.op("Clip", codes, constant(-7, np.int8), constant(7, np.int8))
    if per_channel:
        scales, zeros = constant([0.5, 0.25, 0.125], np.float32), constant([0, 0, 0], np.int8)
        w = file.op("DequantizeLinear", codes, scales, zeros, axis=0)
    else:
        w = file.op("DequantizeLinear", codes, constant(0.125, np.float32), zero8)
    b = file.op("DequantizeLinear", constant([1, -2, 3], np.int32), constant(0.0625, np.float32))
    x = file.op("Relu", file.op("Gemm", x, w, b, name="fc", transB=1), name="relu")
    y = file.op("QuantizeLinear", x, s, zeru, name="encode")
    y = file.op("Clip", y, constant(0, np.uint8), constant(63, np.uint8))
    return file.save(path, file.op("DequantizeLinear", y, s, zeru))


def test_qcdq_reads_widths_from_types_and_clips(tmp_path) -> None:
    first, fc, relu = hls_export.workloads_of_onnx(qcdq(tmp_path / "qcdq.onnx"))
    assert str(first.output.format) == "ap_fixed<8,6,RND_CONV,SAT>"
    assert str(fc.weight.format) == "ap_fixed<4,1,RND_CONV,SAT_SYM>"
    assert str(fc.bias.format) == "ap_fixed<32,28,RND_CONV,SAT>"
    assert str(relu.output.format) == "ap_ufixed<6,4,RND_CONV,SAT>"
    assert relu.kind == "relu"
    assert np.array_equal(fc.bias.values, [0.0625, -0.125, 0.1875])


def test_qcdq_without_clip_has_the_width_of_its_type(tmp_path) -> None:
    _, fc, _ = hls_export.workloads_of_onnx(qcdq(tmp_path / "qcdq.onnx", clip=False))
    assert fc.weight.format.width == 8


def test_qcdq_with_scales_per_channel(tmp_path) -> None:
    _, fc, _ = hls_export.workloads_of_onnx(qcdq(tmp_path / "qcdq.onnx", per_channel=True))
    assert fc.weight.format.integer.ravel().tolist() == [3, 2, 1]


def test_a_clip_of_one_end_only(tmp_path) -> None:
    file = Foreign(("n", 4))
    s, zero = file.constant(0.25), file.constant(0, np.int8)
    x = file.op("QuantizeLinear", "x", s, zero, name="q")
    x = file.op("DequantizeLinear", file.op("Clip", x, file.constant(0, np.int8)), s, zero)
    (work,) = hls_export.workloads_of_onnx(file.save(tmp_path / "clip.onnx", x, out_shape=("n", 4)))
    assert str(work.output.format) == "ap_ufixed<7,5,RND_CONV,SAT>"


def test_an_input_of_codes(tmp_path) -> None:
    scale = numpy_helper.from_array(np.float32(0.25), "s")
    graph = helper.make_graph(
        [helper.make_node("DequantizeLinear", ["x", "s"], ["y"], name="decode")],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, ("n", 5))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ("n", 5))],
        initializer=[scale],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    (work,) = hls_export.workloads_of_onnx(model)
    assert (work.kind, str(work.output.format)) == ("quantize", "ap_ufixed<8,6,RND_CONV,SAT>")


# ---------------------------------------------------------------------- other layers


def test_products_of_two_activations(tmp_path) -> None:
    file = Foreign(("n", 3, 4))
    x = file.quant("x", 6, 0.25, name="q")
    t = file.op("Transpose", x, perm=[0, 2, 1])
    s = file.op("Softmax", file.quant(file.op("MatMul", x, t, name="scores")), axis=-1, name="softmax")
    s = file.quant(s, 7, 2.0**-7, signed=0)
    y = file.op("MatMul", s, x, name="context")
    works = {
        w.layer: w
        for w in hls_export.workloads_of_onnx(file.save(tmp_path / "a.onnx", y, out_shape=("n", 3, 4)))
    }
    assert [works["scores"].macs, works["scores"].fan_in] == [3 * 3 * 4, 4]
    assert [works["context"].macs, works["context"].fan_in] == [3 * 4 * 3, 3]
    assert works["context"].inputs[0].format == FixedPoint(7, 0, False)
    assert works["softmax"].output.format == FixedPoint(7, 0, False)


def test_a_table_has_an_entry_for_each_input_code(tmp_path) -> None:
    file = Foreign(("n", 3))
    x = file.op("Tanh", file.quant("x", 6, 0.25), name="tanh")
    path = file.save(tmp_path / "tanh.onnx", file.quant(x, 8, 2.0**-7))
    _, work = hls_export.workloads_of_onnx(path)
    (table,) = work.tables
    assert (work.kind, table.entries, table.width, table.reads) == ("table", 64, 8, 3)


def test_a_scale_by_a_power_of_two_is_a_wire(tmp_path) -> None:
    file = Foreign(("n", 3))
    x = file.op("Mul", file.quant("x", 6, 0.25, name="q"), file.constant(0.5), name="half")
    w = file.quant(file.constant(grid((3, 3), 4, -3)), 4, 2.0**-3)
    x = file.op("MatMul", x, w, name="fc")
    first, fc = hls_export.workloads_of_onnx(file.save(tmp_path / "half.onnx", x))
    assert fc.inputs[0].name == first.layer
    assert str(fc.inputs[0].format) == "ap_fixed<6,3,RND_CONV,SAT>"


@pytest.mark.parametrize(("kind", "gates"), [("LSTM", 4), ("GRU", 3), ("RNN", 1)])
def test_recurrent_cells(kind, gates, tmp_path) -> None:
    hidden, inputs, steps = 2, 3, 5
    file = Foreign(("n", steps, inputs))
    x = file.op("Transpose", file.quant("x", 8, 0.25), perm=[1, 0, 2])
    w = file.quant(file.constant(grid((1, gates * hidden, inputs), 4, -3)), 4, 2.0**-3)
    r = file.quant(file.constant(grid((1, gates * hidden, hidden), 4, -3)), 4, 2.0**-3)
    b = file.quant(file.constant(grid((1, 2 * gates * hidden), 6, -4)), 6, 2.0**-4)
    y = file.op(kind, x, w, r, b, name="cell", hidden_size=hidden)
    y = file.quant(file.op("Squeeze", y, file.constant([1], np.int64)), 7, 2.0**-6, name="state")
    path = file.save(tmp_path / "cell.onnx", y, out_shape=(steps, "n", hidden))
    found = hls_export.read_work(path)
    works = {work.layer.removeprefix("cell."): work for work in found.workloads}
    assert works["ih_l0"].macs == steps * gates * hidden * inputs
    assert works["hh_l0"].macs == steps * gates * hidden * hidden
    assert str(works["hh_l0"].inputs[0].format) == "ap_fixed<7,1,RND_CONV,SAT>"
    parameters = gates * hidden * (inputs + hidden) * 4 + 2 * gates * hidden * 6
    assert estimate(found.workloads, targets=["bits"]).total["bits"] == parameters
    assert any("the state counts as ap_fixed<7,1" in note for note in found.notes)


def test_gates_come_in_the_order_of_torch(tmp_path) -> None:
    file = Foreign(("n", 1, 1))
    x = file.op("Transpose", file.quant("x", 8, 0.25), perm=[1, 0, 2])
    w = file.quant(file.constant(np.array([1, 2, 3, 4], np.float32).reshape(1, 4, 1)), 4, 1.0)
    r = file.quant(file.constant(np.zeros((1, 4, 1))), 4, 1.0)
    y = file.quant(file.op("LSTM", x, w, r, name="cell", hidden_size=1), 7, 2.0**-6)
    works = hls_export.workloads_of_onnx(file.save(tmp_path / "order.onnx", y, out_shape=(1, 1, "n", 1)))
    # ONNX: input, output, forget, cell; torch: input, forget, cell, output
    assert works[1].weight.values.ravel().tolist() == [1, 3, 4, 2]


def test_an_embedding(tmp_path) -> None:
    rows = helper.make_node("Gather", ["table", "x"], ["y"], name="rows", axis=0)
    graph = helper.make_graph(
        [rows],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.INT64, ("n", 5))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ("n", 5, 2))],
        initializer=[numpy_helper.from_array(grid((10, 2), 4, -2), "table")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    (work,) = hls_export.workloads_of_onnx(model)
    assert (work.kind, work.output.shape, work.weight.shape) == ("embedding", (5, 2), (10, 2))


def test_layer_normalisation(tmp_path) -> None:
    file = Foreign(("n", 3, 4))
    scale, shift = file.constant(grid((4,), 4, -2)), file.constant(grid((4,), 4, -2))
    x = file.op("LayerNormalization", file.quant("x"), scale, shift, name="norm")
    path = file.save(tmp_path / "norm.onnx", file.quant(x, 8, 2.0**-5), out_shape=("n", 3, 4))
    model = onnx.load(path)
    model.opset_import[0].version = 17
    _, work = hls_export.workloads_of_onnx(model)
    assert (work.kind, work.weight.count, work.output.format.width) == ("layer_norm", 4, 8)


def test_samples_that_a_script_laid_along_the_batch_are_counted_once(tmp_path) -> None:
    file = Foreign(("n", 5, 4))
    x = file.op("Reshape", file.quant("x"), file.constant([-1, 4], np.int64))
    w = file.quant(file.constant(grid((4, 3), 4, -3)), 4, 2.0**-3)
    x = file.op("Reshape", file.op("MatMul", x, w, name="fc"), file.constant([-1, 5, 3], np.int64))
    _, work = hls_export.workloads_of_onnx(file.save(tmp_path / "s.onnx", x, out_shape=("n", 5, 3)))
    assert work.macs == 5 * 4 * 3


@pytest.mark.parametrize("quantized", [True, False])
def test_weights_that_are_read_step_by_step_are_there_once(quantized, tmp_path) -> None:
    file = Foreign(("n", 4))
    w = file.quant(file.constant(grid((4, 4), 4, -3)), 4, 2.0**-3)
    x = file.quant("x", 6, 0.25, name="q")
    for step in range(3):
        x = file.op("MatMul", x, w, name=f"step{step}")
        x = file.quant(x, 6, 0.25, name=f"q{step}") if quantized or step < 2 else x
    works = hls_export.workloads_of_onnx(file.save(tmp_path / "steps.onnx", x, out_shape=("n", 4)))
    assert estimate(works, targets=["bits"]).total["bits"] == 4 * 16 * (1 if quantized else 2)
    assert estimate(works, targets=["macs"]).total["macs"] == 3 * 16


def test_what_nothing_reads_costs_nothing(tmp_path) -> None:
    file = Foreign(("n", 4))
    x = file.quant("x")
    w = file.quant(file.constant(grid((4, 3), 4, -3)), 4, 2.0**-3)
    file.op("MatMul", x, w, name="dead")
    works = hls_export.workloads_of_onnx(
        file.save(tmp_path / "dead.onnx", file.op("MatMul", x, w, name="fc"))
    )
    assert [work.layer for work in works][1:] == ["fc"]


# ---------------------------------------------------------------------- floats


def floating(path):
    file = Foreign(("n", 4))
    x = file.op("MatMul", "x", file.constant(RANDOM.normal(size=(4, 3))), name="fc")
    return file.save(path, x)


@pytest.mark.parametrize("bits", [16, 32])
def test_floats_are_counted_where_that_is_asked_for(bits, tmp_path) -> None:
    work = hls_export.workloads_of_onnx(floating(tmp_path / "f.onnx"), float_as=bits)
    assert estimate(work, targets=["bits"]).total["bits"] == bits * 12


def test_floats_are_refused_with_every_place(tmp_path) -> None:
    with pytest.raises(ExportError) as fault:
        hls_export.workloads_of_onnx(floating(tmp_path / "f.onnx"))
    assert fault.value.message == (
        f"{tmp_path / 'f.onnx'}: the weight of fc has no quantizer; "
        "fc reads a tensor that no quantizer made (x)"
    )
    assert "float_as=32" in str(fault.value)
