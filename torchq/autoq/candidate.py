"""From a float model, a scheme and settings to the quantized network that a trial trains."""

from __future__ import annotations

import copy
from typing import Literal, cast

import torch
from torch import nn

from torchq.convert import neurons, quantize, widened
from torchq.errors import SchemeError
from torchq.prune import ConstantSparsity, Pruner
from torchq.scheme import Scheme
from torchq.search.space_settings import Settings, activation_module

Shape = tuple[int, ...]


def candidate(
    model: nn.Module,
    scheme: Scheme,
    settings: Settings | None = None,
    *,
    example: torch.Tensor | Shape | None,
    seed: int = 0,
    exportable: bool = True,
) -> nn.Module:
    """A quantized copy of a trained float model, ready to be trained on.

    Activations are exchanged first, then layers get more neurons where the scheme wants more than there are
    (new ones come in with random weights and go out with zeros), then the scheme is applied.

    Args:
        model: the float model.
        scheme: quantizers and numbers of neurons.
        settings: of folding and activations; of learning rate and pruning the training takes care.
        example: a batch, or the shape of one sample; without one the shapes are not checked.
        seed: of new neurons.
        exportable: refuse what stands on no hardware grid.

    Raises:
        SchemeError: the scheme does not fit the model.
        GraphError: the model cannot be traced.

    Example:
        >>> from torchq.models import jets_mlp
        >>> six = "quantized_bits(6,0,alpha=1)"
        >>> scheme = Scheme.uniform(six, six, "quantized_relu(6,2)", six).with_units("fc1", 80)
        >>> made = candidate(jets_mlp(seed=0), scheme, Settings(activations={"relu3": "none"}), example=(16,))
        >>> made.get_submodule("fc1").out_features, type(made.get_submodule("relu3")).__name__
        (80, 'QActivation')
    """
    settings = settings or Settings()
    fold = settings.fold or "train"
    made = _with_activations(model, settings)
    sizes = neurons(made) if scheme.units else {}
    more = {name: count for name, count in scheme.units.items() if count > sizes.get(name, count)}
    if more:
        made = widened(made, more, seed)
    return quantize(
        made,
        applied(model, scheme, settings),
        example=example,
        fold=cast('Literal["train", "now", "apart"]', fold),
        exportable=exportable,
    )


def pruned(model: nn.Module, settings: Settings) -> tuple[Pruner, ...]:
    """Prune the smallest weights as the settings say; the pruners keep them so while the model is trained.

    The layers' shares hold from the first step on: the weights of a trained float model are chosen from.

    Raises:
        TrainError: an unknown layer, or one that cannot be pruned.
    """
    return tuple(
        Pruner(model, ConstantSparsity(share, end=0), layers=None if layer == "*" else [layer])
        for layer, share in settings.pruning.items()
        if share > 0
    )


def _with_activations(model: nn.Module, settings: Settings) -> nn.Module:
    if not settings.activations:
        return model
    made = copy.deepcopy(model)
    for name, choice in settings.activations.items():
        try:
            old = made.get_submodule(name)
        except AttributeError:
            raise SchemeError(
                f"activation: {name} is no layer of the model", hint="name an activation layer"
            ) from None
        made.set_submodule(name, activation_module(choice).train(old.training))
    return made


def applied(model: nn.Module, scheme: Scheme, settings: Settings) -> Scheme:
    """The part of a scheme that is applied: without the slots of batch norms that are folded away.

    The layer before such a batch norm has the quantizers of both.
    """
    if settings.fold == "apart":
        return scheme
    norms = {n for n, m in model.named_modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)}
    kept = {key: slots for key, slots in scheme.layers.items() if key not in norms}
    return scheme if len(kept) == len(scheme.layers) else Scheme(kept, scheme.input, scheme.units)
