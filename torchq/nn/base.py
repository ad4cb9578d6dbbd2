"""``QLayer``: what every quantized layer can say about itself."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from torchq.errors import TorchqError
from torchq.formats import FixedPoint, Format
from torchq.quantizers import Quantizer, make
from torchq.workload import ParamSpec, TensorSpec, Workload

Spec = str | Quantizer | FixedPoint
"""A quantizer, its text, or a number format."""


@dataclass(frozen=True)
class Example:
    """A layer to test: the float modules it is made from, its quantizers, and what it reads.

    Args:
        modules: makes the float modules that stand in a model one after the other; empty for layers that
            replace none.
        slots: slot -> quantizer text.
        shape: of one sample that it reads.
        input: the quantizer of the tensor that it reads.
        options: what :meth:`QLayer.from_float` takes beside.
        within: the module of one tensor to one tensor that the layer (or the float modules, alone) stands in;
            there its name is ``layer``. None where the layer is such a module itself.
    """

    modules: Callable[[], tuple[nn.Module, ...]]
    slots: Mapping[str, str]
    shape: tuple[int, ...]
    input: str = "quantized_bits(8,3)"
    options: Mapping[str, Any] = field(default_factory=dict)
    within: Callable[[nn.Module], nn.Module] | None = None


class QLayer(nn.Module):
    """A layer with quantizers in named slots: slot ``"weight"`` is the attribute ``weight_quantizer``, ...

    A layer is one class in one file, registered in :data:`torchq.nn.registry.LAYERS`. Tracing, conversion,
    freezing, pricing and the conformance tests find all they need in it.
    """

    kind: ClassVar[str]
    """The kind of its graph node: ``"linear"``, ``"relu"``, ``"quantize"``, ..."""
    slots: ClassVar[tuple[str, ...]]
    """The slots it has, in the order in which they are shown."""
    replaces: ClassVar[tuple[type[nn.Module], ...]] = ()
    """The float modules that it stands for, one after the other in the model; empty if none."""
    needs_grid: ClassVar[bool] = True
    """Whether what it reads must come from a quantizer."""
    reads_integers: ClassVar[bool] = False
    """Whether it reads whole numbers (an embedding); such an input needs no quantizer."""
    keeps_grid: ClassVar[bool] = False
    """Whether it leaves values on the grids that they came on, if it has no output quantizer."""
    always_converted: ClassVar[bool] = False
    """Whether it takes the float layer's place even where the scheme has no quantizer for it."""
    keeps_sign: ClassVar[bool] = False
    """Whether no value below zero leaves it where none comes in."""

    # ------------------------------------------------------------------ quantizers

    def quantizer(self, slot: str) -> Quantizer | None:
        """The quantizer in a slot."""
        return getattr(self, f"{slot}_quantizer")  # type: ignore[no-any-return]

    def set_quantizer(self, slot: str, spec: Spec | None, like: Tensor | None = None) -> None:
        """Put a quantizer (a copy of it) into a slot.

        Args:
            slot: the slot.
            spec: the quantizer; None empties the slot.
            like: the quantizer goes to the device and dtype of this tensor.
        """
        quantizer = None if spec is None else make(spec)
        if quantizer is not None and like is not None and not like.is_meta:
            quantizer.to(device=like.device, dtype=like.dtype)
        self.register_module(f"{slot}_quantizer", quantizer)

    def missing_slots(self) -> tuple[str, ...]:
        """The slots that need a quantizer for the layer to be hardware, and have none."""
        return tuple(slot for slot in self.slots if self.quantizer(slot) is None)

    @property
    def makes_grid(self) -> bool:
        """Whether what leaves the layer was made by a quantizer."""
        return "output" in self.slots and self.quantizer("output") is not None

    # ------------------------------------------------------------------ what graph, cost and export ask

    def refusal(self, shape: tuple[int, ...]) -> str | None:  # noqa: ARG002
        """Why it cannot read samples of this shape; None if it can."""
        return None

    def output_format(self, source: Format | None) -> Format | None:  # noqa: ARG002
        """The format that holds every value which leaves the layer, whatever its parameters are.

        Args:
            source: the format of what it reads.

        Returns:
            None if no number format does.
        """
        raise TypeError(f"{type(self).__name__} does not say the format of its output")

    @property
    def batch_axis(self) -> int:
        """The axis that counts the samples in the tensors that it reads."""
        return 0

    def refusal_of(self, shapes: Sequence[tuple[int, ...]]) -> str | None:
        """As :meth:`refusal`, for layers that read several tensors."""
        return next((text for shape in shapes if (text := self.refusal(shape)) is not None), None)

    def format_of(self, sources: Sequence[TensorSpec]) -> Format | None:
        """As :meth:`output_format`, for layers that read several tensors or need their shapes."""
        return self.output_format(sources[0].format)

    def item_format(self, path: tuple[int, ...], sources: Sequence[TensorSpec]) -> Format | None:  # noqa: ARG002
        """The format of one tensor of a layer that returns a tuple.

        Args:
            path: where it stands: ``(1, 0)`` for ``result[1][0]``.
            sources: what the layer reads.
        """
        return self.format_of(sources)

    def item_quantized(self, path: tuple[int, ...]) -> bool:  # noqa: ARG002
        """Whether one tensor of a layer that returns a tuple was made by a quantizer."""
        return self.makes_grid

    def workload(self, name: str, inputs: tuple[TensorSpec, ...], output: TensorSpec) -> Workload:
        """What the layer does for one sample.

        Args:
            name: of the layer in the model.
            inputs: what it reads.
            output: what it writes.
        """
        return Workload(name, self.kind, inputs, output)

    def workloads(
        self, name: str, inputs: tuple[TensorSpec, ...], output: TensorSpec
    ) -> tuple[Workload, ...]:
        """As :meth:`workload`, for layers whose work has several parts; the last one is named ``name``."""
        return (self.workload(name, inputs, output),)

    def slot_of(self, parameter: str) -> str:
        """The slot whose quantizer a parameter goes through, by the parameter's name."""
        return parameter

    def frozen(self) -> QLayer:
        """A copy in evaluation mode with the parameters on their grids and no gradients."""
        return copy.deepcopy(self).eval().requires_grad_(False)

    # ------------------------------------------------------------------ made from float modules

    @classmethod
    def from_float(
        cls,
        modules: Sequence[nn.Module],  # noqa: ARG003
        quantizers: Mapping[str, Spec | None],  # noqa: ARG003
        **options: Any,  # noqa: ARG003
    ) -> Self:
        """The quantized layer that stands for these float modules, with the same parameter objects.

        Args:
            modules: of the types in :attr:`replaces`.
            quantizers: slot -> quantizer.
            **options: what the layer has beside.
        """
        raise TypeError(f"{cls.__name__} does not say how it is made from float modules")

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """Layers of this class for the conformance tests."""
        raise TypeError(f"{cls.__name__} does not say examples of itself")

    @classmethod
    def from_example(cls, example: Example) -> Self:
        """The layer that an example describes."""
        return cls.from_float(example.modules(), example.slots, **example.options)

    def dequantized(self) -> nn.Module:
        """The float layer that it stands for, with the same parameter objects; see ``torchq.dequantize``.

        Raises:
            TorchqError: there is none.
        """
        return float_twin(self)

    # ------------------------------------------------------------------ how it looks

    def extra_repr(self) -> str:
        """The float layer's arguments and the quantizers."""
        shown = [f"{slot}_quantizer={self.quantizer(slot)}" for slot in self.slots]
        return ", ".join([text for text in (super().extra_repr(),) if text] + shown)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.extra_repr()})"


def float_twin(layer: QLayer) -> nn.Module:
    """A float module of the class that a layer stands for, without quantizers.

    Arguments that torch lists in the class's ``__constants__``, parameters and buffers are those of the
    layer. A folded batch norm is multiplied in; a quantizer alone becomes ``nn.Identity``.

    Raises:
        TorchqError: the float class cannot be made this way.
    """
    if not layer.replaces:
        return nn.Identity().train(layer.training)
    cls, *others = layer.replaces
    twin: nn.Module
    if isinstance(layer, cls):
        twin = cls.__new__(cls)
        nn.Module.__init__(twin)
        plain = {k: v for k, v in layer.__dict__.items() if k not in twin.__dict__}
        twin.__dict__.update(copy.deepcopy(plain))
        for name, parameter in layer._parameters.items():
            twin.register_parameter(name, parameter)
        for name, buffer in layer._buffers.items():
            twin.register_buffer(name, buffer)
        if others:
            _fold_into(twin, layer)
    else:
        names = [name for name in getattr(cls, "__constants__", ()) if hasattr(layer, name)]
        try:
            twin = cls(**{name: getattr(layer, name) for name in names})
        except TypeError:
            raise TorchqError(f"a {type(layer).__name__} has no float layer that says the same") from None
    return twin.train(layer.training)


def _fold_into(twin: nn.Module, layer: QLayer) -> None:
    folded = getattr(layer, "folded", None)
    if folded is None:
        raise TorchqError(f"a {type(layer).__name__} does not say what it folds")
    with torch.no_grad():
        weight, bias = folded()
    dtype = next(layer.parameters()).dtype
    twin.register_parameter("weight", nn.Parameter(weight.detach().to(dtype).clone()))
    twin.register_parameter("bias", nn.Parameter(bias.detach().to(dtype).clone()))


def parameter_spec(name: str, values: Tensor, format: Format | None) -> ParamSpec:
    """A parameter as a value: its shape, its format, and the quantized numbers themselves."""
    numbers = values.detach().to("cpu", torch.float64).numpy()
    zeros = numbers.size - int(np.count_nonzero(numbers))
    return ParamSpec(name, tuple(values.shape), format, zeros, numbers)


def quantized(values: Tensor, quantizer: Quantizer | None) -> Tensor:
    """The values through a quantizer, or as they are where there is none."""
    if quantizer is None:
        return values
    result: Tensor = quantizer(values)
    return result
