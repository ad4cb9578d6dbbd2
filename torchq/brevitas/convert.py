"""``convert``: a Brevitas model as one of our layers."""

from __future__ import annotations

import copy
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from torchq.brevitas.grid import Grid, grid_of
from torchq.brevitas.package import brevitas_module, quiet
from torchq.errors import QuantizerError
from torchq.nn import LAYERS, QActivation, QInput, QReLU
from torchq.quantizers import Quantizer

PRODUCTS = {
    "QuantLinear": "QLinear",
    "QuantConv1d": "QConv1d",
    "QuantConv2d": "QConv2d",
    "QuantConvTranspose1d": "QConvTranspose1d",
    "QuantConvTranspose2d": "QConvTranspose2d",
}
"""Brevitas's layers with weights, and ours."""
SLOTS = ("input", "weight", "bias", "output", "act")
INPUT_QUANTIZER = "input_quantizer"
"""The name of the quantizer in front of a layer that had an ``input_quant``."""


def convert(
    model: nn.Module, example: Tensor | tuple[int, ...] | None = None, *, hardware: bool = True
) -> nn.Module:
    """A copy of a model with Brevitas's layers replaced by ours; in evaluation it computes the same.

    ``QuantLinear``, ``QuantConv1d/2d``, ``QuantConvTranspose1d/2d``, ``QuantReLU``, ``QuantIdentity`` and
    ``QuantHardTanh`` become ``QLinear``, ``QConv1d``, ..., ``QReLU`` and ``QActivation`` (``QInput`` at the
    model's input) with ``fixed`` quantizers of the formats that Brevitas's scales and bit widths give now:
    scales that Brevitas finds from weights or learns stay as they are from here on. Names and parameters
    are kept; a layer with an ``input_quant`` becomes a ``Sequential`` of ``input_quantizer`` and ``layer``.
    Layers that are ours or torch's already stay.

    Args:
        model: trained far enough that the scales of activations are known; it stays as it is.
        example: a batch ``[n, ...]``, or the shape of one sample; by default the one that the first linear
            layer reads. The model computes it once, to see which scales meet.
        hardware: refuse scales that are no powers of two. Otherwise these become
            :class:`~torchq.brevitas.scaled_integer`, which computes in torch and cannot be exported.

    Returns:
        A model of the same structure, in the mode of ``model``.

    Raises:
        QuantizerError: Brevitas is not installed, or a layer or quantizer has no counterpart; all such
            layers are named at once.
    """
    nn_module = brevitas_module("nn")
    result = copy.deepcopy(model).eval()
    seen = _Seen()
    with quiet(), torch.no_grad():
        _watch(result, _example(result, example), seen)
    problems: list[str] = []
    made: dict[int, nn.Module] = {}
    for name, module in list(result.named_modules(remove_duplicate=False)):
        if not _is_brevitas(module, nn_module) or _inside(name, result, nn_module):
            continue
        if id(module) not in made:
            layer = _Layer(name or "the model", module, seen, hardware)
            made[id(module)] = layer.converted()
            problems += layer.problems
        if name:
            result.set_submodule(name, made[id(module)])
        else:
            result = made[id(module)]
    if problems:
        raise QuantizerError("\n".join(problems))
    return result.train(model.training)


@dataclass
class _Seen:
    """What Brevitas's quantizers returned, by the identity of their proxies; who read the model's input."""

    tensors: dict[int, list[Any]] = field(default_factory=dict)
    first: set[int] = field(default_factory=set)


def _watch(model: nn.Module, example: Tensor, seen: _Seen) -> None:
    """Let the model compute, and note what each quantizer returns."""
    proxies = brevitas_module("proxy.quant_proxy").QuantProxyFromInjector

    def note(proxy: nn.Module, args: tuple[Any, ...], made: Any) -> None:
        if args and args[0] is example:
            seen.first.add(id(proxy))
        seen.tensors.setdefault(id(proxy), []).append(made)

    handles = [m.register_forward_hook(note) for m in model.modules() if isinstance(m, proxies)]
    try:
        model(example)
    except RuntimeError as fault:
        raise QuantizerError(f"Brevitas cannot compute the example: {fault}", hint="give another") from fault
    finally:
        for handle in handles:
            handle.remove()


def _example(model: nn.Module, example: Tensor | tuple[int, ...] | None) -> Tensor:
    parameter = next((p for p in model.parameters()), torch.zeros(()))
    if isinstance(example, Tensor):
        return example.to(parameter)
    if example is None:
        features = (m.in_features for m in model.modules() if isinstance(m, nn.Linear))
        first = next(features, None)
        if first is None or any(isinstance(m, nn.modules.conv._ConvNd) for m in model.modules()):
            raise QuantizerError(
                "the shape of the input does not follow from the model", hint="give an example"
            )
        example = (first,)
    return torch.zeros(1, *example).to(parameter)


def _is_brevitas(module: nn.Module, nn_module: Any) -> bool:
    layers = tuple(getattr(nn_module, name) for name in PRODUCTS)
    return isinstance(module, layers) or type(module).__module__.partition(".")[0] == "brevitas"


def _inside(name: str, model: nn.Module, nn_module: Any) -> bool:
    """Whether a module is a part of a Brevitas layer (or of one that was replaced already)."""
    parts = name.split(".")
    try:
        parents = [model.get_submodule(".".join(parts[:count])) for count in range(len(parts) if name else 0)]
        model.get_submodule(name)
    except AttributeError:
        return True
    return any(_is_brevitas(parent, nn_module) for parent in parents)


class _Layer:
    """One Brevitas layer on its way to one of ours."""

    def __init__(self, name: str, module: nn.Module, seen: _Seen, hardware: bool) -> None:
        self.name, self.module, self.seen, self.hardware = name, module, seen, hardware
        self.problems: list[str] = []

    def converted(self) -> nn.Module:
        """Ours; where there is a problem, the layer itself."""
        kinds = [cls.__name__ for cls in type(self.module).__mro__ if cls.__module__.startswith("brevitas.")]
        for kind in kinds:
            if kind in PRODUCTS and PRODUCTS[kind] in LAYERS:
                return self._product(PRODUCTS[kind])
            if kind in ("QuantReLU", "QuantIdentity", "QuantHardTanh"):
                return self._activation(kind)
        self._problem(f"{type(self.module).__name__} has no counterpart", _known())
        return self.module

    def _product(self, ours: str) -> nn.Module:
        module: Any = self.module
        if getattr(module, "is_same_padded_strided", False):
            self._problem('padding="same" with a stride has no counterpart', "pad in the model")
            return self.module
        slots = {slot: self._quantizer(slot) for slot in ("weight", "bias", "output")}
        first = self._quantizer("input")
        if self.problems:
            return self.module
        layer = LAYERS.get(ours).from_float([module], {k: q for k, q in slots.items() if q is not None})
        if first is None:
            return layer
        return nn.Sequential(OrderedDict({INPUT_QUANTIZER: self._activating(first, "input"), "layer": layer}))

    def _activation(self, kind: str) -> nn.Module:
        before, after = self._quantizer("input"), self._quantizer("act")
        if self.problems:
            return self.module
        if kind == "QuantHardTanh" and after is None:
            self._problem("a QuantHardTanh without quantizer has no counterpart", _known())
            return self.module
        if after is None:
            layer: nn.Module = nn.ReLU() if kind == "QuantReLU" else nn.Identity()
        else:
            layer = QReLU(after) if kind == "QuantReLU" else self._activating(after, "act")
        if before is None:
            return layer
        return nn.Sequential(
            OrderedDict({INPUT_QUANTIZER: self._activating(before, "input"), "layer": layer})
        )

    def _activating(self, quantizer: Quantizer, slot: str) -> nn.Module:
        first = id(getattr(self.module, f"{slot}_quant")) in self.seen.first
        return QInput(quantizer) if first else QActivation(quantizer)

    def _quantizer(self, slot: str) -> Quantizer | None:
        proxy = getattr(self.module, f"{slot}_quant", None)
        if proxy is None or not proxy.is_quant_enabled:
            return None
        if slot == "bias" and getattr(self.module, "bias", None) is None:
            return None
        made = self.seen.tensors.get(id(proxy), [])
        if not made:
            self._problem(f"the {slot} quantizer was not called", "remove the layer, or give another example")
            return None
        try:
            grids = [grid_of(proxy, tensor) for tensor in made]
        except QuantizerError as fault:
            self._problem(f"the {slot} quantizer {fault.message}", fault.hint)
            return None
        first, *others = grids
        if any(not _same(first, other) for other in others):
            self._problem(
                f"the {slot} has another scale each time the layer is called", "give it its own scale"
            )
            return None
        return self._made(slot, first)

    def _made(self, slot: str, grid: Grid) -> Quantizer | None:
        odd = grid.odd_scale
        if odd is None or not self.hardware:
            return grid.quantizer()
        self._problem(
            f"the {slot} scale {odd:g} is no power of two, so no fixed-point grid holds the values",
            "train with Brevitas's FixedPoint quantizers, or convert(model, hardware=False) for torch alone",
        )
        return None

    def _problem(self, message: str, hint: str | None) -> None:
        self.problems.append(f"{self.name}: {message}" + (f"; {hint}" if hint else ""))


def _same(one: Grid, other: Grid) -> bool:
    shapes = one.scale.shape == other.scale.shape
    return shapes and bool(np.array_equal(one.scale, other.scale)) and one.bits == other.bits


def _known() -> str:
    known = [theirs for theirs, ours in PRODUCTS.items() if ours in LAYERS]
    return f"known: {', '.join([*known, 'QuantReLU', 'QuantIdentity', 'QuantHardTanh'])}"
