"""Fewer neurons: the strongest of a layer are kept, and the layers that read them follow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn

from torchq.errors import SchemeError
from torchq.graph import Step, Symbolic
from torchq.nn import QActivation


def resize(found: Symbolic, units: Mapping[str, int]) -> None:
    """Keep so many neurons of each layer, changing the modules of a traced float model in place.

    A neuron's importance is the L2 norm of the weights that come in, times the scale of a batch norm after
    it, times the L2 norm of the weights that go out. The kept ones stay in their order.

    Args:
        found: the traced model; its layers are float.
        units: layer name -> neurons to keep.

    Raises:
        SchemeError: a layer without neurons, more neurons than it has, or the layer that makes the model's
            output.
    """
    for step in found.steps:
        if step.name in units:
            _resize(found, step, units[step.name])


def _resize(found: Symbolic, step: Step, count: int) -> None:
    layer = step.module
    if type(layer) is not nn.Linear:
        raise SchemeError(
            f"units: {step.name} is a {type(layer).__name__}; only a float Linear has neurons to choose from"
        )
    has = layer.out_features
    if count > has:
        raise SchemeError(
            f"units: {step.name} has {has} neurons, {count} are asked for",
            hint="units are only taken away; make the float model larger",
        )
    if count == has:
        return
    if found.calls(step) > 1:
        raise SchemeError(
            f"units: {step.name} is called {found.calls(step)} times",
            hint="give each place a layer of its own",
        )
    norms, readers = _downstream(found, step)
    keep = torch.topk(_importance(layer, norms, readers), count, sorted=False).indices.sort().values
    _keep_outputs(layer, keep)
    for norm in norms:
        _keep_channels(norm, keep)
    for reader in readers:
        _keep_inputs(reader, keep)


def _downstream(found: Symbolic, step: Step) -> tuple[list[nn.BatchNorm1d], list[nn.Linear]]:
    """The batch norms that the neurons pass and the linear layers that read them."""
    norms: list[nn.BatchNorm1d] = []
    readers: list[nn.Linear] = []
    names = [step.name]
    for name in names:
        if name == found.output:
            features = cast("nn.Linear", step.module).out_features
            raise SchemeError(
                f"units: {step.name} makes the model's {features} outputs",
                hint="only the layers before it can lose neurons",
            )
        for reader in found.readers(name):
            module = reader.module
            _check_single(found, step, reader)
            if type(module) is nn.Linear:
                readers.append(module)
                continue
            if isinstance(module, nn.Linear):
                raise SchemeError(
                    f"units: {reader.name}, which reads {step.name}, is a {type(module).__name__} already",
                    hint="change the number of neurons of the float model",
                )
            if isinstance(module, nn.BatchNorm1d):
                norms.append(module)
            names.append(reader.name)
    return norms, readers


def _check_single(found: Symbolic, step: Step, reader: Step) -> None:
    """Refuse a reader that other neurons come to as well, or whose weights do not follow neuron by neuron."""
    module, passive = reader.module, reader.passive
    if isinstance(module, nn.Linear) and found.calls(reader) > 1:
        raise SchemeError(
            f"units: {reader.name}, which reads {step.name}, is called {found.calls(reader)} times",
            hint="give each place a layer of its own",
        )
    single = isinstance(module, nn.Linear | nn.BatchNorm1d) or (
        (passive is not None and not passive.moves) or isinstance(module, QActivation)
    )
    if not single and not isinstance(module, nn.Flatten):
        what = type(module).__name__ if module is not None else str(reader.name)
        raise SchemeError(
            f"units: {step.name} is read by {reader.name} ({what}), which cannot follow",
            hint="keep all neurons of it",
        )


def _importance(layer: nn.Linear, norms: list[nn.BatchNorm1d], readers: list[nn.Linear]) -> Tensor:
    """Shape ``[out_features]``, float64."""
    with torch.no_grad():
        score = layer.weight.double().norm(dim=1)
        for norm in norms:
            if norm.weight is not None:
                score = score * norm.weight.double().abs()
            if norm.running_var is not None:
                score = score / torch.sqrt(norm.running_var.double() + norm.eps)
        going_out = torch.cat([reader.weight.double() for reader in readers])
        importance: Tensor = score * going_out.norm(dim=0)
        return importance


def _keep_outputs(layer: nn.Linear, keep: Tensor) -> None:
    layer.weight = _picked(layer.weight, keep)
    if layer.bias is not None:
        layer.bias = _picked(layer.bias, keep)
    layer.out_features = len(keep)


def _keep_inputs(layer: nn.Linear, keep: Tensor) -> None:
    layer.weight = _picked(layer.weight, keep, dim=1)
    layer.in_features = len(keep)


def _keep_channels(norm: nn.BatchNorm1d, keep: Tensor) -> None:
    if norm.affine:
        norm.weight, norm.bias = _picked(norm.weight, keep), _picked(norm.bias, keep)
    if norm.running_mean is not None and norm.running_var is not None:
        norm.running_mean = norm.running_mean[keep].clone()
        norm.running_var = norm.running_var[keep].clone()
    norm.num_features = len(keep)


def _picked(parameter: Tensor, keep: Tensor, dim: int = 0) -> nn.Parameter:
    values = parameter.detach().index_select(dim, keep.to(parameter.device)).clone()
    return nn.Parameter(values, requires_grad=parameter.requires_grad)
