"""Does a scheme fit a model: every pattern matches a layer, every named slot exists."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from torchq.advice import advice
from torchq.convert.rewrite import class_names, is_float, layer_of, module_of
from torchq.errors import SchemeError
from torchq.graph import Step, Symbolic
from torchq.nn.products import ProductLayer
from torchq.nn.registry import LAYERS, replacement
from torchq.scheme import CLASS, Scheme


def check_scheme(found: Symbolic, scheme: Scheme, *, folded: bool = True) -> None:
    """Refuse what could only be a slip of the pen; a class that the model has none of is just a default.

    Args:
        found: the traced model.
        scheme: what goes where.
        folded: whether batch norms are folded into the layers before them.

    Raises:
        SchemeError: patterns that match no layer, or slots that a layer lacks; all are named at once.
    """
    layers = {
        step.name: step
        for step in found.steps
        if step.name == step.target and (is_float(step) or layer_of(step) is not None)
    }
    classes = {name for step in layers.values() for name in class_names(found, step)}
    known = classes | _all_classes()
    faults = [_unmatched(name, layers, classes) for name in scheme.unused(layers, known)]
    for name, slots in scheme.layers.items():
        if name in layers:
            faults += [fault for slot in slots if (fault := _slot_fault(found, layers[name], slot, folded))]
    if len(faults) == 1:
        raise faults[0]
    if faults:
        raise SchemeError("\n".join(map(str, faults)))


def _all_classes() -> set[str]:
    """The classes that some model could have; a default for a class that this model lacks is no slip."""
    return {
        cls.__name__
        for _, layer in LAYERS.items()
        for start in (layer, *layer.replaces)
        for cls in start.__mro__
        if issubclass(cls, nn.Module)
    }


def _unmatched(key: str, layers: Mapping[str, Step], classes: set[str]) -> SchemeError:
    if key.startswith(CLASS):
        known = {*LAYERS, *(cls.__name__ for _, layer in LAYERS.items() for cls in layer.replaces)}
        shown = [f"{CLASS}{name}" for name in sorted(classes & known)]
        return SchemeError(f"the scheme names {key!r}, and no layer is one", advice(key, shown, "Classes"))
    hint = f"write {CLASS}{key} for all layers of this class" if key in classes else None
    return SchemeError(
        f"the scheme names {key!r}, which matches no layer", hint or advice(key, layers, "Layers")
    )


def _slot_fault(found: Symbolic, step: Step, slot: str, folded: bool) -> SchemeError | None:
    module = module_of(step)
    what = f"{step.name} ({type(module).__name__})"
    layer = layer_of(step)
    before = found.step(step.source)
    row = [] if before is None or not is_float(before) else [module_of(before), module]
    if folded and replacement(row):
        hint = f"it is folded into {step.source}; give that the quantizer"
        return SchemeError(f"{what} has no slot {slot!r}", hint=hint)
    if layer is None:
        return SchemeError(f"{what} has no slot {slot!r}")
    if slot not in layer.slots:
        return SchemeError(f"{what} has no slot {slot!r}", hint=f"its slots: {', '.join(layer.slots)}")
    if slot == "bias" and not _has_bias(module) and not _gets_bias(found, step):
        return SchemeError(f"{what} has no bias", hint=f"take the bias of {step.name} out of the scheme")
    return None


def _has_bias(module: nn.Module) -> bool:
    """Whether a layer has a bias, whatever it calls it (``bias_ih_l0``, ``in_proj_bias``)."""
    if isinstance(module, ProductLayer):  # a folded batch norm brings one without a parameter of that name
        return module.has_bias()
    return any("bias" in name for name, _ in module.named_parameters())


def _gets_bias(found: Symbolic, step: Step) -> bool:
    """Whether a batch norm is folded into a layer, which brings a bias."""
    after = [module_of(reader) for reader in found.readers(step.name) if reader.module is not None]
    return len(after) == 1 and replacement([module_of(step), after[0]]) is not None
