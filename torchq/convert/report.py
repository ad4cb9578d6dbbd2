"""What is still float in a model, and why."""

from __future__ import annotations

from torch import nn

from torchq.graph import Symbolic, symbolic
from torchq.graph.shapes import reads_integers
from torchq.nn import QLayer
from torchq.nn.registry import replacement


def left_float(model: nn.Module) -> dict[str, str]:
    """The layers and slots of a model that have no quantizer and need one.

    Args:
        model: usually the result of :func:`~torchq.convert.quantize`.

    Returns:
        The reason by ``layer`` or ``layer.slot``, in the order of computation; empty for a model that is
        quantized throughout. ``input`` stands for the model's input.

    Raises:
        GraphError: the model cannot be traced.

    Example:
        >>> left_float(nn.Sequential(nn.Linear(2, 3)))
        {'input': 'no quantizer', '0': 'Linear, no weight quantizer'}
    """
    found = symbolic(model)
    quantized = {found.input: False}
    reasons: dict[str, str] = {}
    if not reads_integers(found) and not _input_is_quantized(found):
        reasons[found.input] = "no quantizer"
    for step in found.steps:
        module, again = step.module, step.target is not None and step.name != step.target
        quantized[step.name] = all(quantized[source] for source in step.sources)
        if isinstance(module, QLayer):
            reasons |= {f"{step.target}.{slot}": "no quantizer" for slot in module.missing_slots()}
            if module.needs_grid:
                for source in step.sources:
                    origin = None if quantized[source] else _summing(found, source)
                    if origin is not None:
                        reasons[f"{origin}.output"] = f"no quantizer, and {step.name} reads it"
            quantized[step.name] = module.makes_grid or (module.keeps_grid and quantized[step.name])
        elif step.passive is None and module is not None:
            layer = replacement([module])
            why = f"no {layer.slots[0]} quantizer" if layer else "follows no layer that it is folded into"
            if not again:
                reasons[step.name] = f"{type(module).__name__}, {why}"
            quantized[step.name] = False
        elif not (again or module is None or quantized[step.source] or replacement([module]) is None):
            reasons[step.name] = f"{type(module).__name__}, no output quantizer"
    return reasons


_OF_PARAMETERS = ("weight", "bias", "recurrent", "scale", "shift", "average", "out_weight", "out_bias")
"""Slots of numbers that stay as they are: scales that are found in them stay as well."""

_OF_STATISTICS = ("inverse", "mean", "variance")
"""Slots of numbers that stay as they are in batch norms, and flow elsewhere."""


def hardware_reasons(model: nn.Module) -> dict[str, str]:
    """The slots of a model whose values stand on no hardware grid.

    Args:
        model: a quantized model.

    Returns:
        The reason by ``layer.slot``; empty for a model that hardware can compute exactly.

    Example:
        >>> from torchq.nn import QLinear
        >>> hardware_reasons(nn.Sequential(QLinear(2, 3, weight_quantizer="quantized_bits(4,0,alpha=1)")))
        {}
    """
    found: dict[str, str] = {}
    for name, layer in model.named_modules():
        if not isinstance(layer, QLayer):
            continue
        for slot in layer.slots:
            quantizer = getattr(layer, f"{slot}_quantizer", None)
            reason = None if quantizer is None else _following(layer, slot) or quantizer.hardware_reason()
            if reason is not None:
                found[f"{name}.{slot}"] = reason
    return found


def _following(layer: QLayer, slot: str) -> str | None:
    """Why values that flow have no grid of their own, if their scale follows from them."""
    quantizer = layer.quantizer(slot)
    alpha = getattr(quantizer, "alpha", None)
    if alpha not in ("auto", "auto_po2") or slot in _OF_PARAMETERS:
        return None
    if slot in _OF_STATISTICS and hasattr(layer, "running_mean"):
        return None
    return (
        f"{quantizer}: alpha={alpha!r} finds scales anew in the values of every batch, and hardware has one "
        "grid for all of them; give a power of two, such as alpha=1.0"
    )


def _summing(found: Symbolic, name: str) -> str | None:
    """The layer of ours whose exact sums arrive here, dropouts and the like passed by."""
    step = found.step(name)
    while step is not None and step.passive is not None and step.passive.kind != "relu":
        step = found.step(step.source)
    return step.target if step is not None and isinstance(step.module, QLayer) else None


def _input_is_quantized(found: Symbolic) -> bool:
    names = [found.input]
    for name in names:
        for reader in found.readers(name):
            module = reader.module
            if isinstance(module, QLayer) and module.makes_grid and not module.needs_grid:
                continue
            if reader.passive is None:
                return False
            names.append(reader.name)
    return True
