"""No input whatever leads outside: random networks of all layers, and sums and products on the way."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from interval_networks import check_values_inside, flat_networks, image_networks, samples, traced
from torch import nn

from torchq.errors import GraphError

Network = tuple[nn.Module, tuple[int, ...]]


def check(network: Network) -> None:
    model, shape = network
    graph, found = traced(model.double(), shape)
    assert list(found) == [node.name for node in graph.nodes]
    try:
        compared = check_values_inside(graph, found, samples(shape))
    except GraphError as fault:  # float64 would round a sum of more than 53 bits
        assert "float64 is exact up to" in str(fault)  # noqa: PT017 - of several lines
        return
    assert compared == len(graph.nodes) - 1


@given(flat_networks())
@settings(max_examples=80)
def test_vectors(network: Network) -> None:
    check(network)


@given(image_networks())
@settings(max_examples=40)
def test_images(network: Network) -> None:
    check(network)


def test_the_samples_reach_the_ends() -> None:
    x = samples((3,))
    assert x.dtype == torch.float64
    assert x.abs().max() == 1e6
    assert (x == 0).all(dim=1).any()
