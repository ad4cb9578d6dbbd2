"""``QLayer``: what every quantized layer can say about itself."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from torch import Tensor, nn

from torchq.formats import FixedPoint, Format
from torchq.quantizers import Quantizer, make
from torchq.workload import TensorSpec, Workload

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
    always_converted: ClassVar[bool] = False
    """Whether it takes the float layer's place even where the scheme has no quantizer for it."""

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

    # ------------------------------------------------------------------ how it looks

    def extra_repr(self) -> str:
        """The float layer's arguments and the quantizers."""
        shown = [f"{slot}_quantizer={self.quantizer(slot)}" for slot in self.slots]
        return ", ".join([text for text in (super().extra_repr(),) if text] + shown)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.extra_repr()})"


def zeros(values: Tensor) -> int:
    """How many values are exactly zero."""
    return int((values == 0).sum())


def quantized(values: Tensor, quantizer: Quantizer | None) -> Tensor:
    """The values through a quantizer, or as they are where there is none."""
    if quantizer is None:
        return values
    result: Tensor = quantizer(values)
    return result
