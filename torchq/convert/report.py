"""What is still float in a model, and why."""

from __future__ import annotations

from torch import nn

from torchq.graph import Symbolic, symbolic
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
    if not _input_is_quantized(found):
        reasons[found.input] = "no quantizer"
    for step in found.steps:
        module = step.module
        quantized[step.name] = all(quantized[source] for source in step.sources)
        if isinstance(module, QLayer):
            reasons |= {f"{step.name}.{slot}": "no quantizer" for slot in module.missing_slots()}
            quantized[step.name] = module.makes_grid
        elif step.passive is None and module is not None:
            layer = replacement([module])
            why = f"no {layer.slots[0]} quantizer" if layer else "follows no layer that it is folded into"
            reasons[step.name] = f"{type(module).__name__}, {why}"
            quantized[step.name] = False
        elif module is not None and replacement([module]) is not None and not quantized[step.source]:
            reasons[step.name] = f"{type(module).__name__}, no output quantizer"
    return reasons


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
