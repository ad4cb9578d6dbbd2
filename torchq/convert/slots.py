"""Which key of a scheme fills a slot of a layer, and whether its quantizer can stand there."""

from __future__ import annotations

from typing import NamedTuple

from torchq.convert.rewrite import class_names, layer_of
from torchq.errors import SchemeError
from torchq.graph import Step, Symbolic
from torchq.nn import QLayer, QReLU
from torchq.quantizers import make
from torchq.scheme import ANY, Scheme


class Origin(NamedTuple):
    """Where the quantizer of a slot comes from.

    Args:
        key: the key of the scheme.
        reader: a layer that needs the values with their sign, where only the default fills the output of a
            layer that may leave negative ones; None elsewhere.
    """

    key: str
    reader: str | None = None


def slot_origin(
    found: Symbolic, step: Step, last: Step, layer: type[QLayer], slot: str, scheme: Scheme
) -> Origin | None:
    """Which key fills a slot of the layer that stands for these steps; None if none does.

    The default ``"*"`` fills the output of a layer that sums only if it feeds another such layer.

    Args:
        found: the traced model.
        step: the first step that the layer stands for.
        last: the last one.
        layer: the quantized layer.
        slot: one of its slots.
        scheme: the scheme.

    Raises:
        SchemeError: two globs that are equally specific disagree.
    """
    pattern = scheme.pattern(step.name, slot, class_names(found, step))
    activation = layer.slots[0] == "output" and not layer.always_converted
    if pattern is None or pattern != ANY or slot != "output" or activation:
        return None if pattern is None else Origin(pattern)
    if layer.keeps_grid:
        return None
    reader = _sum_behind(found, last.name)
    if reader is None:
        return None
    return Origin(pattern, None if layer.keeps_sign and _not_negative(found, step) else reader)


def slot_text(origin: Origin, name: str, slot: str, scheme: Scheme) -> str:
    """The text of the quantizer for a slot of the layer ``name``.

    Raises:
        SchemeError: it would cut negative values off that the next layer needs.
    """
    text = scheme.layers[origin.key][slot]
    if origin.reader is not None and not make(text).format.signed:
        raise SchemeError(
            f"{name} feeds {origin.reader} with no relu between, "
            f"and {text} would cut its negative values off",
            hint=f"give {name} an output quantizer of its own",
        )
    return text


def _not_negative(found: Symbolic, step: Step) -> bool:
    """Whether a step reads what a relu made, with nothing between that changes the sign."""
    before = found.step(step.source)
    while before is not None:
        layer = layer_of(before)
        if layer is not None and issubclass(layer, QReLU):
            return True
        keeps = before.passive is not None if layer is None else layer.keeps_sign
        if not keeps or len(before.sources) != 1:
            return False
        before = found.step(before.source)
    return False


def _sum_behind(found: Symbolic, name: str) -> str | None:
    """A layer that reads this step's values, with no activation between, and needs them on a grid."""
    for reader in found.readers(name):
        layer = layer_of(reader)
        if layer is not None and layer.needs_grid:
            return reader.name
        if layer is None and reader.passive is not None:
            behind = _sum_behind(found, reader.name)
            if behind is not None:
                return behind
    return None
