"""Fewer neurons or filters: the strongest of a layer are kept, and the layers that read them follow.

More of them, too: :func:`widened` puts new ones in, which change nothing until they are trained.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from torchq.errors import SchemeError, TorchqError
from torchq.graph import Step, Symbolic, symbolic
from torchq.nn import QActivation

Wide = nn.Linear | nn.Conv1d | nn.Conv2d
"""Layers with neurons or filters."""

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
CHANNELWISE = (
    *(nn.Flatten, nn.MaxPool1d, nn.MaxPool2d, nn.AvgPool1d, nn.AvgPool2d),
    *(nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d),
)
"""What passes every channel by itself."""


@dataclass(frozen=True)
class _Behind:
    """What follows a layer's neurons: batch norms, and the layers that read them."""

    norms: tuple[nn.BatchNorm1d | nn.BatchNorm2d, ...]
    readers: tuple[Wide, ...]


def resize(found: Symbolic, units: Mapping[str, int]) -> None:
    """Keep so many neurons or filters of each layer, changing the modules of a traced float model in place.

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


def neurons(model: nn.Module) -> dict[str, int]:
    """The layers whose number of neurons or filters may change, with the number that they have.

    Example:
        >>> from torchq.models import jets_mlp
        >>> neurons(jets_mlp(units=(64, 32)))
        {'fc1': 64, 'fc2': 32}
    """
    found = symbolic(model)
    sizes: dict[str, int] = {}
    for step in found.steps:
        try:
            layer = _wide(found, step)
            _behind(found, step, layer)
        except TorchqError:
            continue
        sizes[step.name] = width_of(layer)
    return sizes


def widened(model: nn.Module, units: Mapping[str, int], seed: int = 0) -> nn.Module:
    """A copy with more neurons or filters, which answers what the model answers.

    New neurons come in with random weights, as torch makes them, and go out with zeros: nothing changes until
    they are trained.

    Args:
        model: a float model.
        units: layer name -> neurons; where a layer has as many or more, it stays as it is.
        seed: of the new weights.

    Raises:
        SchemeError: as :func:`resize`.

    Example:
        >>> from torchq.models import jets_mlp
        >>> small, x = jets_mlp(units=(4,), seed=0).eval(), torch.ones(1, 16)
        >>> large = widened(small, {"fc1": 6})
        >>> neurons(large), torch.allclose(small(x), large(x))
        ({'fc1': 6}, True)
    """
    result = copy.deepcopy(model)
    found = symbolic(result)
    draw = torch.Generator().manual_seed(seed)
    for step in found.steps:
        if step.name in units:
            layer = _wide(found, step)
            more = units[step.name] - width_of(layer)
            if more > 0:
                _widen(layer, _behind(found, step, layer), more, draw)
    return result


def width_of(layer: Wide) -> int:
    """How many neurons or filters a layer has."""
    return layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels


def _wide(found: Symbolic, step: Step) -> Wide:
    layer = step.module
    if type(layer) not in (nn.Linear, nn.Conv1d, nn.Conv2d):
        raise SchemeError(
            f"units: {step.name} is a {type(layer).__name__}; only a float Linear, Conv1d or Conv2d has "
            "neurons to choose from"
        )
    if isinstance(layer, nn.Conv1d | nn.Conv2d) and layer.groups > 1:
        raise SchemeError(
            f"units: {step.name} is a convolution of {layer.groups} groups", hint="keep all filters of it"
        )
    if found.calls(step) > 1:
        raise SchemeError(
            f"units: {step.name} is called {found.calls(step)} times",
            hint="give each place a layer of its own",
        )
    return cast("Wide", layer)


def _resize(found: Symbolic, step: Step, count: int) -> None:
    if isinstance(step.module, nn.Linear | nn.Conv1d | nn.Conv2d):
        has = width_of(step.module)
        if count > has:
            raise SchemeError(
                f"units: {step.name} has {has} neurons, {count} are asked for",
                hint="units are only taken away; make the float model larger",
            )
        if type(step.module) in (nn.Linear, nn.Conv1d, nn.Conv2d) and count == has:
            return
    layer = _wide(found, step)
    behind = _behind(found, step, layer)
    importance = _importance(layer, behind)
    keep = torch.topk(importance, count, sorted=False).indices.sort().values
    places = {id(reader): _places(reader, keep, width_of(layer)) for reader in behind.readers}
    _keep_outputs(layer, keep)
    for norm in behind.norms:
        _keep_channels(norm, keep)
    for reader in behind.readers:
        reader.weight = _picked(reader.weight, places[id(reader)], dim=1)
        _set_inputs(reader)


def _behind(found: Symbolic, step: Step, layer: Wide) -> _Behind:
    """The batch norms that the neurons pass and the layers that read them."""
    norms: list[nn.BatchNorm1d | nn.BatchNorm2d] = []
    readers: list[Wide] = []
    names = [step.name]
    for name in names:
        if name == found.output:
            raise SchemeError(
                f"units: {step.name} makes the model's {width_of(layer)} outputs",
                hint="only the layers before it can lose neurons",
            )
        for reader in found.readers(name):
            module = reader.module
            _check_single(found, step, reader)
            if type(module) in (nn.Linear, nn.Conv1d, nn.Conv2d):
                readers.append(cast("Wide", module))
                continue
            if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d):
                raise SchemeError(
                    f"units: {reader.name}, which reads {step.name}, is a {type(module).__name__} already",
                    hint="change the number of neurons of the float model",
                )
            if isinstance(module, NORMS):
                norms.append(module)
            names.append(reader.name)
    return _Behind(tuple(norms), tuple(readers))


def _check_single(found: Symbolic, step: Step, reader: Step) -> None:
    """Refuse a reader that other neurons come to as well, or whose weights do not follow neuron by neuron."""
    module, passive = reader.module, reader.passive
    wide = isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d)
    if wide and found.calls(reader) > 1:
        raise SchemeError(
            f"units: {reader.name}, which reads {step.name}, is called {found.calls(reader)} times",
            hint="give each place a layer of its own",
        )
    single = wide or isinstance(module, (*NORMS, *CHANNELWISE))
    if isinstance(module, nn.Conv1d | nn.Conv2d) and module.groups > 1:
        single = False
    if not single and passive is not None:
        single = not passive.moves
    if not single and not isinstance(module, QActivation) and not _pointwise(module):
        what = type(module).__name__ if module is not None else str(reader.name)
        raise SchemeError(
            f"units: {step.name} is read by {reader.name} ({what}), which cannot follow",
            hint="keep all neurons of it",
        )


def _pointwise(module: nn.Module | None) -> bool:
    """Whether a float module is an activation that takes each value by itself."""
    return type(module) in (
        *(nn.ReLU, nn.Tanh, nn.Sigmoid, nn.Hardtanh, nn.Hardsigmoid, nn.Hardswish),
        *(nn.ELU, nn.GELU, nn.SiLU, nn.Softplus),
    )


def _importance(layer: Wide, behind: _Behind) -> Tensor:
    """Shape ``[neurons]``, float64."""
    with torch.no_grad():
        score = layer.weight.double().flatten(1).norm(dim=1)
        for norm in behind.norms:
            if norm.weight is not None:
                score = score * norm.weight.double().abs()
            if norm.running_var is not None:
                score = score / torch.sqrt(norm.running_var.double() + norm.eps)
        count = width_of(layer)
        going_out = torch.cat([_by_source(reader, count) for reader in behind.readers])
        importance: Tensor = score * going_out.norm(dim=0)
        return importance


def _by_source(reader: Wide, count: int) -> Tensor:
    """The weights that leave each neuron, ``[weights, neurons]``, float64.

    Behind a flattened feature map one channel is a run of neighbouring inputs.
    """
    weight = reader.weight.double()
    if isinstance(reader, nn.Linear):
        return weight.reshape(len(weight), count, -1).transpose(1, 2).reshape(-1, count)
    return weight.transpose(0, 1).flatten(1).T


def _places(reader: Wide, keep: Tensor, count: int) -> Tensor:
    """The inputs of a reader that come from these neurons."""
    if not isinstance(reader, nn.Linear):
        return keep
    run = reader.in_features // count
    return (keep[:, None] * run + torch.arange(run, device=keep.device)).flatten()


def _keep_outputs(layer: Wide, keep: Tensor) -> None:
    layer.weight = _picked(layer.weight, keep)
    if layer.bias is not None:
        layer.bias = _picked(layer.bias, keep)
    _set_outputs(layer)


def _keep_channels(norm: nn.BatchNorm1d | nn.BatchNorm2d, keep: Tensor) -> None:
    if norm.affine:
        norm.weight, norm.bias = _picked(norm.weight, keep), _picked(norm.bias, keep)
    if norm.running_mean is not None and norm.running_var is not None:
        norm.running_mean = norm.running_mean[keep].clone()
        norm.running_var = norm.running_var[keep].clone()
    norm.num_features = len(keep)


def _widen(layer: Wide, behind: _Behind, more: int, draw: torch.Generator) -> None:
    count, fan_in = width_of(layer), layer.weight[0].numel()
    rows = torch.rand((more, *layer.weight.shape[1:]), generator=draw, dtype=torch.float64) * 2 - 1
    layer.weight = _with(layer.weight, rows / fan_in**0.5)
    if layer.bias is not None:
        layer.bias = _with(layer.bias, torch.zeros(more))
    _set_outputs(layer)
    for norm in behind.norms:
        if norm.affine:
            norm.weight, norm.bias = _with(norm.weight, torch.ones(more)), _with(norm.bias, torch.zeros(more))
        if norm.running_mean is not None and norm.running_var is not None:
            norm.running_mean = torch.cat([norm.running_mean, norm.running_mean.new_zeros(more)])
            norm.running_var = torch.cat([norm.running_var, norm.running_var.new_ones(more)])
        norm.num_features = count + more
    for reader in behind.readers:
        run = reader.in_features // count if isinstance(reader, nn.Linear) else 1
        shape = (reader.weight.shape[0], more * run, *reader.weight.shape[2:])
        reader.weight = _with(reader.weight, torch.zeros(shape), dim=1)
        _set_inputs(reader)


def _set_outputs(layer: Wide) -> None:
    if isinstance(layer, nn.Linear):
        layer.out_features = layer.weight.shape[0]
    else:
        layer.out_channels = layer.weight.shape[0]


def _set_inputs(layer: Wide) -> None:
    if isinstance(layer, nn.Linear):
        layer.in_features = layer.weight.shape[1]
    else:
        layer.in_channels = layer.weight.shape[1]


def _with(parameter: Tensor, rows: Tensor, dim: int = 0) -> nn.Parameter:
    values = torch.cat([parameter.detach(), rows.to(parameter)], dim)
    return nn.Parameter(values, requires_grad=parameter.requires_grad)


def _picked(parameter: Tensor, keep: Tensor, dim: int = 0) -> nn.Parameter:
    values = parameter.detach().index_select(dim, keep.to(parameter.device)).clone()
    return nn.Parameter(values, requires_grad=parameter.requires_grad)
