"""Networks that other tools wrote: Brevitas's exports, and the models that the qonnx package ships."""

from __future__ import annotations

import importlib.util
import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from hls_export.support.cases import SEED, Array, Case, Reference, torch_reference

BREVITAS, SHIPPED = "Brevitas", "Models that the qonnx package ships"
_NEEDED = {BREVITAS: ("brevitas", "onnxoptimizer", "onnxscript"), SHIPPED: ("qonnx",)}


def skipped() -> Iterator[str]:
    """What cannot be made here, and which package it needs."""
    for group, packages in _NEEDED.items():
        absent = [name for name in packages if importlib.util.find_spec(name) is None]
        if absent:
            yield f"{group}: {', '.join(absent)} is not installed"


def other_cases() -> Iterator[Case]:
    """One case a file; those whose tools are not installed are left out."""
    absent = {text.partition(":")[0] for text in skipped()}
    if BREVITAS not in absent:
        yield from brevitas_cases()
    if SHIPPED not in absent:
        yield from shipped_cases()


# ---------------------------------------------------------------------- Brevitas


def brevitas_cases() -> Iterator[Case]:
    """A perceptron and a convolutional network with fixed-point quantizers, as QONNX and as QCDQ."""
    for name, build, shape in (("MLP", perceptron, (16,)), ("CNN", convolutions, (1, 8, 8))):
        for dialect in ("QONNX", "QCDQ"):
            text = f"{name} with fixed-point quantizers, exported as {dialect}"
            yield Case(
                f"brevitas-{name.lower()}-{dialect.lower()}", BREVITAS, text, _brevitas(build, shape, dialect)
            )


def _brevitas(
    build: Callable[[], nn.Module], shape: tuple[int, ...], dialect: str
) -> Callable[[Path], Reference]:
    def write(path: Path) -> Reference:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.manual_seed(SEED)
            model = build()
            model(torch.randn(64, *shape))  # Brevitas learns the scales of activations from samples
            model.eval()
            write_brevitas(model, shape, path, dialect)
        return torch_reference(model)

    return write


def write_brevitas(model: nn.Module, shape: tuple[int, ...], path: Path, dialect: str) -> None:
    """Let Brevitas write a file.

    Args:
        model: of Brevitas's layers, in evaluation mode.
        shape: of a sample.
        path: the file.
        dialect: ``"QONNX"``, or ``"QCDQ"`` (QuantizeLinear, Clip and DequantizeLinear).
    """
    from brevitas import export

    example = torch.zeros(1, *shape)
    if dialect == "QONNX":
        export.export_qonnx(model, args=example, export_path=str(path), dynamo=False)
    else:
        export.export_onnx_qcdq(model, args=example, export_path=str(path), dynamo=False)


def perceptron() -> nn.Module:
    """16 inputs, 5 outputs, one hidden layer."""
    return nn.Sequential(_input(), _linear(16, 12, 6), _relu(5), _linear(12, 5, 3))


def convolutions() -> nn.Module:
    """A plain and a depthwise convolution with a max pool between them, and a dense layer."""
    import brevitas.nn as qnn

    return nn.Sequential(
        _input(),
        qnn.QuantConv2d(1, 4, 3, padding=1, **_parameters(4)),
        _relu(6),
        nn.MaxPool2d(2),
        qnn.QuantConv2d(4, 4, 3, groups=4, **_parameters(5)),
        _relu(4),
        nn.Flatten(),
        _linear(16, 5, 5),
    )


def _parameters(bits: int) -> dict[str, Any]:
    from brevitas.quant import fixed_point

    return {
        "bias": True,
        "weight_quant": fixed_point.Int8WeightPerTensorFixedPoint,
        "weight_bit_width": bits,
        "bias_quant": fixed_point.Int8BiasPerTensorFixedPointInternalScaling,
    }


def _linear(inputs: int, outputs: int, bits: int) -> nn.Module:
    import brevitas.nn as qnn

    return qnn.QuantLinear(inputs, outputs, **_parameters(bits))  # type: ignore[no-any-return]


def _input() -> nn.Module:
    import brevitas.nn as qnn
    from brevitas.quant import fixed_point

    return qnn.QuantIdentity(act_quant=fixed_point.Int8ActPerTensorFixedPoint, bit_width=8)  # type: ignore[no-any-return]


def _relu(bits: int) -> nn.Module:
    import brevitas.nn as qnn
    from brevitas.quant import fixed_point

    return qnn.QuantReLU(act_quant=fixed_point.Uint8ActPerTensorFixedPoint, bit_width=bits)  # type: ignore[no-any-return]


# ---------------------------------------------------------------------- the files of qonnx


def shipped_cases() -> Iterator[Case]:
    """Every ONNX file in the installed qonnx package."""
    folder = shipped_folder()
    for file in sorted(folder.rglob("*.onnx")):
        name = file.relative_to(folder).as_posix()
        yield Case(
            "qonnx-" + name.replace("/", "-").removesuffix(".onnx"),
            SHIPPED,
            name,
            _shipped(file),
            single=True,
        )
    yield Case(
        "qonnx-mnist-conv-quantized",
        SHIPPED,
        "mnist-conv/model.onnx with quantizers put in by qonnx's own QuantizeGraph",
        _mnist(folder / "mnist-conv" / "model.onnx"),
        single=True,
    )


def shipped_folder() -> Path:
    """Where the qonnx package keeps its models."""
    spec = importlib.util.find_spec("qonnx")
    assert spec is not None and spec.submodule_search_locations, "asked before"  # noqa: S101, PT018
    return Path(next(iter(spec.submodule_search_locations))) / "data" / "onnx"


def _shipped(file: Path) -> Callable[[Path], Reference]:
    def write(path: Path) -> Reference:
        shutil.copyfile(file, path)
        return qonnx_reference(path)

    return write


def _mnist(file: Path) -> Callable[[Path], Reference]:
    def write(path: Path) -> Reference:
        write_mnist(file, path)
        return qonnx_reference(path)

    return write


def write_mnist(file: Path, path: Path, bits: int = 6) -> None:
    """Let qonnx put quantizers with power-of-two scales into its float network for digits.

    Args:
        file: qonnx's ``mnist-conv/model.onnx``.
        path: what is written.
        bits: of weights and activations; pixels and biases have 8.
    """
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.transformation.quantize_graph import QuantizeGraph
    from qonnx.util.cleanup import cleanup_model

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = cleanup_model(ModelWrapper(str(file)))
        places: dict[str, list[Any]] = {}
        for node in model.graph.node:
            if node.op_type in ("Conv", "MatMul", "Add"):
                width = 8 if node.op_type == "Add" else bits
                scale = _scale(model.get_initializer(node.input[1]), width)
                places[node.name] = [(("input", 1), (scale, 0, width, 0, 1, "ROUND"))]
        places["Conv_0"].append((("input", 0), (1.0, 0, 8, 0, 0, "ROUND")))
        for name, scale in (("Relu_0", 8.0), ("Relu_1", 16.0)):
            places[name] = [(("output", 0), (scale, 0, bits, 0, 0, "ROUND"))]
        model.transform(QuantizeGraph({"name": places})).save(str(path))


def _scale(values: Array, bits: int) -> float:
    """The power of two with which the largest value still fits."""
    return float(2.0 ** (np.ceil(np.log2(np.abs(values).max())) - bits + 1))


def qonnx_reference(path: Path) -> Reference:
    """What qonnx's own executor computes, sample by sample, in its float32.

    Args:
        path: the file.
    """

    def run(x: Array) -> Array:
        from qonnx.core.modelwrapper import ModelWrapper
        from qonnx.core.onnx_exec import execute_onnx
        from qonnx.util.cleanup import cleanup_model

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = cleanup_model(ModelWrapper(str(path)))
            source, target = model.graph.input[0].name, model.graph.output[0].name
            rows = [execute_onnx(model, {source: row[None].astype(np.float32)})[target] for row in x]
        return np.asarray(np.concatenate(rows), dtype=np.float64) + 0.0

    return run
