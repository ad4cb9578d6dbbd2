"""The reference: what the hardware computes, exactly.

Interval arithmetic on the actual weights (:mod:`hls_export.passes.bounds`) says how many bits every sum needs
in any order of summation. With at most 24 the whole network runs in float32, with at most 53 in float64, and
otherwise on Python integers; the values are the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, overload

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hls_export.float_steps import Step, float_step, values_within
from hls_export.hardware import HardwareGraph, Input
from hls_export.integer_steps import Edge, input_codes, integer_step
from hls_export.integers import to_values
from hls_export.passes.bounds import bounds
from hls_export.passes.fuse_relu import fuse_relu
from hls_export.passes.ranges import Bounds
from hls_export.samples import checked
from torchq.errors import BackendError

Array = npt.NDArray[np.float64]

FLOAT32_BITS = 24
FLOAT64_BITS = 53
_FLOAT32_EXPONENTS = 96
_CHUNK = 4096
_VALUES_AT_ONCE = 2**23


@overload
def emulate(graph: HardwareGraph, x: npt.ArrayLike, trace: Literal[False] = False) -> Array: ...
@overload
def emulate(graph: HardwareGraph, x: npt.ArrayLike, trace: Literal[True]) -> dict[str, Array]: ...
def emulate(graph: HardwareGraph, x: npt.ArrayLike, trace: bool = False) -> Array | dict[str, Array]:
    """The outputs of a hardware graph.

    Args:
        graph: what :func:`hls_export.read` returns.
        x: ``[n, *input shape]`` real numbers.
        trace: return what every node makes, by its name.

    Returns:
        Float64 ``[n, *output shape]``, or one such array a node.

    Raises:
        DataError: samples of another shape, or not finite.
        BackendError: a value needs more than the 53 bits that float64 has.

    Example:
        >>> from hls_export.hardware import Dense, Quantize
        >>> from torchq.formats import FixedPoint
        >>> a = Input(name="x", shape=(2,))
        >>> q = Quantize(name="q", inputs=("x",), shape=(2,), format=FixedPoint(4, 2))
        >>> grid, w = FixedPoint(3, 2), np.array([[1.0], [-0.5]])
        >>> fc = Dense(name="fc", inputs=("q",), shape=(1,), weight=w, weight_format=grid)
        >>> emulate(HardwareGraph((a, q, fc), "x", "fc"), [[0.6, 9.0]]).tolist()
        [[-0.375]]
    """
    emulator = Emulator(graph)
    return emulator.trace(x) if trace else emulator(x)


class Emulator:
    """A hardware graph made ready to run many times.

    Args:
        graph: what to run.
        arithmetic: ``"float32"``, ``"float64"`` or ``"integer"``; None takes the fastest exact one.
    """

    def __init__(self, graph: HardwareGraph, arithmetic: str | None = None) -> None:
        self.graph = graph
        self.bounds = bounds(graph)
        self.arithmetic = arithmetic or _fastest(self.bounds)
        self._fused = fuse_relu(graph)
        self._plan = self._steps(self._fused) if self.arithmetic != "integer" else {}
        most = max(values_within(node) for node in graph.nodes)
        self._chunk = max(min(_CHUNK, _VALUES_AT_ONCE // max(most, 1)), 1)

    def __call__(self, x: npt.ArrayLike) -> Array:
        """The outputs, ``[n, *output shape]``."""
        samples = checked(x, self.graph.input_shape)
        if self.arithmetic == "integer":
            return self._values(self._integers(samples)[self.graph.output], self.graph.output)
        out = np.empty((len(samples), *self.graph.output_shape), dtype=np.float64)
        with torch.no_grad():
            for start in range(0, len(samples), self._chunk):
                chunk = torch.from_numpy(samples[start : start + self._chunk])
                edges = self._run(self._fused, self._plan, chunk)
                out[start : start + len(chunk)] = edges[self.graph.output].numpy()
        return out + 0.0

    def trace(self, x: npt.ArrayLike) -> dict[str, Array]:
        """What every node makes, by name; the raw input among them."""
        samples = checked(x, self.graph.input_shape)
        if self.arithmetic == "integer":
            edges = self._integers(samples)
            found = {name: self._values(codes, name) for name, codes in edges.items()}
            return {self.graph.input: samples, **found}
        with torch.no_grad():
            run = self._run(self.graph, self._steps(self.graph), torch.from_numpy(samples))
        return {name: edge.to(torch.float64).numpy() + 0.0 for name, edge in run.items()}

    def _steps(self, graph: HardwareGraph) -> Mapping[str, Step]:
        dtype = getattr(torch, self.arithmetic)
        return {node.name: float_step(node, dtype) for node in graph.nodes if not isinstance(node, Input)}

    def _run(self, graph: HardwareGraph, plan: Mapping[str, Step], x: Tensor) -> dict[str, Tensor]:
        edges = {graph.input: x}
        for node in graph.nodes:
            if not isinstance(node, Input):
                edges[node.name] = plan[node.name](*[edges[name] for name in node.inputs])
        return edges

    def _integers(self, samples: Array) -> dict[str, Edge]:
        edges: dict[str, Edge] = {}
        for node in self.graph.nodes:
            if isinstance(node, Input):
                continue
            if node.inputs[0] == self.graph.input:
                edges[node.name] = input_codes(node, samples)
            else:
                edges[node.name] = integer_step(node, *[edges[name] for name in node.inputs])
        return edges

    def _values(self, edge: Edge, name: str) -> Array:
        bits = self.bounds[name].format().width
        if int(bits) > FLOAT64_BITS:
            raise BackendError(
                f"{name} has values of {bits} bits, and float64 holds {FLOAT64_BITS}",
                hint="put a quantizer behind it",
            )
        return to_values(*edge)


def _fastest(known: Mapping[str, Bounds]) -> str:
    need = max((edge.bits for edge in known.values()), default=0)
    far = max((abs(edge.fraction) for edge in known.values()), default=0)
    return (
        "float32"
        if need <= FLOAT32_BITS and far <= _FLOAT32_EXPONENTS
        else "float64"
        if need <= FLOAT64_BITS
        else "integer"
    )
