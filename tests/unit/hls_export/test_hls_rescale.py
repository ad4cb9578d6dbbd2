"""Scales that are no powers of two: rewritten only when asked for, and the price is the one that is said."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest
from hls_onnx import DOMAIN, Foreign, weights

from hls_export import rescale
from hls_export.cli import guarded
from hls_export.emulate import Emulator
from hls_export.handover import interface
from hls_export.qonnx import execute, read
from torchq.errors import ExportError


def weighted(file, shape, scale=0.03, seed=0, bits=6):
    return file.quant(file.constant(weights(seed, shape)), bits, scale)


def image(file, x):
    y = file.op("Conv", x, weighted(file, (3, 2, 3, 3)), pads=[1, 1, 1, 1], name="conv")
    norm = [file.constant(v) for v in ([1.1, -0.7, 0.4], [0.1, 0.3, -0.2], [0.2, -0.1, 0.0], [0.9, 1.3, 2.1])]
    return file.quant(file.op("Relu", file.op("BatchNormalization", y, *norm, name="bn")), 6, 0.07, signed=0)


def spread(file, x):
    weight = weighted(file, (2, 3, 2), np.array([0.03, 0.05, 0.02]).reshape(1, 3, 1))
    return file.op("ConvTranspose", x, weight, strides=[2])


def swish(file, y):
    return file.quant(file.op("Mul", y, file.op("Sigmoid", y)), 7, 0.02)


CASES = {
    "perceptron": (
        (4,),
        lambda f, x: f.op(
            "Gemm",
            f.quant(f.op("Relu", f.op("MatMul", x, weighted(f, (4, 5)))), 6, 0.011, signed=0),
            weighted(f, (5, 3), 0.02, 1),
            f.quant(f.constant(weights(2, (3,))), 9, 0.011 * 0.02),
        ),
    ),
    "scales of channels": (
        (4,),
        lambda f, x: f.op(
            "MatMul",
            f.quant(f.op("MatMul", x, weighted(f, (4, 5), [[0.03, 0.02, 0.05, 0.011, 0.04]])), 6, 0.1),
            weighted(f, (5, 3), [[0.03], [0.03], [0.03], [0.03], [0.03]]),
        ),
    ),
    "scales of rows, turned round": (
        (4,),
        lambda f, x: f.op(
            "MatMul", x, f.op("Transpose", weighted(f, (3, 4), [[0.03], [0.02], [0.05]]), perm=[1, 0])
        ),
    ),
    "convolution and batch norm": ((2, 4, 4), image),
    "pools": (
        (2, 6, 6),
        lambda f, x: f.op(
            "Flatten",
            f.op(
                "GlobalAveragePool",
                f.op(
                    "AveragePool",
                    f.op("MaxPool", image(f, x), kernel_shape=[2, 2]),
                    kernel_shape=[3, 3],
                    pads=[1] * 4,
                    count_include_pad=1,
                ),
            ),
        ),
    ),
    "transposed and depthwise": (
        (2, 4),
        lambda f, x: f.op(
            "Conv",
            f.quant(spread(f, x), 8, np.array([0.01, 0.02, 0.03]).reshape(1, 3, 1)),
            weighted(f, (3, 1, 2)),
            f.quant(f.constant(weights(3, (3,))), 8, 0.01),
            group=3,
        ),
    ),
    "residual": (
        (4,),
        lambda f, x: f.op(
            "Add",
            f.quant(f.op("MatMul", x, weighted(f, (4, 4))), 6, 0.07),
            f.quant(f.op("MatMul", x, weighted(f, (4, 4), 0.05, 1)), 5, 0.13),
        ),
    ),
    "joined": (
        (4,),
        lambda f, x: f.op("Concat", f.quant(x, 5, 0.3), f.op("Mul", x, f.constant(0.7)), x, axis=1),
    ),
    "functions": (
        (4,),
        lambda f, x: f.quant(
            f.op("Tanh", f.quant(f.op("MatMul", x, weighted(f, (4, 3))), 8, 0.011)), 7, 0.009
        ),
    ),
    "swish": (
        (4,),
        lambda f, x: swish(f, f.quant(x, 7, 0.05)),
    ),
    "clip and leaky": (
        (4,),
        lambda f, x: f.op(
            "Clip", f.op("LeakyRelu", f.quant(x, 6, 0.1), alpha=0.125), f.constant(-0.2), f.constant(1.7)
        ),
    ),
    "arithmetic": (
        (2, 3),
        lambda f, x: f.op(
            "Add",
            f.op("Mul", f.op("Div", x, f.constant(3.0)), f.constant([[[-0.3], [0.7]]])),
            f.constant([0.11, -0.2, 0.05]),
        ),
    ),
    "means": ((3, 4), lambda f, x: f.op("ReduceMean", f.quant(x, 5, 0.2), axes=[1], keepdims=0)),
    "signs": ((4,), lambda f, x: f.op("BipolarQuant", x, f.constant(0.3), domain=DOMAIN)),
    "trunc": (
        (4,),
        lambda f, x: f.op(
            "Trunc", f.quant(x, 6, 0.1), *[f.constant(n) for n in (0.1, 0.0, 6.0, 0.4, 4.0)], domain=DOMAIN
        ),
    ),
    "product of two": (
        (2, 3),
        lambda f, x: f.op(
            "MatMul", f.quant(x, 5, 0.1), f.op("Transpose", f.quant(x, 5, 0.3), perm=[0, 2, 1])
        ),
    ),
    "reshapes of the raw input": (
        (2, 3),
        lambda f, x: f.op("Relu", f.quant(f.op("Flatten", "x"), 6, 0.11)),
    ),
}


def written(path, shape, body, scale=0.1):
    file = Foreign(("n", *shape))
    return file.save(path, body(file, file.quant("x", 6, scale, name="in")), out_shape=None)


@pytest.mark.parametrize("scale", [0.1, 2.0**-3])
@pytest.mark.parametrize("name", CASES)
def test_what_comes_out_is_exact_and_near(name, scale, tmp_path):
    path = written(tmp_path / "m.onnx", *CASES[name], scale)
    made = rescale(path, tmp_path / "new.onnx")
    graph = read(made.path)
    x = np.random.default_rng(0).normal(size=(300, *graph.input_shape))
    new, old = execute(made.path, x), execute(path, x)
    assert (new.reshape(len(x), -1) == Emulator(graph)(x).reshape(len(x), -1)).all()
    assert np.unique(old).size > 1
    error = np.abs(new * made.output_scale - old)
    assert error.mean() < 0.01 * np.abs(old).max(), made  # ties go to the other side now and then
    assert 0 <= made.mean_error <= made.max_error
    assert made.max_error <= 0.2 * made.largest


def test_what_needs_no_rounding_is_not_rounded(tmp_path):
    path = written(
        tmp_path / "m.onnx",
        *CASES["scales of rows, turned round"][:1],
        lambda f, x: f.op("MatMul", x, weighted(f, (4, 3))),
        0.5,
    )
    made = rescale(path, tmp_path / "new.onnx")
    assert made.rounded == ()
    assert made.max_error <= 1e-6 * made.largest
    assert made.output_scale == pytest.approx(np.float32(0.03) * 2.0**6, rel=1e-6)
    assert made.other_decisions == 0


def test_a_file_of_powers_of_two_stays_what_it_is(tmp_path):
    def body(f, x):
        y = f.op("MatMul", x, weighted(f, (4, 3), 2.0**-5))
        return f.quant(f.op("Add", y, f.quant(f.constant(weights(1, (3,))), 8, 2.0**-6)), 6, 2.0**-3)

    path = written(tmp_path / "m.onnx", (4,), body, 2.0**-3)
    made = rescale(path, tmp_path / "new.onnx")
    assert (made.rounded, made.output_scale, made.max_error) == ((), 1.0, 0.0)
    assert str(made).startswith("rescaled: 0 numbers were rounded to 16 bits; over 1,000 vectors")
    assert [n.kind for n in read(made.path).nodes] == [n.kind for n in read(path).nodes]


def test_more_bits_cost_less(tmp_path):
    path = written(tmp_path / "m.onnx", *CASES["perceptron"])
    coarse, fine = (rescale(path, tmp_path / f"{bits}.onnx", bits=bits) for bits in (5, 18))
    assert fine.mean_error < coarse.mean_error / 10
    assert max(place.error for place in fine.rounded) < 2.0**-17
    assert {place.what for place in fine.rounded} == {"multiplier"}


def test_the_file_says_what_was_done(tmp_path):
    path = written(tmp_path / "m.onnx", *CASES["perceptron"])
    made = rescale(path, tmp_path / "new.onnx")
    again = rescale(path, tmp_path / "again.onnx")
    graph = read(made.path)
    assert interface(graph)["rescaled"]["max_error"] == made.max_error
    assert json.loads(graph.metadata["torchq.rescaled"])["bits"] == 16
    onnx.checker.check_model(onnx.load(made.path))
    assert again.max_error == made.max_error
    assert graph.digest() == read(again.path).digest()


def test_real_samples_are_compared_as_well(tmp_path):
    path = written(tmp_path / "m.onnx", *CASES["perceptron"])
    assert rescale(path, tmp_path / "new.onnx", vectors=np.zeros((7, 4))).vectors == 1007


REFUSED = {
    "scales along a sum": (
        lambda f, x: f.op("MatMul", x, weighted(f, (4, 3), [[0.03], [0.02], [0.05], [0.01]]), name="fc"),
        "fc (MatMul) has a weight whose scales differ along its inputs, and sums need one unit; "
        "use one scale for the tensor, or one an output",
    ),
    "zero-points": (
        lambda f, x: f.quant(x, 6, 0.1, 3.0, name="q"),
        "q (Quant) has a zero-point, and fixed-point numbers have none; quantize symmetrically",
    ),
    "negative scales": (
        lambda f, x: f.quant(x, 6, -0.1, name="q"),
        "q (Quant) has scale -0.1, and scales are above zero",
    ),
    "float weights": (
        lambda f, x: f.op("MatMul", x, f.constant(weights(0, (4, 3))), name="fc"),
        "the weight of fc (MatMul) has values that no Quant made, and they need 29 bits; "
        "quantize it before the export",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name, tmp_path):
    body, message = REFUSED[name]
    path = written(tmp_path / "m.onnx", (4,), body)
    with pytest.raises(ExportError) as fault:
        rescale(path, tmp_path / "new.onnx")
    assert str(fault.value) == message
    assert not (tmp_path / "new.onnx").exists()


@pytest.mark.parametrize("bits", [3, 21])
def test_bits_that_no_multiplier_has(bits, tmp_path):
    path = written(tmp_path / "m.onnx", *CASES["perceptron"])
    with pytest.raises(ExportError) as fault:
        rescale(path, tmp_path / "new.onnx", bits=bits)
    assert str(fault.value) == f"a multiplier has {bits} bits; take 4 to 20"


def test_the_command(tmp_path, capsys):
    path = written(tmp_path / "m.onnx", *CASES["perceptron"])
    np.save(tmp_path / "x.npy", np.zeros((5, 4)))
    arguments = [str(path), "--out", str(tmp_path / "new.onnx"), "--vectors", str(tmp_path / "x.npy")]
    assert guarded(["rescale", *arguments]) == 0
    told = capsys.readouterr().out
    assert "in (Quant): multiplier, relative error " in told
    assert "over 1,005 vectors the outputs differ by at most " in told
    assert "the outputs are in units of " in told
    assert read(tmp_path / "new.onnx").input_shape == (4,)


def test_the_refusal_names_the_way_out(tmp_path):
    path = written(tmp_path / "m.onnx", *CASES["perceptron"])
    with pytest.raises(ExportError, match=r"has scale 0.03, which is no power of two; .* hls-export rescale"):
        read(path)
