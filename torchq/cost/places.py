"""``Place``: a layer of a traced network, and copies of it with other quantizers that share all else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from torch import Tensor, nn

from torchq.convert.slots import Origin, slot_origin
from torchq.errors import CostError, GraphError, TorchqError
from torchq.graph import Step, Symbolic
from torchq.nn import QLayer
from torchq.nn.baked import Baked
from torchq.nn.products import ProductLayer
from torchq.quantizers import Quantizer
from torchq.quantizers.adaptive import quantized_adaptive
from torchq.scheme import ANY, Scheme

T = TypeVar("T")

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
            quantizers = self._quantizers(texts)
            if isinstance(self.module, QLayer):
                return _copy(self.module, quantizers)
            return self.layer.from_float([self.module], texts)
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

    def _quantizers(self, texts: Mapping[str, str]) -> dict[str, Quantizer | None]:
        """What stands in the slots. Quantizers are kept, since reading a text takes longer than all else."""
        layer = self.module
        if not isinstance(layer, QLayer):
            return {}
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
    """A copy that shares parameters, buffers and all other modules, and quantizes its parameters once."""
    twin: QLayer = object.__new__(type(layer))
    state = dict(layer.__dict__)
    state["_modules"] = {**layer._modules, **{f"{slot}_quantizer": q for slot, q in quantizers.items()}}
    object.__setattr__(twin, "__dict__", state)
    if isinstance(twin, ProductLayer):
        state["quantized_weight"] = _once(twin.quantized_weight)
        state["quantized_bias"] = _once(twin.quantized_bias)
    return twin


def _once(call: Callable[[], T]) -> Callable[[], T]:
    """The first result of a call, again and again: formats and the workload ask for the same values."""
    kept: list[T] = []

    def again() -> T:
        if not kept:
            kept.append(call())
        return kept[0]

    return again


def _in_mode(quantizer: Quantizer | None, training: bool) -> Quantizer | None:
    if quantizer is not None and quantizer.training != training:
        quantizer.train(training)
    return quantizer
