"""Random perceptrons through the fast chain: ONNX execution = reading + emulator = integers, every value."""

from __future__ import annotations

import numpy as np
import pytest
from hls_networks import onnx_of, random_graph

from hls_export.emulate import Emulator, emulate
from hls_export.qonnx import execute, read
from hls_export.vectors import adversarial


@pytest.mark.parametrize("seed", range(1000, 1150))
def test_file_and_emulator_agree(tmp_path, seed):
    graph = random_graph(seed)
    path = onnx_of(graph, tmp_path / "random.onnx")
    back = read(path)
    assert back.digest() == graph.digest()
    x = adversarial(graph, 150, seed)
    expected = emulate(back, x, trace=True)
    got = execute(path, x, trace=True)
    assert all((got[node.tensor] == expected[node.name]).all() for node in back.nodes)
    assert (Emulator(graph, "integer")(x[:30]) == expected[graph.output][:30]).all()


def test_a_wrong_weight_is_seen(tmp_path):
    """The comparison above is able to fail."""
    graph = random_graph(1003)
    path = onnx_of(graph, tmp_path / "random.onnx")
    dense = next(node for node in graph.nodes if node.kind == "dense")
    weight = np.array(dense.weight)
    weight[0, 0] += dense.weight_format.lsb if weight[0, 0] <= 0 else -dense.weight_format.lsb
    object.__setattr__(dense, "weight", weight)
    x = adversarial(graph, 150)
    assert (execute(path, x, trace=True)[dense.tensor] != emulate(graph, x, trace=True)[dense.name]).any()
