"""Write a quantized torch model as an ONNX file, and hold it against the model right away."""

from __future__ import annotations

import copy
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from hls_export.compare import Reading, compare
from hls_export.hardware import HardwareGraph
from hls_export.qonnx.emit import IR_VERSION, OPSET, Emitter
from hls_export.qonnx.execute import execute
from hls_export.qonnx.probe import plain_rounding
from hls_export.qonnx.quant import sayable
from hls_export.qonnx.read import read
from hls_export.readings import layer_names, torch_reading
from hls_export.samples import checked
from hls_export.vectors import adversarial
from torchq.errors import ExportError, FormatError, VerifyError
from torchq.files import atomic_write_bytes
from torchq.formats import FixedPoint, Format, Overflow
from torchq.formats.arithmetic import widest

if TYPE_CHECKING:
    from torchq.graph import Graph
    from torchq.graph import Node as TorchNode

CHECK_VECTORS = 512
KINDS = ("identity", "input", "linear", "quantize", "relu", "reshape")
"""The kinds of torch graph nodes that are written."""


@dataclass(frozen=True, eq=False)
class ExportedModel:
    """What was written.

    Args:
        path: the ONNX file.
        graph: the same network, as it is read back from the file.
        torch_graph: the frozen model that was written, traced.
        vectors: how many samples the file and torch agreed on.
    """

    path: Path
    graph: HardwareGraph
    torch_graph: Graph
    vectors: int

    @property
    def digest(self) -> str:
        """SHA-256 of the network."""
        return self.graph.digest()

    def to_dict(self) -> dict[str, Any]:
        """JSON-able facts; the path without its folder."""
        return {
            "file": self.path.name,
            "digest": self.digest,
            "vectors": self.vectors,
            "bytes": self.path.stat().st_size,
            "opset": OPSET,
            "ir_version": IR_VERSION,
            "input": {"name": self.graph.input, "shape": list(self.graph.input_shape)},
            "output": {"name": self.graph.output, "format": str(self.graph.output_format)},
            "layers": {node.name: str(node.format) for node in self.graph.nodes if node.format is not None},
        }


def export(
    model: nn.Module,
    path: str | Path,
    example: Tensor | tuple[int, ...] | None = None,
    *,
    check: npt.ArrayLike | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> ExportedModel:
    """Write a quantized model as a QONNX file and prove that the file computes what torch computes.

    Layers keep their names: ``fc1`` is a ``MatMul`` called ``fc1``, the ``Add`` of its bias is ``fc1.bias``,
    and the tensor that leaves the layer is called ``fc1``. The batch size is free. The file is written once
    the two agree in every value, in float64, on ``check`` and on 512 adversarial vectors.

    Args:
        model: made of torchq's layers, as :func:`torchq.convert.quantize` makes it; it stays as it is.
        path: the file.
        example: a batch, or the shape of one sample; only needed if the model does not tell.
        check: more samples to compare, ``[n, *input shape]``.
        metadata: what to keep in the file beside versions and formats: texts, or JSON-able values. The keys
            of :mod:`hls_export.handover` (``"standardisation"``, ``"features"``, ``"classes"``) reach the
            firmware's interface definition.

    Returns:
        The path, the graph that was read back, and the frozen torch graph.

    Raises:
        GraphError: the model cannot be traced, or an edge has no quantizer.
        ExportError: QONNX cannot say something exactly; the layer and the reason are named.
        VerifyError: the file and torch differ.
        RunDirError: the file cannot be written.
    """
    from torchq.convert import freeze
    from torchq.graph import trace

    path = Path(path)
    graph = trace(freeze(model), example)
    writer = _Writer(graph, path.name.split(".")[0])
    proto = writer.model(metadata or {})
    data: bytes = proto.SerializeToString(deterministic=True)
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / path.name
        draft.write_bytes(data)
        hardware = read(draft)
        samples = adversarial(hardware, CHECK_VECTORS)
        if check is not None:
            samples = np.concatenate([checked(check, hardware.input_shape, "check"), samples])
        _agree(graph, hardware, draft, samples, path)
    atomic_write_bytes(path, data)
    return ExportedModel(path, hardware, graph, len(samples))


def _agree(
    graph: Graph, hardware: HardwareGraph, draft: Path, samples: npt.NDArray[np.float64], path: Path
) -> None:
    reference = torch_reading(graph, samples)
    file = Reading("ONNX", execute(draft, samples), lambda x: execute(draft, x, trace=True))
    lsb = hardware.output_format.lsb
    found = compare(reference, file, samples, layer_names(hardware), lsb)
    if found is not None:
        raise VerifyError(f"{path}: {found}", hint="nothing was written")


class _Writer:
    """One pass over the torch graph."""

    def __init__(self, graph: Graph, name: str) -> None:
        self.graph = graph
        self.emit = Emitter(name or "model")
        self.tensors: dict[str, str] = {}
        self.formats: dict[str, str] = {}
        _refuse_unknown(graph)
        for node in graph.nodes:
            self.tensors[node.name] = self._take(node)

    def model(self, metadata: Mapping[str, Any]) -> Any:
        """The ONNX model."""
        import onnx

        from torchq._version import __version__

        output = self.graph.node(self.graph.output)
        props = {
            key: value if isinstance(value, str) else json.dumps(value) for key, value in metadata.items()
        }
        props |= {"torchq.version": __version__, "torchq.formats": json.dumps(self.formats, sort_keys=True)}
        proto = self.emit.model(self.tensors[output.name], output.shape, props)
        onnx.checker.check_model(proto)
        return proto

    def _take(self, node: TorchNode) -> str:
        match node.kind:
            case "input":
                return self.emit.input(node.name, node.shape)
            case "identity":
                return self.tensors[node.inputs[0]]
            case "reshape":
                return self._reshape(node)
            case "quantize":
                return self._quant(node, self.tensors[node.inputs[0]], node.name)
            case "relu":
                return self._relu(node)
        return self._linear(node)

    def _reshape(self, node: TorchNode) -> str:
        source = self.tensors[node.inputs[0]]
        if node.shape == self.graph.node(node.inputs[0]).shape:
            return source
        shape = self.emit.sizes(f"{node.name}.shape", (-1, *node.shape))
        return self.emit.node("Reshape", [source, shape], node.name, name=node.name, shape=node.shape)

    def _relu(self, node: TorchNode) -> str:
        source = self.tensors[node.inputs[0]]
        quantizer = getattr(node.module, "output_quantizer", None)
        output = node.name if quantizer is None else f"{node.name}.relu"
        tensor = self.emit.node("Relu", [source], output, name=node.name, shape=node.shape)
        return tensor if quantizer is None else self._quant(node, tensor, f"{node.name}.quant", relu=True)

    def _linear(self, node: TorchNode) -> str:
        if len(node.shape) != 1:
            raise ExportError(
                f"{node.name} is applied at every position of samples of several axes, which is not lowered",
                hint="flatten before it, or keep it for torch",
            )
        layer: Any = node.module
        quantizer = layer.output_quantizer
        sums = node.name if quantizer is None else f"{node.name}.sum"
        with torch.no_grad():
            weight, bias = layer.quantized_weight(), layer.quantized_bias()
        product = sums if bias is None else f"{node.name}.matmul"
        parameter = self._parameter(node, "weight", weight.T, layer.weight_quantizer)
        source = self.tensors[node.inputs[0]]
        tensor = self.emit.node("MatMul", [source, parameter], product, name=node.name, shape=node.shape)
        if bias is not None:
            addend = self._parameter(node, "bias", bias, layer.bias_quantizer)
            tensor = self.emit.node("Add", [tensor, addend], sums, name=f"{node.name}.bias", shape=node.shape)
        return tensor if quantizer is None else self._quant(node, tensor, f"{node.name}.quant")

    def _parameter(self, node: TorchNode, slot: str, values: Tensor, quantizer: Any) -> str:
        """A weight or bias: any grid will do that holds the values, for they are on it already."""
        where = f"{node.name}.{slot}"
        reason = quantizer.hardware_reason()
        if reason is not None:
            raise ExportError(f"{where}: {reason}")
        self.formats[where] = str(quantizer.format)
        grid = carrier(where, quantizer.format)
        exact = values.detach().to(torch.float64).cpu().numpy()
        if not grid.holds(exact).all():
            raise ExportError(f"{where} has values beside the grid of {quantizer.format}")
        return self.emit.parameter(where, exact, grid)

    def _quant(self, node: TorchNode, source: str, name: str, *, relu: bool = False) -> str:
        """An activation's quantizer: QONNX's ``Quant`` must do exactly what it does."""
        quantizer: Any = getattr(node.module, "output_quantizer", None)
        if quantizer is None:
            raise ExportError(f"{node.name} has no quantizer")
        reason = quantizer.hardware_reason()
        if reason is not None:
            raise ExportError(f"{node.name}: {reason}")
        grid = quantizer.format
        if not isinstance(grid, FixedPoint):
            raise ExportError(
                f"{node.name}: {quantizer} makes {grid}, and QONNX's Quant rounds to fixed point only",
                hint="use it on weights, or quantized_bits or quantized_relu here",
            )
        unsaid = sayable(grid)
        if unsaid is not None:
            raise ExportError(f"{node.name}: {unsaid}")
        module: Any = copy.deepcopy(quantizer if node.kind == "linear" else node.module)
        if not plain_rounding(module, grid, relu=relu):
            raise ExportError(
                f"{node.name}: {quantizer} does more than round to {grid}, and QONNX's Quant does no more",
                hint="use quantized_bits or quantized_relu here",
            )
        self.formats[node.name] = str(grid)
        return self.emit.quant(source, grid, name, node.name, node.shape)


def _refuse_unknown(graph: Graph) -> None:
    """Name every node that cannot be written."""
    unknown = [node for node in graph.nodes if node.kind not in KINDS]
    if len(unknown) == 1 and isinstance(unknown[0].module, nn.Softmax | nn.LogSoftmax):
        raise ExportError(
            f"{unknown[0].name} (softmax) has no exact fixed-point form",
            hint="export the model without it; the largest logit is the same class",
        )
    if unknown:
        count = "1 layer" if len(unknown) == 1 else f"{len(unknown)} layers"
        listed = ", ".join(f"{node.name} ({node.kind})" for node in unknown)
        raise ExportError(f"{count} cannot be written: {listed}", hint=f"these can: {', '.join(KINDS)}")


def carrier(where: str, grid: Format) -> FixedPoint:
    """A fixed-point format per tensor that a ``Quant`` can state and that holds every value of a format.

    Example:
        >>> from torchq.formats import Ternary
        >>> str(carrier("fc1.weight", Ternary(0.5))), str(carrier("fc1.weight", FixedPoint(1, 1)))
        ('ap_fixed<2,1,RND_CONV,SAT_SYM>', 'ap_fixed<2,2,RND_CONV,SAT>')
    """
    try:
        held = widest(grid if isinstance(grid, FixedPoint) else grid.as_fixed())
    except FormatError as fault:
        raise ExportError(f"{where}: {fault.message}", fault.hint) from None
    width, integer = int(held.width), int(held.integer)
    more = max((2 if held.signed else 1) - width, 0)
    narrow = held.overflow is Overflow.SAT_SYM and bool(held.signed)
    overflow = Overflow.SAT_SYM if narrow and not more else Overflow.SAT
    return FixedPoint(width + more, integer + more, held.signed, overflow=overflow)
