"""The nodes of a graph as hls4ml's layer list: plain dicts, one function a node kind."""

# ruff: noqa: ARG001  (the functions of a table share a signature)

from __future__ import annotations

from functools import singledispatch
from typing import Any

import numpy as np

from hls_export.hardware import Dense, HardwareGraph, Input, Node, Quantize, Relu
from torchq.errors import BackendError
from torchq.formats import FixedPoint


def layer_list(graph: HardwareGraph, names: dict[str, str]) -> list[dict[str, Any]]:
    """One dict a node, in order.

    Args:
        graph: what to say.
        names: node name -> C++ name.
    """
    return [layer(node, names[node.name], [names[name] for name in node.inputs]) for node in graph.nodes]


@singledispatch
def layer(node: Node, name: str, inputs: list[str]) -> dict[str, Any]:
    """The dict of one node."""
    raise BackendError(f"hls4ml: {node.name} ({node.kind}) is not supported")


@layer.register
def _layer_input(node: Input, name: str, inputs: list[str]) -> dict[str, Any]:
    return {"class_name": "InputLayer", "name": name, "input_shape": list(node.shape), "inputs": []}


@layer.register
def _layer_quantize(node: Quantize, name: str, inputs: list[str]) -> dict[str, Any]:
    grid = format_of(node)
    return {
        "class_name": "FixedPointQuantizer",
        "name": name,
        "inputs": inputs,
        "mask_kbi": tuple(
            np.array([int(v)], dtype=np.int16) for v in (grid.signed, grid.width, grid.integer)
        ),
        "RND": str(grid.rounding),
        "SAT": str(grid.overflow),
        "fusible": None,
        "overrides": {},
    }


@layer.register
def _layer_relu(node: Relu, name: str, inputs: list[str]) -> dict[str, Any]:
    size = int(np.prod(node.shape))
    return {"class_name": "Activation", "name": name, "inputs": inputs, "activation": "relu", "n_in": size}


@layer.register
def _layer_dense(node: Dense, name: str, inputs: list[str]) -> dict[str, Any]:
    return {
        "class_name": "Dense",
        "name": name,
        "inputs": inputs,
        "n_in": node.n_in,
        "n_out": node.n_out,
        "weight_data": np.array(node.weight),
        "bias_data": np.zeros(node.n_out) if node.bias is None else np.array(node.bias),
        "use_bias": True,
        "data_format": "channels_last",
    }


def carriers(graph: HardwareGraph) -> dict[str, str]:
    """For every node that stays in hls4ml's graph whose tensor it makes: a fused quantizer's, or its own."""
    carried = {}
    for node in graph.nodes:
        if not isinstance(node, Quantize):
            readers = graph.consumers(node.name)
            fused = len(readers) == 1 and isinstance(readers[0], Quantize) and node.name != graph.output
            carried[node.name] = readers[0].name if fused else node.name
    return carried


def format_of(node: Node) -> FixedPoint:
    """The format of an edge that has one."""
    if node.format is None:
        raise BackendError(f"{node.name} has no format")
    return node.format
