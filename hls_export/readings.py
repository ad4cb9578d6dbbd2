"""The ways of computing one network, as readings that can be compared."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from hls_export.backends.base import Project
from hls_export.compare import Reading
from hls_export.emulate import Emulator
from hls_export.hardware import HardwareGraph
from hls_export.qonnx.execute import execute

if TYPE_CHECKING:
    from torchq.graph import Graph

Array = npt.NDArray[np.float64]


def layer_names(graph: HardwareGraph) -> list[tuple[str, str]]:
    """Tensors in the order of computation, each with the name of the layer that a message should give.

    Example:
        >>> from hls_export.hardware import Input
        >>> x = Input(name="x", shape=(2,))
        >>> layer_names(HardwareGraph((x,), "x", "x"))
        [('x', 'x')]
    """
    return [(node.tensor, node.name.removesuffix(".quant")) for node in graph.nodes]


def torch_reading(graph: Graph, x: Array) -> Reading:
    """The torch model in float64."""
    import torch

    from torchq.graph import evaluate

    axes = {node.name: node.batch_axis for node in graph.nodes}
    whole = any(getattr(node.module, "reads_integers", False) for node in graph.nodes)

    def run(samples: Array) -> dict[str, Array]:
        given = torch.from_numpy(samples)
        values = evaluate(graph, given.long() if whole else given)
        tensors = {name: value for name, value in values.items() if isinstance(value, torch.Tensor)}
        return {
            name: value.detach().movedim(axes[name], 0).to(torch.float64).cpu().numpy() + 0.0
            for name, value in tensors.items()
        }

    return Reading("torch", run(x)[graph.output], run)


def onnx_reading(path: str | Path, x: Array) -> Reading:
    """The ONNX file, executed in float64."""
    return Reading("ONNX", execute(path, x) + 0.0, lambda samples: execute(path, samples, trace=True))


def emulator_reading(graph: HardwareGraph, x: Array) -> Reading:
    """Our emulator on the graph that was read from the file."""
    emulator = Emulator(graph)
    return Reading("emulator", emulator(x), lambda samples: _by_tensor(graph, emulator.trace(samples)))


def project_reading(project: Project, graph: HardwareGraph, x: Array) -> Reading:
    """The simulation of a project: its compiled C++, or its Verilog."""
    return Reading(
        project.reading, project.predict(x), lambda samples: _by_tensor(graph, project.trace(samples))
    )


def _by_tensor(graph: HardwareGraph, values: Mapping[str, Array]) -> dict[str, Array]:
    return {node.tensor: values[node.name] for node in graph.nodes if node.name in values}
