"""A model as a chain of links, each of which has a stacked form; or the reason why it is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from torchq.errors import GraphError
from torchq.graph import symbolic
from torchq.graph.steps import Step, Symbolic
from torchq.nn import QActivation, QInput, QLinear, QLinearBatchNorm1d, QReLU
from torchq.prune.masks import masked_names
from torchq.quantizers import Quantizer
from torchq.train.stacked.numbers import Numbers, numbers_of


@dataclass(frozen=True)
class Link:
    """One operation of a chain.

    Attributes:
        kind: ``"quantize"``, ``"linear"``, ``"folded"`` (a linear layer with a batch norm folded in) or
            ``"norm"``.
        options: what must be the same in all candidates of a stack.
        module: the layer with the parameters.
        name: of the layer in its model.
        inputs: values per sample that it reads (layers with weights).
        outputs: values per sample that it writes (layers with parameters).
        quantizers: those of weight and bias, or of the activation; None for none.
        relu: whether a relu comes before the activation's quantizer.
    """

    kind: str
    options: tuple[Any, ...] = ()
    module: nn.Module | None = None
    name: str = ""
    inputs: int = 0
    outputs: int = 0
    quantizers: tuple[Quantizer | None, ...] = (None,)
    relu: bool = False

    @property
    def norm(self) -> nn.BatchNorm1d:
        """The batch norm of a ``folded`` or ``norm`` link."""
        found = self.module.batch_norm if self.kind == "folded" else self.module  # type: ignore[union-attr]
        assert isinstance(found, nn.BatchNorm1d)  # noqa: S101 - told to the type checker
        return found


@dataclass(frozen=True)
class Chain:
    """A model whose layers follow one another.

    Attributes:
        model: the model.
        links: its operations; the first one is a ``quantize``.
        dtype: of its parameters.
        numbers: those of every quantizer, in order.
        wide: the same for values of double precision.
    """

    model: nn.Module
    links: tuple[Link, ...]
    dtype: torch.dtype
    numbers: tuple[Numbers, ...]
    wide: tuple[Numbers, ...]

    @property
    def structure(self) -> tuple[Any, ...]:
        """What two chains must share to stand in one stack: all but widths, quantizers and values."""
        ends = (self.links_with_weights[0].inputs, self.links_with_weights[-1].outputs)
        return (self.dtype, ends, *((link.kind, link.options) for link in self.links))

    @property
    def links_with_weights(self) -> tuple[Link, ...]:
        """The linear layers."""
        return tuple(link for link in self.links if link.kind in ("linear", "folded"))


def chain_of(model: nn.Module) -> Chain | str:
    """The chain that a model is, or the sentence why it is none.

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
    links: list[Link] = [Link("quantize")]
    last = found.input
    for step in found.steps:
        made = (
            _links(found, step)
            if step.sources == (last,)
            else f"{step.name} does not read the step before it"
        )
        if isinstance(made, str):
            return made
        links += made
        last = step.name
    if links[1:2] and links[1].kind == "quantize":
        links.pop(0)
    return _checked(model, tuple(links)) if last == found.output else f"{found.output} is not the last step"


def _checked(model: nn.Module, links: tuple[Link, ...]) -> Chain | str:
    if not any(link.kind in ("linear", "folded") for link in links):
        return "the model has no linear layer"
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
            inputs = link.inputs if slot == 0 else 0
            for kept, kind in ((numbers, dtype), (wide, torch.float64)):
                made = numbers_of(quantizer, kind, relu=link.relu, inputs=inputs)
                if isinstance(made, str):
                    return f"{link.name}: {made}"
                kept.append(made)
    return Chain(model, links, dtype, tuple(numbers), tuple(wide))


def _links(found: Symbolic, step: Step) -> list[Link] | str:
    module, name = step.module, step.name
    if module is not None and found.calls(step) > 1:
        return f"{name} is called {found.calls(step)} times"
    kind = type(module)
    if isinstance(module, QReLU):
        return [_activation(name, module.output_quantizer, relu=not module.contains_relu())]
    if kind in (QInput, QActivation):
        return [_activation(name, module.output_quantizer)]  # type: ignore[union-attr, arg-type]
    if kind is nn.ReLU or (module is None and step.passive is not None and step.passive.kind == "relu"):
        return [_activation(name, None, relu=True)]
    if kind is nn.Identity or (isinstance(module, nn.Dropout) and module.p == 0):
        return []
    if isinstance(module, QLinearBatchNorm1d):
        return _folded(name, module)
    if isinstance(module, nn.Linear) and kind in (QLinear, nn.Linear):
        slots = (
            (module.weight_quantizer, module.bias_quantizer) if isinstance(module, QLinear) else (None, None)
        )
        return [
            Link(
                "linear",
                (module.bias is not None,),
                module,
                name,
                module.in_features,
                module.out_features,
                slots,
            ),
            *_output(name, module),
        ]
    if isinstance(module, nn.BatchNorm1d) and kind is nn.BatchNorm1d:
        if not module.track_running_stats or module.momentum is None:
            return f"{name}: a batch norm without running statistics or momentum is not stacked"
        options = (module.affine, module.eps, module.momentum)
        size = module.num_features
        return [Link("norm", options, module, name, size, size, ())]
    return f"{name}: a {kind.__name__ if module is not None else step.node.target} is not stacked"


def _activation(name: str, quantizer: Quantizer | None, *, relu: bool = False) -> Link:
    return Link("quantize", name=name, quantizers=(quantizer,), relu=relu)


def _output(name: str, layer: nn.Module) -> list[Link]:
    quantizer = layer.output_quantizer if isinstance(layer, QLinear) else None
    return [] if quantizer is None else [_activation(name, quantizer)]


def _folded(name: str, layer: QLinearBatchNorm1d) -> list[Link] | str:
    norm = layer.batch_norm
    if layer.freeze_delay is not None or norm.momentum is None or not norm.track_running_stats:
        return f"{name}: a batch norm that is frozen on the way, or has no momentum, is not stacked"
    options = (layer.bias is not None, norm.affine, norm.eps, norm.momentum, layer.folding)
    slots = (layer.weight_quantizer, layer.bias_quantizer)
    return [
        Link("folded", options, layer, name, layer.in_features, layer.out_features, slots),
        *_output(name, layer),
    ]


def _hooked(model: nn.Module) -> str | None:
    """Hooks of others than of pruning masks would not be called in a stack."""
    for name, module in model.named_modules():
        before = len(module._forward_pre_hooks) - bool(masked_names(module))
        if before > 0 or module._forward_hooks or module._backward_hooks or module._backward_pre_hooks:
            return f"{name or type(module).__name__} has hooks"
    return None
