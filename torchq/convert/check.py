"""Does a scheme fit a model: every pattern matches a layer, every named slot exists."""

from __future__ import annotations

from torchq.advice import advice
from torchq.convert.rewrite import is_float, layer_of, module_of
from torchq.errors import SchemeError
from torchq.graph import Step, Symbolic
from torchq.nn.registry import replacement
from torchq.scheme import Scheme


def check_scheme(found: Symbolic, scheme: Scheme) -> None:
    """Refuse what could only be a slip of the pen.

    Raises:
        SchemeError: patterns that match no layer, or slots that a layer lacks; all are named at once.
    """
    layers = {step.name: step for step in found.steps if is_float(step) or layer_of(step) is not None}
    faults = [
        SchemeError(f"the scheme names {name!r}, which matches no layer", hint=advice(name, layers, "Layers"))
        for name in scheme.unused(layers)
    ]
    for name, slots in scheme.layers.items():
        if name in layers:
            faults += [fault for slot in slots if (fault := _slot_fault(found, layers[name], slot))]
    if len(faults) == 1:
        raise faults[0]
    if faults:
        raise SchemeError("\n".join(map(str, faults)))


def _slot_fault(found: Symbolic, step: Step, slot: str) -> SchemeError | None:
    module = module_of(step)
    what = f"{step.name} ({type(module).__name__})"
    layer = layer_of(step)
    if layer is None:
        before = found.step(step.source)
        folds = before is not None and is_float(before) and replacement([module_of(before), module])
        hint = f"it is folded into {step.source}; give that the quantizer" if folds else None
        return SchemeError(f"{what} has no slot {slot!r}", hint=hint)
    if slot not in layer.slots:
        return SchemeError(f"{what} has no slot {slot!r}", hint=f"its slots: {', '.join(layer.slots)}")
    if slot == "bias" and getattr(module, "bias", None) is None and not _gets_bias(found, step):
        return SchemeError(f"{what} has no bias", hint=f"take the bias of {step.name} out of the scheme")
    return None


def _gets_bias(found: Symbolic, step: Step) -> bool:
    """Whether a batch norm is folded into a layer, which brings a bias."""
    after = [module_of(reader) for reader in found.readers(step.name) if reader.module is not None]
    return len(after) == 1 and replacement([module_of(step), after[0]]) is not None
