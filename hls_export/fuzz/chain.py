"""One network through the fast chain: torch in float64, ONNX execution, emulator, integers."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hls_export.emulate import Emulator
from hls_export.fuzz.network import Spec, build
from hls_export.fuzz.targets import Target
from hls_export.hardware import HardwareGraph
from hls_export.qonnx import execute, export
from hls_export.vectors import adversarial
from torchq.errors import TorchqError, VerifyError

INTEGER_VECTORS = 12


@dataclass(frozen=True)
class Verdict:
    """What came out for one network.

    Args:
        agree: whether every value of every reading is equal; None where the network was refused.
        reason: why it was refused, or where the readings part.
        kinds: the kinds of nodes that were compared.
        target: how it was built; None where it was not.
    """

    agree: bool | None
    reason: str = ""
    kinds: frozenset[str] = frozenset()
    target: Target | None = None


def check(spec: Spec, vectors: int = 60) -> Verdict:
    """Export a network and compare what every node makes.

    Args:
        spec: the network.
        vectors: random ones, and as many adversarial ones; the export compares 512 more.

    Example:
        >>> spec = {"shape": [3], "input": "ap_fixed<4,2,RND,WRAP>", "seed": 0, "scale": 1.0, "steps": []}
        >>> check(spec).agree
        True
    """
    shape = tuple(spec["shape"])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        try:
            graph = export(build(spec), path, shape).graph
        except VerifyError as fault:
            return Verdict(False, str(fault).replace(folder, ""))
        except TorchqError as fault:
            return Verdict(None, str(fault).replace(folder, ""))
        kinds = frozenset(node.kind for node in graph.nodes)
        x = np.concatenate([adversarial(graph, vectors, 1), ordinary(spec, graph, vectors)])
        file = execute(path, x, trace=True)
        emulated = Emulator(graph).trace(x)
        few = x[:: max(len(x) // INTEGER_VECTORS, 1)]
        integers = Emulator(graph, "integer").trace(few)
        expected = Emulator(graph).trace(few)
        output = Emulator(graph)(x)
    for node in graph.nodes:
        if node.tensor in file and not np.array_equal(file[node.tensor], emulated[node.name]):
            return Verdict(False, f"the emulator differs from ONNX at {node.name} ({node.kind})", kinds)
        if not np.array_equal(integers[node.name], expected[node.name]):
            return Verdict(False, f"floats differ from integers at {node.name} ({node.kind})", kinds)
        if node.format is not None and not node.format.holds(emulated[node.name]).all():
            return Verdict(False, f"{node.name} ({node.kind}) leaves its format {node.format}", kinds)
    if not np.array_equal(output, emulated[graph.output]):
        return Verdict(False, "a run with a trace differs from one without", kinds)
    return Verdict(True, "", kinds)


def ordinary(spec: Spec, graph: HardwareGraph, n: int) -> npt.NDArray[np.float64]:
    """Random samples, wide enough to leave the range of most formats; whole numbers for an embedding.

    Args:
        spec: the network.
        graph: the same.
        n: how many.
    """
    if spec["input"] is None:
        return adversarial(graph, n, 2)
    return np.random.default_rng(int(spec["seed"])).normal(size=(n, *spec["shape"])) * 3
