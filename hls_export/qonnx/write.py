"""Write a quantized torch model as an ONNX file, and hold it against the model right away."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from hls_export.compare import Reading, compare
from hls_export.hardware import HardwareGraph
from hls_export.qonnx import (  # noqa: F401 - they register the kinds that they write
    layers_attention,
    layers_embedding,
    layers_merges,
    layers_moves,
    layers_norm,
    layers_pools,
    layers_products,
    layers_recurrent,
    layers_tables,
    layers_transposed,
)
from hls_export.qonnx.builder import Builder
from hls_export.qonnx.channels import KEY
from hls_export.qonnx.emit import IR_VERSION, OPSET
from hls_export.qonnx.execute import execute
from hls_export.qonnx.layers import WRITERS
from hls_export.qonnx.read import read
from hls_export.readings import layer_names, torch_reading
from hls_export.samples import checked
from hls_export.vectors import adversarial
from torchq.errors import ExportError, VerifyError
from torchq.files import atomic_write_bytes

if TYPE_CHECKING:
    from torchq.graph import Graph

CHECK_VECTORS = 512
KINDS = ("input", *sorted(WRITERS))
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
        self.build = Builder(name or "model")
        self.made: dict[str, Any] = {}
        _refuse_unknown(graph)
        for node in graph.nodes:
            if node.kind == "input":
                self.made[node.name] = self.build.input(node.name, node.shape)
            else:
                sources = [self.made[name] for name in node.inputs]
                self.made[node.name] = WRITERS[node.kind](self.build, node, sources)

    def model(self, metadata: Mapping[str, Any]) -> Any:
        """The ONNX model."""
        import onnx

        from torchq._version import __version__

        props = {
            key: value if isinstance(value, str) else json.dumps(value) for key, value in metadata.items()
        }
        formats = json.dumps(self.build.formats, sort_keys=True)
        props |= {"torchq.version": __version__, "torchq.formats": formats}
        if self.build.channels:
            props[KEY] = json.dumps(self.build.channels, sort_keys=True)
        proto = self.build.model(self.made[self.graph.output], props)
        onnx.checker.check_model(proto)
        return proto


def _refuse_unknown(graph: Graph) -> None:
    """Name every node that cannot be written."""
    softmax = [node for node in graph.nodes if isinstance(node.module, nn.Softmax | nn.LogSoftmax)]
    unknown = [node for node in graph.nodes if node.kind not in KINDS or node in softmax]
    if softmax and len(unknown) == 1:
        raise ExportError(
            f"{softmax[0].name} (softmax) has no exact fixed-point form",
            hint="use QSoftmax, or export the model without it; the largest logit is the same class",
        )
    if unknown:
        count = "1 layer" if len(unknown) == 1 else f"{len(unknown)} layers"
        listed = ", ".join(f"{node.name} ({node.kind})" for node in unknown)
        raise ExportError(f"{count} cannot be written: {listed}", hint=f"these can: {', '.join(KINDS)}")
