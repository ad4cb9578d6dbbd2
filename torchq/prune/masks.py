"""Masks: buffers on layers that say which of their weights are zero for good.

The mask of a parameter ``weight`` is the buffer ``weight_pruned``, true where the weight is pruned. It is in
the ``state_dict``, goes along with ``copy.deepcopy`` and ``model.to``, and :func:`carry_masks` takes it to a
quantized copy. Before every forward pass and every ``state_dict()`` of a layer its pruned weights are set to
zero, whatever an optimizer made of them since; the quantizer that follows sees zeros. So a pruned weight is
exactly zero whenever the model computes or is saved, with or without a pruner at work. (Between a bare
``optimizer.step()`` and the next forward pass ``layer.weight`` itself holds what the optimizer wrote;
:meth:`Pruner.step` clears that at once. :func:`zero_masked` does it for a whole model, for instance before a
model is frozen that was trained without a pruner.)
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear

from torchq.errors import TrainError
from torchq.nn import QLayer

SUFFIX = "_pruned"
"""What the name of a mask has behind the name of its parameter."""


def mask_of(module: nn.Module, name: str) -> Tensor | None:
    """The mask of a parameter, true where it is pruned; None if it has none."""
    mask = module._buffers.get(name + SUFFIX)
    return mask if isinstance(mask, Tensor) else None


def masked_names(module: nn.Module) -> tuple[str, ...]:
    """The names of the parameters of a module (not of its children) that have a mask."""
    names = [name.removesuffix(SUFFIX) for name in module._buffers if name.endswith(SUFFIX)]
    return tuple(name for name in names if isinstance(module._parameters.get(name), Tensor))


def set_mask(module: nn.Module, name: str, mask: Tensor) -> None:
    """Give a parameter a mask (a copy of it) and set what it prunes to zero.

    Args:
        module: the layer.
        name: of its parameter.
        mask: booleans of the shape of the parameter, true where it is pruned.
    """
    parameter = module.get_parameter(name)
    held = mask_of(module, name)
    if held is not None and held.shape == mask.shape:
        held.copy_(mask)
    else:
        module.register_buffer(name + SUFFIX, mask.to(parameter.device, torch.bool).clone())
    if _before_forward not in module._forward_pre_hooks.values():
        module.register_forward_pre_hook(_before_forward)
        module.register_state_dict_pre_hook(_before_state_dict)  # type: ignore[no-untyped-call]
    zero_pruned(module)


def zero_pruned(module: nn.Module) -> None:
    """Set the pruned weights of a module to zero.

    It writes below autograd: a layer that is called twice in one forward pass keeps what the first call saved
    for the gradient, and the values are the same. Where a parameter has another shape than its mask, since
    somebody took neurons away, its zeros are its mask from now on.
    """
    for name in masked_names(module):
        mask, parameter = mask_of(module, name), module.get_parameter(name)
        if mask is None:
            continue
        if mask.shape == parameter.shape:
            parameter.data.masked_fill_(mask, 0.0)
        else:
            module.register_buffer(name + SUFFIX, parameter.detach() == 0)


def zero_masked(model: nn.Module) -> nn.Module:
    """Set all pruned weights of a model to zero.

    Returns:
        The model.
    """
    for module in model.modules():
        zero_pruned(module)
    return model


def watch_idle(model: nn.Module) -> None:
    """Let attentions zero the weights of their ``out_proj``, which they read without calling it."""
    for module in model.modules():
        idle = any(type(x) is NonDynamicallyQuantizableLinear and masked_names(x) for x in module.children())
        if idle and _before_parent not in module._forward_pre_hooks.values():
            module.register_forward_pre_hook(_before_parent)


def _before_parent(module: nn.Module, args: Any) -> None:  # noqa: ARG001
    for child in module.children():
        zero_pruned(child)


def _before_forward(module: nn.Module, args: Any) -> None:  # noqa: ARG001
    zero_pruned(module)


def _before_state_dict(module: nn.Module, prefix: str, keep_vars: bool) -> None:  # noqa: ARG001
    zero_pruned(module)


def masked_parameters(model: nn.Module) -> Iterator[tuple[str, nn.Module, str]]:
    """The layers and parameters of a model that have masks: layer name, layer, parameter name."""
    for layer, module in model.named_modules():
        for name in masked_names(module):
            yield layer, module, name


def carry_masks(source: nn.Module, target: nn.Module) -> None:
    """Give the layers of ``target`` the masks that the layers of the same names in ``source`` have.

    :func:`torchq.convert.quantize` does this by itself; call it for a copy that was made in another way.

    Where a layer lost neurons on the way (``scheme.units``) the mask has no longer the shape of the weight:
    the zeros of the carried weight are its mask then.

    Args:
        source: a pruned model.
        target: its quantized copy; pruned weights are zero there, and stay zero when it is trained.

    Raises:
        TrainError: a weight quantizer of ``target`` has no zero.

    Example:
        >>> from torchq.convert import quantize
        >>> from torchq.prune import ConstantSparsity, Pruner
        >>> from torchq.scheme import Scheme
        >>> model = nn.Sequential(nn.Linear(8, 4))
        >>> _ = Pruner(model, ConstantSparsity(0.5))
        >>> twin = quantize(model, Scheme.uniform(weight="quantized_bits(6,0,alpha=1)"))
        >>> carry_masks(model, twin)  # nothing new: quantize has done it
        >>> int(twin.get_submodule("0").weight_pruned.sum())
        16
    """
    layers = dict(target.named_modules())
    for layer, module, name in list(masked_parameters(source)):
        other = layers.get(layer)
        parameter = None if other is None else other._parameters.get(name)
        mask = mask_of(module, name)
        if other is None or parameter is None or mask is None:
            continue
        check_zero(layer, other, name)
        set_mask(other, name, mask if mask.shape == parameter.shape else parameter.detach() == 0)
    watch_idle(target)


def restore_masks(model: nn.Module, state: Mapping[str, Any]) -> nn.Module:
    """Give the layers of a model the masks in a ``state_dict``, so that it can be loaded.

    Args:
        model: as it was built, without masks.
        state: of the pruned model.

    Returns:
        The model; ``load_state_dict(state)`` comes next.

    Raises:
        TrainError: the state has the mask of a layer that the model lacks, or of another shape.
    """
    for key, mask in state.items():
        if not key.endswith(SUFFIX):
            continue
        layer, _, name = key.removesuffix(SUFFIX).rpartition(".")
        try:
            module = model.get_submodule(layer)
            parameter = module.get_parameter(name)
        except AttributeError:
            raise TrainError(f"the state has a mask for {layer}.{name}, which the model lacks") from None
        if parameter.shape != mask.shape:
            raise TrainError(
                f"the state has a mask of shape {tuple(mask.shape)} for {layer}.{name}, "
                f"which has shape {tuple(parameter.shape)}"
            )
        set_mask(module, name, mask)
    watch_idle(model)
    return model


def remove_masks(model: nn.Module) -> nn.Module:
    """Take the masks of all layers away; the weights that are zero now may move again.

    Returns:
        The model.
    """
    for _, module, name in list(masked_parameters(model)):
        zero_pruned(module)
        delattr(module, name + SUFFIX)
    for module in model.modules():
        for hooks, ours in (
            (module._forward_pre_hooks, (_before_forward, _before_parent)),
            (module._state_dict_pre_hooks, (_before_state_dict,)),
        ):
            for key in [key for key, hook in hooks.items() if hook in ours]:
                del hooks[key]
    return model


def check_zero(layer: str, module: nn.Module, name: str) -> None:
    """Refuse to prune where the quantizer turns zero into something else.

    Raises:
        TrainError: it does.
    """
    quantizer = module.quantizer(name) if isinstance(module, QLayer) and name in module.slots else None
    if quantizer is None:
        return
    weight = module.get_parameter(name).detach().clone()
    first = (0,) * weight.ndim
    weight[first] = 0.0
    with torch.no_grad():
        made = copy.deepcopy(quantizer).eval()(weight)
    if float(made[first]) != 0.0:
        raise TrainError(
            f"{layer} cannot be pruned: its {name} quantizer {quantizer} has no zero",
            hint="take one with a zero, for example ternary() or quantized_bits(2,0,alpha=1)",
        )
