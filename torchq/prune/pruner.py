"""``Pruner``: chooses weights by a schedule while a model is trained."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from torchq.advice import advice
from torchq.errors import TrainError
from torchq.prune.magnitude import per_layer, together
from torchq.prune.masks import check_zero, mask_of, set_mask, watch_idle, zero_pruned
from torchq.prune.report import weights_of
from torchq.prune.schedule import Schedule
from torchq.prune.structured import group_pattern, in_groups, whole_neurons

SCOPES = ("layer", "global", "neurons")
"""Beside these there is ``"N:M"``."""


@dataclass(frozen=True)
class _Target:
    layer: str
    module: nn.Module
    name: str

    def weight(self) -> nn.Parameter:
        return self.module.get_parameter(self.name)

    def mask(self) -> Tensor:
        mask = mask_of(self.module, self.name)
        return torch.zeros_like(self.weight(), dtype=torch.bool) if mask is None else mask


class Pruner:
    """Prunes the weights of smallest magnitude, more and more of them as a schedule says.

    The layers get their masks (see :mod:`torchq.prune.masks`) when the pruner is made; what is due after 0
    steps is pruned then. Call :meth:`step` after each optimizer step, or give it to the training:
    ``fit(..., after_step=pruner.step)``. Pruned weights do not come back. The float weights are masked, so
    quantizers, whose scale may follow from the weights, see the zeros.

    Masks are chosen from the weights and the number of steps alone, and live in the model's ``state_dict``:
    a training that goes on from a checkpoint prunes as one that was never stopped.

    Args:
        model: float or quantized; any module with parameters ``weight``, ``weight_...`` or
            ``..._weight`` of two axes or more.
        schedule: how many weights at which step.
        scope: ``"layer"``: this share of each layer. ``"global"``: of all layers together. ``"neurons"``:
            this share of the neurons of each layer, the ones with the smallest norm, with their biases; the
            last layer, which makes the model's outputs, is left alone unless ``layers`` names it. ``"2:4"``
            (any N:M): of each four neighbouring inputs of an output the two largest stay.
        layers: names or globs of the layers to prune; all by default.

    Raises:
        TrainError: an unknown scope or layer, a layer that cannot be pruned, or an N:M that does not fit.

    Example:
        >>> from torchq.models import jets_mlp
        >>> from torchq.prune import ConstantSparsity, sparsity
        >>> model = jets_mlp(seed=0)
        >>> pruner = Pruner(model, ConstantSparsity(0.75))
        >>> sparsity(model).share
        0.75
    """

    def __init__(
        self,
        model: nn.Module,
        schedule: Schedule,
        *,
        scope: str = "layer",
        layers: Sequence[str] | None = None,
    ) -> None:
        self.schedule = schedule
        self.scope = scope
        self._groups = group_pattern(scope)
        if self._groups is None and scope not in SCOPES:
            raise TrainError(f"unknown scope {scope!r}", hint=advice(scope, [*SCOPES, "N:M"], "Scopes"))
        self._targets = _targets(model, layers, scope)
        self._check_groups()
        for target in self._targets:
            set_mask(target.module, target.name, target.mask())
            if scope == "neurons" and _bias(target.module) is not None:
                mask = mask_of(target.module, "bias")
                none = torch.zeros_like(target.module.get_parameter("bias"), dtype=torch.bool)
                set_mask(target.module, "bias", none if mask is None else mask)
        watch_idle(model)
        self.steps = 0
        self.step(0)

    @property
    def layers(self) -> tuple[str, ...]:
        """The names of the layers that are pruned."""
        return tuple(target.layer for target in self._targets)

    @property
    def settled(self) -> bool:
        """Whether the choice of weights is over: what is pruned stays so, with or without more steps."""
        return self.schedule.end is not None and self.steps >= self.schedule.end

    def step(self, step: int | None = None) -> None:
        """After an optimizer step: choose weights if it is time to, and set all pruned ones to zero.

        Args:
            step: how many training steps are done; one more than at the call before, if left out.
        """
        self.steps = self.steps + 1 if step is None else step
        if self.schedule.due(self.steps):
            self._choose(self.schedule.at(self.steps))
        for target in self._targets:
            zero_pruned(target.module)

    def _choose(self, sparsity: float) -> None:
        scores = [_scores(target) for target in self._targets]
        for target, chosen in zip(self._targets, self._masks(scores, sparsity), strict=True):
            mask = chosen | target.mask()
            set_mask(target.module, target.name, mask)
            if self.scope == "neurons" and _bias(target.module) is not None:
                set_mask(target.module, "bias", mask.reshape(len(mask), -1).all(dim=1))

    def _masks(self, scores: list[Tensor], sparsity: float) -> list[Tensor]:
        if self._groups is not None:
            kept, group = self._groups
            return [in_groups(score, kept, group, sparsity) for score in scores]
        if self.scope == "neurons":
            return [whole_neurons(score, sparsity) for score in scores]
        return (together if self.scope == "global" else per_layer)(scores, sparsity)

    def _check_groups(self) -> None:
        if self._groups is None:
            return
        kept, group = self._groups
        for target in self._targets:
            inputs = target.weight()[0].numel()
            if inputs % group:
                raise TrainError(
                    f"{target.layer} has {inputs} inputs, which {group} does not divide",
                    hint=f"prune other layers {self.scope}, or take another M",
                )
        final = 1.0 - kept / group
        if abs(self.schedule.final - final) > 1e-9:
            raise TrainError(
                f"scope {self.scope} ends at a sparsity of {final:g}, the schedule at "
                f"{self.schedule.final:g}",
                hint=f"let the schedule end at {final:g}",
            )


def _scores(target: _Target) -> Tensor:
    """The magnitudes; those of pruned weights are below all others, so that they stay pruned."""
    weight = target.weight().detach()
    if not bool(torch.isfinite(weight).all()):
        raise TrainError(f"{target.layer} cannot be pruned: its {target.name} holds NaN or infinity")
    return weight.abs().masked_fill(target.mask(), -1.0)


def _bias(module: nn.Module) -> nn.Parameter | None:
    return module._parameters.get("bias")


def _targets(model: nn.Module, layers: Sequence[str] | None, scope: str) -> tuple[_Target, ...]:
    able = [
        _Target(layer, module, name) for layer, module in model.named_modules() for name in weights_of(module)
    ]
    if not able:
        raise TrainError("the model has no weights to prune", hint="give one with linear layers")
    if layers is None:
        chosen = [x for x in able if not isinstance(x.module, nn.Embedding | nn.EmbeddingBag)]
        if scope == "neurons":
            chosen = [x for x in chosen if x.layer != chosen[-1].layer]
    else:
        names = list(dict.fromkeys(x.layer for x in able))
        for pattern in layers:
            if not fnmatch.filter(names, pattern):
                raise TrainError(
                    f"no layer {pattern!r} to prune", hint=advice(pattern, names, "Layers with weights")
                )
        chosen = [x for x in able if any(fnmatch.fnmatchcase(x.layer, pattern) for pattern in layers)]
    if not chosen:
        raise TrainError("no layer is left to prune", hint="name the layers")
    for target in chosen:
        check_zero(target.layer, target.module, target.name)
    return tuple(chosen)
