"""The reference: what the hardware computes, exactly.

Interval arithmetic on the actual weights (:mod:`hls_export.passes.bounds`) says how many bits every sum needs
in any order of summation. With at most 24 the whole network runs in float32, with at most 53 in float64, and
otherwise on Python integers; the values are the same.
"""

# ruff: noqa: ARG001  (the functions of a table share a signature)

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import singledispatch
from typing import Any, Literal, overload

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hls_export.hardware import Dense, HardwareGraph, Identity, Input, Node, Quantize, Relu, Reshape
from hls_export.integers import Codes, quantize, to_codes, to_values
from hls_export.passes.bounds import Bounds, bounds, finest
from hls_export.passes.fuse_relu import fuse_relu
from hls_export.samples import checked
from torchq.errors import BackendError
from torchq.formats import FixedPoint, Overflow, round_to_integer, wrapped

Array = npt.NDArray[np.float64]
Step = Callable[[Tensor], Tensor]

FLOAT32_BITS = 24
FLOAT64_BITS = 53
_FLOAT32_EXPONENTS = 96
_CHUNK = 4096


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
        >>> from hls_export.hardware import Dense
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

    def __call__(self, x: npt.ArrayLike) -> Array:
        """The outputs, ``[n, *output shape]``."""
        samples = checked(x, self.graph.input_shape)
        if self.arithmetic == "integer":
            return self._values(self._integers(samples)[self.graph.output], self.graph.output)
        out = np.empty((len(samples), *self.graph.output_shape), dtype=np.float64)
        with torch.no_grad():
            for start in range(0, len(samples), _CHUNK):
                chunk = torch.from_numpy(samples[start : start + _CHUNK])
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
        return {node.name: _step(node, dtype) for node in graph.nodes if not isinstance(node, Input)}

    def _run(self, graph: HardwareGraph, plan: Mapping[str, Step], x: Tensor) -> dict[str, Tensor]:
        edges = {graph.input: x}
        for node in graph.nodes:
            if not isinstance(node, Input):
                edges[node.name] = plan[node.name](edges[node.inputs[0]])
        return edges

    def _integers(self, samples: Array) -> dict[str, tuple[Codes, int]]:
        edges: dict[str, tuple[Codes, int]] = {}
        for node in self.graph.nodes:
            if isinstance(node, Input):
                continue
            if node.inputs[0] == self.graph.input:
                edges[node.name] = _first_codes(node, samples)
            else:
                edges[node.name] = _exactly(node, *edges[node.inputs[0]])
        return edges

    def _values(self, edge: tuple[Codes, int], name: str) -> Array:
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


# ---------------------------------------------------------------------- on floats


@singledispatch
def _step(node: Node, dtype: torch.dtype) -> Step:
    raise BackendError(f"{node.name}: the emulator does not know {node.kind}")


@_step.register
def _step_identity(node: Identity, dtype: torch.dtype) -> Step:
    return lambda x: x


@_step.register
def _step_reshape(node: Reshape, dtype: torch.dtype) -> Step:
    return lambda x: x.reshape(len(x), *node.shape)


@_step.register
def _step_relu(node: Relu, dtype: torch.dtype) -> Step:
    return lambda x: torch.clamp(x, min=0)


@_step.register
def _step_dense(node: Dense, dtype: torch.dtype) -> Step:
    weight = torch.tensor(node.weight, dtype=dtype)
    if node.bias is None:
        return lambda x: x @ weight
    bias = torch.tensor(node.bias, dtype=dtype)
    return lambda x: torch.addmm(bias, x, weight)


@_step.register
def _step_quantize(node: Quantize, dtype: torch.dtype) -> Step:
    grid = node.format
    assert grid is not None, "bounds() has refused it"  # noqa: S101
    up, lsb, low, high, span = (
        _operand(v) for v in (1.0 / grid.lsb, grid.lsb, grid.code_min, grid.code_max, np.exp2(grid.width))
    )
    rounding = grid.rounding

    def saturate(x: Tensor) -> Tensor:
        codes = round_to_integer(x * up, rounding)
        return torch.clamp(codes, low, high).mul_(lsb).to(dtype)

    def wrap(x: Tensor) -> Tensor:
        codes = round_to_integer(x.to(torch.float64) * up, rounding)
        return wrapped(codes, _tensor(low), _tensor(span)).mul_(lsb).to(dtype)

    def coarse(x: Tensor) -> Tensor:
        return grid.quantize_tensor(x.to(torch.float64)).to(dtype)

    if np.any(np.asarray(grid.lsb) > 1):
        return coarse  # a subnormal number must not vanish before it is rounded
    return wrap if grid.overflow is Overflow.WRAP else saturate


def _operand(value: Any) -> Any:
    """A Python float for a format per tensor, a float64 tensor for one per channel or element."""
    return float(value) if np.ndim(value) == 0 else torch.tensor(value, dtype=torch.float64)


def _tensor(value: Any) -> Tensor:
    return torch.as_tensor(value, dtype=torch.float64)


# ---------------------------------------------------------------------- on integers


def _first_codes(node: Node, samples: Array) -> tuple[Codes, int]:
    """The input quantizer works on real numbers; float64 samples are codes of a grid that is fine enough."""
    assert isinstance(node, Quantize), "bounds() has refused it"  # noqa: S101
    assert node.format is not None, "bounds() has refused it"  # noqa: S101
    fraction = max(finest(samples), 0)
    return quantize(to_codes(samples, fraction), fraction, node.format)


@singledispatch
def _exactly(node: Node, codes: Codes, fraction: int) -> tuple[Codes, int]:
    raise BackendError(f"{node.name}: the emulator does not know {node.kind}")


@_exactly.register
def _exact_identity(node: Identity, codes: Codes, fraction: int) -> tuple[Codes, int]:
    return codes, fraction


@_exactly.register
def _exact_reshape(node: Reshape, codes: Codes, fraction: int) -> tuple[Codes, int]:
    return codes.reshape(len(codes), *node.shape), fraction


@_exactly.register
def _exact_relu(node: Relu, codes: Codes, fraction: int) -> tuple[Codes, int]:
    return np.maximum(codes, 0), fraction


@_exactly.register
def _exact_quantize(node: Quantize, codes: Codes, fraction: int) -> tuple[Codes, int]:
    grid: FixedPoint | None = node.format
    assert grid is not None, "bounds() has refused it"  # noqa: S101
    return quantize(codes, fraction, grid)


@_exactly.register
def _exact_dense(node: Dense, codes: Codes, fraction: int) -> tuple[Codes, int]:
    weight_fraction = finest(node.weight)
    sums = codes @ to_codes(node.weight, weight_fraction)
    fraction += weight_fraction
    if node.bias is None or not np.any(node.bias):
        return sums, fraction
    final = max(fraction, finest(node.bias))
    return sums * (1 << (final - fraction)) + to_codes(node.bias, final), final
