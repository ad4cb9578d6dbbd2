"""Drawing how a network is built: generator, passing of data, strategies and reuse factors layer by layer."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from hls_export.backends.base import Settings
from hls_export.backends.limits import settings_of, weight_reasons, weighted
from hls_export.backends.prepare import prepare
from hls_export.backends.tools import TOOLS, Tool
from hls_export.hardware import Conv, Dense, HardwareGraph, Node
from hls_export.passes.channels_last import channels_last
from torchq.errors import TorchqError

THROUGH = ("emulator", "cpp", "rtl")
"""How far a network goes: to the integers of the emulator, to compiled C++, or to simulated Verilog."""

_BACKENDS = ("vitis",) * 5 + ("vivado",) * 2 + ("quartus",) * 2 + ("catapult",) * 2
"""Those whose C++ compiles with headers that hls4ml brings; Vitis most often."""
_DA = "distributed_arithmetic"
_PLAIN = 0.4
"""How often every layer is as it is by default."""
_MOST_FACTOR = 64


@dataclass(frozen=True)
class Target:
    """How a network is built.

    Args:
        backend: of :data:`hls_export.BACKENDS`.
        io_type: how it passes its data.
        strategy: for all layers with weights.
        reuse_factor: likewise.
        layers: what differs, by layer.
        pipeline: how the layers work together.
        latency_cutoff: of Verilog: delay of a pipeline stage.

    Example:
        >>> print(Target("vitis", "io_stream", layers={"s0": {"strategy": "resource", "reuse_factor": 4}}))
        vitis io_stream, s0 resource 4
    """

    backend: str
    io_type: str = "io_parallel"
    strategy: str = "latency"
    reuse_factor: int = 1
    layers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    pipeline: str = "auto"
    latency_cutoff: float = 5.0

    def __str__(self) -> str:
        parts = [f"{self.backend} {self.io_type}"]
        if (self.strategy, self.reuse_factor) != ("latency", 1):
            parts.append(f"{self.strategy} {self.reuse_factor}")
        if self.pipeline != "auto":
            parts.append(self.pipeline)
        if self.latency_cutoff != 5.0:
            parts.append(f"cutoff {self.latency_cutoff:g}")
        parts += [f"{name} {one['strategy']} {one['reuse_factor']}" for name, one in self.layers.items()]
        return ", ".join(parts)

    def within(self, graph: HardwareGraph) -> Target:
        """The same with what it says of layers that the network has; shrinking takes some away."""
        names = set(weighted(graph))
        return replace(self, layers={name: one for name, one in self.layers.items() if name in names})

    def to_dict(self) -> dict[str, Any]:
        """JSON-able: the arguments of :func:`hls_export.lower`."""
        return asdict(self)


def draw_target(seed: int, graph: HardwareGraph, through: str) -> Target:
    """How a network is built, at random: the same for the same seed and network.

    Args:
        seed: of the network.
        graph: tells which layers have weights, and so strategies and reuse factors.
        through: ``"cpp"`` or ``"rtl"``.
    """
    random = np.random.default_rng([seed, 21])
    if through == "rtl":
        strategy = str(random.choice(["latency", "distributed_arithmetic"]))
        return Target("rtl", strategy=strategy, latency_cutoff=float(random.choice([1.5, 3.0, 5.0, 20.0])))
    tools = {tool.key: tool for tool in TOOLS}
    tool = tools[str(random.choice(_BACKENDS))]
    io_type = str(random.choice(tool.io_types))
    pipeline = str(random.choice(["auto", "auto", "pipeline", "dataflow"]))
    strategy = tool.strategies[0]
    plain = strategy == "latency" and random.random() < _PLAIN
    layers = {} if plain else _layers(random, graph, tool, io_type)
    return Target(tool.key, io_type, strategy, 1, layers, pipeline)


def _layers(
    random: np.random.Generator, graph: HardwareGraph, tool: Tool, io_type: str
) -> dict[str, dict[str, Any]]:
    """A strategy and a reuse factor for each layer with weights, of those that it can have."""
    known = weighted(graph)
    try:
        built = channels_last(prepare(graph, io_type, depthwise=tool.depthwise)).graph
    except TorchqError:
        return {}  # the backend says why
    made: dict[str, list[Node]] = {name: [] for name in known}
    for node in built.nodes:
        name = node.name.removesuffix(".product2")
        if name in made and isinstance(node, Dense | Conv):
            made[name].append(node)
    drawn = {}
    for name, nodes in made.items():
        choices = _choices(nodes, tool, io_type, known)
        if choices:
            strategy = str(random.choice(sorted(choices)))
            factor = int(random.choice(choices[strategy]))
            drawn[name] = {"strategy": strategy, "reuse_factor": factor}
    return drawn


def _choices(nodes: Sequence[Node], tool: Tool, io_type: str, known: Sequence[str]) -> dict[str, list[int]]:
    """Reuse factors by strategy, those that all nodes of a layer can have."""
    found: dict[str, list[int]] = {}
    for strategy in tool.strategies:
        if strategy == _DA and importlib.util.find_spec("da4ml") is None:
            continue
        for factor in range(1, _MOST_FACTOR + 1) if strategy.startswith("resource") else (1, 2):
            mine = Settings(io_type=io_type, strategy=strategy, reuse_factor=factor)
            reasons = [r for n in nodes for r in weight_reasons(n, settings_of(n.name, known, mine), tool)]
            if not reasons and not (strategy == _DA and factor > 1):
                found.setdefault(strategy, []).append(factor)
    return found
