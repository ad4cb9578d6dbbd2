"""Every registered layer, lowered: torch in float64 = ONNX execution = emulator, or refused with a reason."""

from __future__ import annotations

import collections

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from hls_export.emulate import Emulator
from hls_export.qonnx import execute, export
from hls_export.vectors import adversarial
from torchq.errors import ExportError
from torchq.nn import LAYERS, QInput
from torchq.nn.base import Example, QLayer

CASES = [
    pytest.param(layer, example, id=f"{name}-{i}")
    for name, layer in LAYERS.items()
    for i, example in enumerate(layer.examples())
]
every_layer = pytest.mark.parametrize(("cls", "example"), CASES)

REFUSED: dict[str, str] = {}
"""Layers that are not lowered, with what the error says. Whoever lowers one takes it out here."""


def model_of(cls: type[QLayer], example: Example) -> nn.Module:
    torch.manual_seed(7)
    layer = cls.from_example(example)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.mul_(2)
    body = layer if example.within is None else example.within(layer)
    if cls.reads_integers:
        return nn.Sequential(collections.OrderedDict(body=body)).eval()
    return nn.Sequential(collections.OrderedDict(input=QInput(example.input), body=body)).eval()


@every_layer
def test_all_readings_agree(cls, example, tmp_path):
    model, path = model_of(cls, example), tmp_path / "m.onnx"
    if cls.__name__ in REFUSED:
        with pytest.raises(ExportError, match=REFUSED[cls.__name__]):
            export(model, path, example.shape)
        return
    exported = export(model, path, example.shape)  # torch against ONNX, on adversarial vectors
    proto = onnx.load(path)
    onnx.checker.check_model(proto, full_check=True)
    x = adversarial(exported.graph, 150, 3)
    if not cls.reads_integers:
        x = np.concatenate([x, np.random.default_rng(5).normal(size=(150, *example.shape)) * 3])
    file = execute(path, x, trace=True)
    emulated = Emulator(exported.graph).trace(x)
    compared = 0
    for node in exported.graph.nodes:
        if node.tensor in file:
            compared += 1
            assert (file[node.tensor] == emulated[node.name]).all(), node.name
    assert compared >= min(len(exported.graph.nodes), 2)
    given = torch.from_numpy(x).long() if cls.reads_integers else torch.from_numpy(x)
    with torch.no_grad():
        expected = model.double()(given)
    assert (expected.numpy() == emulated[exported.graph.output]).all()


@every_layer
def test_layers_keep_their_names(cls, example, tmp_path):
    if cls.__name__ in REFUSED:
        assert cls.__name__ in LAYERS
        return
    exported = export(model_of(cls, example), tmp_path / "m.onnx", example.shape)
    assert exported.graph.node(exported.graph.output).tensor in ("body", "body.layer", "getitem")
    assert {"body", "body.layer", "body.quant", "body.layer.quant"} & set(exported.graph.names)
    assert all(name.startswith(("input", "body")) for name in exported.graph.names)
