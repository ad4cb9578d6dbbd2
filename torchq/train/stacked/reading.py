"""Models read as chains; or the reason why they are none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from torchq.errors import GraphError
from torchq.graph import symbolic
from torchq.graph.steps import Step
from torchq.nn import QActivation, QConv1d, QConv2d, QInput, QLinear, QReLU
from torchq.nn.batch_folding import FoldedLayer
from torchq.nn.folded import QConv1dBatchNorm, QConv2dBatchNorm, QLinearBatchNorm1d
from torchq.nn.pool import AveragePool, QAvgPool1d, QAvgPool2d
from torchq.nn.pool_whole import QAdaptiveAvgPool1d, QAdaptiveAvgPool2d, QGlobalAvgPool1d, QGlobalAvgPool2d
from torchq.prune.masks import masked_names
from torchq.quantizers import Quantizer
from torchq.train.stacked.chain import Chain, Link
from torchq.train.stacked.numbers import PLAIN, Numbers, numbers_of
from torchq.train.stacked.windows import Window, of_convolution, of_pool

LINEAR = (nn.Linear, QLinear)
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, QConv1d, QConv2d)
FOLDED = (QLinearBatchNorm1d, QConv1dBatchNorm, QConv2dBatchNorm)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
SLIDING = (QAvgPool1d, QAvgPool2d)
WHOLE = (QAdaptiveAvgPool1d, QAdaptiveAvgPool2d, QGlobalAvgPool1d, QGlobalAvgPool2d)

Shape = tuple[int, ...]


def chain_of(model: nn.Module, shape: Shape | None = None) -> Chain | str:
    """The chain that a model is, or the sentence why it is none.

    Args:
        model: trained by ``fit`` as it is.
        shape: of one sample; where it is left out, that of the first linear layer.

    Example:
        >>> found = chain_of(nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)))
        >>> [link.kind for link in found.links]
        ['quantize', 'linear', 'quantize', 'linear']
        >>> chain_of(nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.1)))
        '1: a Dropout is not stacked'
    """
    reason = _hooked(model)
    if reason is not None:
        return reason
    try:
        found = symbolic(model)
    except GraphError as fault:
        return fault.message
    if shape is None:
        first = next((step.module for step in found.steps if isinstance(step.module, nn.Linear)), None)
        shape = (first.in_features,) if first is not None else (1,)
    links: list[Link] = [Link("quantize", positions=math.prod(shape[1:]))]
    here, last = shape, found.input
    for step in found.steps:
        if step.sources != (last,):
            return f"{step.name} does not read the step before it"
        if step.module is not None and found.calls(step) > 1:
            return f"{step.name} is called {found.calls(step)} times"
        made = _links(step, here)
        if isinstance(made, str):
            return made
        here = _shape(made, here)
        links += [replace(link, positions=math.prod(here[1:])) for link in made]
        last = step.name
    if links[1:2] and links[1].kind == "quantize":
        links.pop(0)
    if last != found.output:
        return f"{found.output} is not the last step"
    return _checked(model, tuple(links), shape, here)


def _shape(links: Sequence[Link], here: Shape) -> Shape:
    """The shape of a sample after some links."""
    for link in links:
        if link.kind == "flatten":
            here = (link.outputs,)
        elif link.window is not None:
            here = (link.outputs or here[0], *link.window.made[2 - len(here[1:]) :])
        else:
            here = (link.outputs or here[0], *here[1:])
    return here


def _checked(model: nn.Module, links: tuple[Link, ...], shape: Shape, answer: Shape) -> Chain | str:
    if not any(link.kind in ("linear", "folded") for link in links):
        return "the model has no linear layer"
    if len(answer) > 1:
        return f"it answers samples of shape {list(answer)}, not logits"
    held = {id(p) for link in links if link.module is not None for p in link.module.parameters()}
    if any(id(p) not in held for p in model.parameters()):
        return "the model has parameters outside of its layers"
    if not all(p.requires_grad for p in model.parameters()):
        return "some parameters are not trained"
    dtypes = {p.dtype for p in model.parameters()}
    if dtypes not in ({torch.float32}, {torch.float64}):
        return f"its parameters are {', '.join(sorted(str(d).removeprefix('torch.') for d in dtypes))}"
    (dtype,) = dtypes
    numbers: list[Numbers] = []
    wide: list[Numbers] = []
    for link in links:
        for slot, quantizer in enumerate(link.quantizers):
            inputs = _fan_in(link) if slot == 0 else 0
            for kept, kind in ((numbers, dtype), (wide, torch.float64)):
                made = numbers_of(quantizer, kind, relu=link.relu, inputs=inputs)
                if isinstance(made, str):
                    return f"{link.name}: {made}"
                kept.append(made if link.factor is None else Numbers(PLAIN, worth=link.factor))
    return Chain(model, links, shape, dtype, tuple(numbers), tuple(wide))


def _fan_in(link: Link) -> int:
    """Weights of each output."""
    return link.module.get_parameter("weight")[0].numel() if link.module is not None and link.inputs else 0


def _links(step: Step, here: Shape) -> list[Link] | str:
    """What a step is, for samples of a shape."""
    module, name = step.module, step.name
    kind = type(module)
    if isinstance(module, QReLU):
        return [_activation(name, module.output_quantizer, relu=not module.contains_relu())]
    if kind in (QInput, QActivation):
        return [_activation(name, module.output_quantizer)]  # type: ignore[union-attr, arg-type]
    if kind is nn.ReLU or (module is None and step.passive is not None and step.passive.kind == "relu"):
        return [_activation(name, None, relu=True)]
    if kind is nn.Identity or (isinstance(module, nn.Dropout) and module.p == 0):
        return []
    if step.passive is not None and step.passive.kind == "reshape":
        return _reshaped(step, here)
    if kind in FOLDED:
        return _folded(name, module, here)  # type: ignore[arg-type]
    if kind in (*LINEAR, *CONVOLUTIONS):
        return _product(name, module, here)
    if kind in NORMS:
        return _norm(name, module)  # type: ignore[arg-type]
    if kind in (nn.MaxPool1d, nn.MaxPool2d):
        return _max_pool(name, module, here)
    if kind in (*SLIDING, *WHOLE):
        return _average_pool(name, module, here)  # type: ignore[arg-type]
    return f"{name}: a {kind.__name__ if module is not None else step.node.target} is not stacked"


def _activation(name: str, quantizer: Quantizer | None, *, relu: bool = False) -> Link:
    return Link("quantize", name=name, quantizers=(quantizer,), relu=relu)


def _output(name: str, layer: Any) -> list[Link]:
    """The quantizer behind a layer."""
    quantizer = getattr(layer, "output_quantizer", None)
    return [] if quantizer is None else [_activation(name, quantizer)]


def _product(name: str, layer: Any, here: Shape) -> list[Link] | str:
    made = _sizes(name, layer, here)
    if isinstance(made, str):
        return made
    inputs, outputs, shared, window = made
    slots = (getattr(layer, "weight_quantizer", None), getattr(layer, "bias_quantizer", None))
    options = (layer.bias is not None, *shared)
    link = Link("linear", options, layer, name, inputs, outputs, slots, window=window)
    return [link, *_output(name, layer)]


def _folded(name: str, layer: FoldedLayer, here: Shape) -> list[Link] | str:
    norm = layer.batch_norm
    if layer.freeze_delay is not None or norm.momentum is None or not norm.track_running_stats:
        return f"{name}: a batch norm that is frozen on the way, or has no momentum, is not stacked"
    made = _sizes(name, layer, here)
    if isinstance(made, str):
        return made
    inputs, outputs, shared, window = made
    options = (layer.bias is not None, norm.affine, norm.eps, norm.momentum, layer.folding, *shared)
    slots = (layer.weight_quantizer, layer.bias_quantizer)
    link = Link("folded", options, layer, name, inputs, outputs, slots, window=window)
    return [link, *_output(name, layer)]


def _sizes(name: str, layer: Any, here: Shape) -> tuple[int, int, tuple[int, ...], Window | None] | str:
    """Inputs, outputs, the channels that candidates must share, and the window of a layer with weights."""
    if isinstance(layer, nn.Linear):
        if len(here) > 1:
            return f"{name}: a {type(layer).__name__} on samples of shape {list(here)} is not stacked"
        return layer.in_features, layer.out_features, (), None
    window = of_convolution(layer, here)
    if isinstance(window, str):
        return f"{name}: {window}"
    inputs, outputs = layer.in_channels, layer.out_channels
    shared = {0: (outputs // inputs,), 1: ()}.get(window.groups, (inputs, outputs))
    return inputs, outputs, shared, window


def _norm(name: str, norm: nn.BatchNorm1d | nn.BatchNorm2d) -> list[Link] | str:
    if not norm.track_running_stats or norm.momentum is None:
        return f"{name}: a batch norm without running statistics or momentum is not stacked"
    size = norm.num_features
    return [Link("norm", (norm.affine, norm.eps, norm.momentum), norm, name, outputs=size, quantizers=())]


def _max_pool(name: str, pool: Any, here: Shape) -> list[Link] | str:
    if pool.return_indices:
        return f"{name}: a {type(pool).__name__} that returns indices is not stacked"
    axes = 1 if isinstance(pool, nn.MaxPool1d) else 2
    window = of_pool(
        here, axes, pool.kernel_size, pool.stride, pool.padding, pool.dilation, ceil=pool.ceil_mode
    )
    if isinstance(window, str):
        return f"{name}: {window}"
    return [Link("pool", ("largest",), name=name, window=window)]


def _average_pool(name: str, pool: AveragePool, here: Shape) -> list[Link] | str:
    misfit = pool.misfit(here)
    if misfit is not None:
        return f"{name} {misfit}"
    given: Any = pool
    if isinstance(pool, WHOLE):
        window = of_pool(here, given.spatial, given.windows(here))
    else:
        window = of_pool(here, given.spatial, given.kernel_size, given.stride, given.padding)
    if isinstance(window, str):
        return f"{name}: {window}"
    with torch.no_grad():
        factor = float(pool.average(here))
    link = Link("pool", ("average",), name=name, window=window, factor=factor)
    return [link, *_output(name, pool)]


def _reshaped(step: Step, here: Shape) -> list[Link] | str:
    """All values in one row, or nothing changed."""
    try:
        made = tuple(step.compute(step.module, [torch.zeros(2, *here)], 2).shape)
    except RuntimeError as fault:
        return f"{step.name}: {str(fault).splitlines()[0]}"
    if made == (2, *here):
        return []
    if made != (2, math.prod(here)):
        return f"{step.name}: samples of shape {list(made[1:])} are not stacked"
    return [Link("flatten", name=step.name, outputs=math.prod(here), quantizers=())]


def _hooked(model: nn.Module) -> str | None:
    """Hooks of others than of pruning masks would not be called in a stack."""
    for name, module in model.named_modules():
        before = len(module._forward_pre_hooks) - bool(masked_names(module))
        if before > 0 or module._forward_hooks or module._backward_hooks or module._backward_pre_hooks:
            return f"{name or type(module).__name__} has hooks"
    return None
