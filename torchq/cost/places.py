"""``Place``: a layer of a traced network, and copies of it with other quantizers that share all else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from torchq.convert.slots import Origin, slot_origin
from torchq.errors import CostError, GraphError, TorchqError
from torchq.graph import Step, Symbolic
from torchq.nn import QLayer
from torchq.nn.baked import Baked
from torchq.nn.batch_norm import BatchNormLayer
from torchq.nn.products import ProductLayer
from torchq.quantizers import Quantizer
from torchq.quantizers.adaptive import quantized_adaptive
from torchq.scheme import ANY, Scheme

MOST_KEPT = 4096
"""So many quantizers of a layer are kept."""


class Place:
    """A module of a traced network that is, or may become, a quantized layer.

    Args:
        step: the first call of the module.
        layer: the quantized layer that stands for it.
        like: a parameter of the model: quantizers go to its device and dtype.

    Raises:
        CostError: its parameters stand on a grid already (a frozen model).
    """

    def __init__(self, step: Step, layer: type[QLayer], like: Tensor | None) -> None:
        module = step.module
        if module is None:
            raise TypeError(f"{step.name} has no module")
        if getattr(module, "baked", None) or any(isinstance(child, Baked) for child in module.children()):
            raise CostError(
                f"{step.name} is frozen: other quantizers need its float parameters",
                hint="trace the model as it was before freeze",
            )
        self.step, self.layer, self.module = step, layer, module
        self._like = like
        self._kept: dict[Any, Mapping[str, Quantizer | None]] = {}
        self._float: nn.Module | None = None
        self._values = _Values(module)

    def origins(self, found: Symbolic, scheme: Scheme) -> Mapping[str, Origin]:
        """Slot -> which key of the scheme fills it."""
        step = self.step
        given = {
            slot: origin
            for slot in self.layer.slots
            if (origin := slot_origin(found, step, step, self.layer, slot, scheme)) is not None
        }
        if self._stands_for_float:
            return given
        return {slot: origin for slot, origin in given.items() if origin.key != ANY}

    def with_quantizers(self, texts: Mapping[str, str]) -> nn.Module | None:
        """The layer with these quantizers, as converting the float model makes it.

        Args:
            texts: slot -> text; slots that are left out get what the layer gives them by itself.

        Returns:
            A copy that shares parameters and buffers; the float module, where the layer's first slot stays
            empty and it needs it; None where nothing changes.

        Raises:
            GraphError: quantizers that the layer cannot have.
        """
        if not self._stands_for_float and not texts:
            return None
        float_again = self._stands_for_float and self.layer.slots[0] not in texts
        if float_again and not self.layer.always_converted:
            return None if not isinstance(self.module, QLayer) else self._as_float()
        try:
            if not isinstance(self.module, QLayer):
                return self.layer.from_float([self.module], texts)
            twin = _copy(self.module, self._quantizers(self.module, texts))
            if isinstance(twin, ProductLayer):
                self._quantize_once(twin, texts)
            return twin
        except CostError:
            raise
        except TorchqError as fault:
            raise GraphError(f"{self.step.name}: {fault.message}", fault.hint) from fault

    @property
    def _stands_for_float(self) -> bool:
        return bool(self.layer.replaces)

    def _as_float(self) -> nn.Module:
        if self._float is None:
            assert isinstance(self.module, QLayer)  # noqa: S101 - told to the type checker
            self._float = self.module.dequantized()
        return self._float

    def _quantizers(self, layer: QLayer, texts: Mapping[str, str]) -> dict[str, Quantizer | None]:
        """What stands in the slots. Quantizers are kept, since reading a text takes longer than all else."""
        if isinstance(layer, ProductLayer) or not self._stands_for_float:  # one slot knows nothing of others
            slots = self.layer.slots if self._stands_for_float else tuple(texts)
            return {slot: self._one(layer, slot, texts.get(slot)) for slot in slots}
        key = tuple(sorted(texts.items()))
        found = self._look_up(key, lambda: self._all(layer, texts))
        return {slot: _in_mode(quantizer, layer.training) for slot, quantizer in found.items()}

    def _one(self, layer: QLayer, slot: str, text: str | None) -> Quantizer | None:
        if text is None:
            return None

        def made() -> Mapping[str, Quantizer | None]:
            scratch = _copy(layer, {})
            scratch.set_quantizer(slot, text, next(layer.parameters(), self._like))
            return {slot: scratch._modules[f"{slot}_quantizer"]}  # type: ignore[dict-item]

        return _in_mode(self._look_up((slot, text), made)[slot], layer.training)

    def _all(self, layer: QLayer, texts: Mapping[str, str]) -> Mapping[str, Quantizer | None]:
        made = type(layer).from_float([self._as_float()], texts)
        if self._like is not None and next(made.parameters(), None) is None:
            made.to(device=self._like.device, dtype=self._like.dtype)
        return {slot: made._modules[f"{slot}_quantizer"] for slot in layer.slots}  # type: ignore[misc]

    def _quantize_once(self, twin: ProductLayer, texts: Mapping[str, str]) -> None:
        """Let a copy quantize its weight and bias once, and not again while the layer's numbers are the same.

        What formats and workloads ask for are the values alone, so they are kept as those are shown.
        """
        kept: dict[Any, Tensor | None] = {}
        if not twin.training and not isinstance(twin, BatchNormLayer):  # whose slots act on each other
            kept = self._values.of_now()
        for slot, call in (("weight", twin.quantized_weight), ("bias", twin.quantized_bias)):
            twin.__dict__[f"quantized_{slot}"] = partial(_kept, kept, (slot, texts.get(slot)), call)

    def _look_up(
        self, key: Any, make: Callable[[], Mapping[str, Quantizer | None]]
    ) -> Mapping[str, Quantizer | None]:
        found = self._kept.get(key)
        if found is None:
            found = make()
            moving = any(isinstance(quantizer, quantized_adaptive) for quantizer in found.values())
            if not moving and len(self._kept) < MOST_KEPT:  # one whose range moves is not the same twice
                self._kept[key] = found
        return found


def _copy(layer: QLayer, quantizers: Mapping[str, Quantizer | None]) -> QLayer:
    """A copy that shares parameters, buffers and all other modules."""
    twin: QLayer = object.__new__(type(layer))
    state = dict(layer.__dict__)
    state["_modules"] = {**layer._modules, **{f"{slot}_quantizer": q for slot, q in quantizers.items()}}
    object.__setattr__(twin, "__dict__", state)
    return twin


def _kept(kept: dict[Any, Tensor | None], key: Any, call: Callable[[], Tensor | None]) -> Tensor | None:
    if key not in kept:
        made = call()
        kept[key] = None if made is None else made.detach().to("cpu", torch.float64)
    return kept[key]


class _Values:
    """Quantized parameters, for as long as the numbers that they are made of stay the same."""

    def __init__(self, layer: nn.Module) -> None:
        self._layer = layer
        self._numbers: list[Tensor] = []
        self._kept: dict[Any, Tensor | None] = {}

    def of_now(self) -> dict[Any, Tensor | None]:
        """What is kept of the layer's numbers as they are now; empty if one of them has changed."""
        layer = self._layer
        slots = {f"{slot}_quantizer" for slot in getattr(layer, "slots", ())}
        owners = [layer, *(child for name, child in layer._modules.items() if name not in slots and child)]
        numbers = [
            tensor
            for owner in owners
            for tensor in (*owner._parameters.values(), *owner._buffers.values())
            if tensor is not None
        ]
        if len(numbers) != len(self._numbers) or not all(map(_equal, numbers, self._numbers)):
            self._numbers = [tensor.detach().clone() for tensor in numbers]
            self._kept = {}
        if len(self._kept) > MOST_KEPT:
            self._kept = {}
        return self._kept


def _equal(a: Tensor, b: Tensor) -> bool:
    return a.dtype == b.dtype and a.device == b.device and torch.equal(a, b)


def _in_mode(quantizer: Quantizer | None, training: bool) -> Quantizer | None:
    if quantizer is not None and quantizer.training != training:
        quantizer.train(training)
    return quantizer
