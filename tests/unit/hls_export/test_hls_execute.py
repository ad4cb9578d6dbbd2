"""Our execution of ONNX files, against the qonnx package and against the formats."""

from __future__ import annotations

import numpy as np
import onnx.helper
import pytest
from hls_networks import onnx_of, random_graph
from hls_onnx import Foreign, weights

from hls_export.qonnx import execute, operators
from hls_export.vectors import adversarial
from torchq.errors import ExportError
from torchq.formats import FixedPoint, Overflow, Rounding

QONNX_NAMES = {
    Rounding.RND_CONV: "ROUND",
    Rounding.TRN: "FLOOR",
    Rounding.TRN_ZERO: "DOWN",
    Rounding.RND_INF: "HALF_UP",
    Rounding.RND_ZERO: "HALF_DOWN",
}


@pytest.fixture
def _qonnx_ir(monkeypatch):
    """qonnx builds single-node models with onnx's newest IR, which onnxruntime may not know yet."""
    make = onnx.helper.make_model

    def older(*arguments, **options):
        model = make(*arguments, **options)
        model.ir_version = min(model.ir_version, 10)
        return model

    monkeypatch.setattr(onnx.helper, "make_model", older)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("_qonnx_ir")
@pytest.mark.parametrize("seed", range(6))
def test_the_qonnx_package_computes_the_same(tmp_path, seed):
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx
    from qonnx.transformation.change_batchsize import ChangeBatchSize
    from qonnx.transformation.infer_shapes import InferShapes

    graph = random_graph(seed, widest=5, layers=2)
    path = onnx_of(graph, tmp_path / "m.onnx")
    x = adversarial(graph, 40, seed).astype(np.float32)
    model = ModelWrapper(str(path)).transform(ChangeBatchSize(len(x))).transform(InferShapes())
    assert execute_onnx(model, {"x": x})[graph.output].tolist() == execute(path, x).tolist()


@pytest.mark.parametrize("mode", list(QONNX_NAMES))
@pytest.mark.parametrize("overflow", [Overflow.SAT, Overflow.SAT_SYM])
@pytest.mark.parametrize("signed", [True, False])
def test_two_readings_of_rounding_agree(mode, overflow, signed):
    grid = FixedPoint(5, 2, signed, mode, overflow)
    narrow = overflow is Overflow.SAT_SYM and signed
    x = np.arange(-400, 400) / 64
    x = np.concatenate([x, np.nextafter(x[x != -0.0625], np.inf), [1e300, -1e300]])
    scale, zero, bits = np.float64(grid.lsb), np.float64(0), np.float64(5)
    got = operators.quant(x, scale, zero, bits, signed, narrow, QONNX_NAMES[mode])
    assert got.tolist() == grid.quantize(x).tolist()


def test_float64_from_end_to_end(tmp_path):
    """A sum of 30 bits: float32 loses its last ones."""
    file = Foreign(("n", 2))
    x = file.quant("x", 24, 2.0**-10)
    w = file.quant(file.constant([[4096.0], [1.0]]), 16, 1.0)
    path = file.save(tmp_path / "m.onnx", file.op("MatMul", x, w), out_shape=("n", 1))
    assert execute(path, [[8000.0, 2.0**-10]]).tolist() == [[8000.0 * 4096 + 2.0**-10]]


@pytest.mark.parametrize("constant_nodes", [False, True])
def test_constants_of_nodes_are_widened_too(tmp_path, constant_nodes):
    file = Foreign(constant_nodes=constant_nodes)
    w = file.quant(file.constant(weights()), 6, 2.0**-4)
    path = file.save(tmp_path / "m.onnx", file.op("MatMul", file.quant("x"), w))
    assert all(values.dtype == np.float64 for values in execute(path, np.ones((2, 4)), trace=True).values())


def test_a_trace_has_every_tensor(tmp_path):
    graph = random_graph(4)
    path = onnx_of(graph, tmp_path / "m.onnx")
    trace = execute(path, adversarial(graph, 7), trace=True)
    assert {node.tensor for node in graph.nodes} <= set(trace)
    assert all(len(values) == 7 for values in trace.values())


def test_the_attributes_that_a_node_leaves_out(tmp_path):
    file = Foreign()
    inputs = [file.constant(v) for v in (0.5, 0.0, 3.0)]
    y = file.op("Quant", "x", *inputs, domain="qonnx.custom_op.general")
    path = file.save(tmp_path / "m.onnx", y, out_shape=("n", 4))
    assert execute(path, [[0.25, 0.75, 9.0, -9.0]]).tolist() == [[0.0, 1.0, 1.5, -2.0]]


def test_batch_norm_of_inference_in_an_old_opset(tmp_path):
    file = Foreign()
    norm = [file.constant(v) for v in ([2.0] * 4, [1.0] * 4, [3.0] * 4, [4.0 - 1e-5] * 4)]
    path = file.save(tmp_path / "m.onnx", file.op("BatchNormalization", "x", *norm), out_shape=("n", 4))
    assert execute(path, [[5.0, 3.0, 3.0, 3.0]]) == pytest.approx(np.array([[3.0, 1.0, 1.0, 1.0]]), abs=1e-6)


@pytest.mark.parametrize("batch", [1, 4])
def test_a_file_of_fixed_batch_size_computes_any_number_of_samples(tmp_path, batch):
    """Its reshape knows of that many samples alone."""

    def saved(first, rows):
        file = Foreign((first, 4))
        y = file.quant("x", name="in")
        y = file.op("Reshape", y, file.constant([rows, 2, 2], np.int64))
        y = file.op("Reshape", y, file.constant([rows, 4], np.int64))
        w = file.quant(file.constant(weights()))
        output = file.op("MatMul", y, w, name="fc1")
        return file.save(tmp_path / f"{first}.onnx", output, out_shape=(first, 3)), output

    x = np.random.default_rng(batch).normal(size=(10, 4)) * 3
    fixed, output = saved(batch, batch)
    free, _ = saved("n", -1)
    for n in (0, 1, 3, 10):
        found = execute(fixed, x[:n])
        assert found.tolist() == execute(free, x[:n]).tolist()
        assert found.shape == (n, 3)
    assert execute(fixed, x, trace=True)[output].tolist() == execute(free, x).tolist()


def test_batches_of_absurd_size_are_refused(tmp_path):
    file = Foreign((2**40, 4))
    path = file.save(tmp_path / "m.onnx", file.quant("x"), out_shape=(2**40, 4))
    with pytest.raises(ExportError, match="has batches of 1,099,511,627,776 samples; export it with a free"):
        execute(path, np.zeros((1, 4)))


def test_a_domain_that_the_file_does_not_state(tmp_path):
    """As qonnx's own QuantizeGraph leaves it."""
    file = Foreign()
    path = file.save(tmp_path / "m.onnx", file.quant("x"), out_shape=("n", 4))
    x = np.random.default_rng(0).normal(size=(9, 4))
    expected = execute(path, x)
    model = onnx.load(path)
    del model.opset_import[1:]
    path.write_bytes(model.SerializeToString())
    assert execute(path, x).tolist() == expected.tolist()
