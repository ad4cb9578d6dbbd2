"""``QActivation``, ``QReLU`` and ``QInput``: quantizers as layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from torchq.formats import Format
from torchq.nn.activation_work import quantizer_work
from torchq.nn.base import Example, QLayer, Spec
from torchq.nn.registry import LAYERS
from torchq.quantizers import Quantizer, quantized_relu
from torchq.workload import TensorSpec, Workload


@LAYERS.register("QActivation")
class QActivation(QLayer):
    """A quantizer as a layer.

    Args:
        quantizer: text, a quantizer (copied) or a ``FixedPoint``.

    Raises:
        QuantizerError: a text that is no quantizer.

    Example:
        >>> QActivation("quantized_bits(4,1,alpha=1)")(torch.tensor([0.3, -9.0])).tolist()
        [0.25, -2.0]
    """

    kind: ClassVar[str] = "quantize"
    slots: ClassVar[tuple[str, ...]] = ("output",)
    needs_grid: ClassVar[bool] = False

    output_quantizer: Quantizer

    def __init__(self, quantizer: Spec) -> None:
        super().__init__()
        self.set_quantizer("output", quantizer)

    def forward(self, input: Tensor) -> Tensor:
        """The quantized values, any shape."""
        result: Tensor = self.output_quantizer(input)
        return result

    def output_format(self, source: Format | None) -> Format | None:  # noqa: ARG002
        """The quantizer's format."""
        return self.output_quantizer.format

    def workload(self, name: str, inputs: tuple[TensorSpec, ...], output: TensorSpec) -> Workload:
        """What the quantizer computes beside rounding; see :func:`quantizer_work`."""
        operations, tables = quantizer_work(self.output_quantizer, inputs[0].format, output.count)
        return Workload(name, self.kind, inputs, output, operations=operations, tables=tables)

    @classmethod
    def from_float(
        cls, modules: Sequence[nn.Module], quantizers: Mapping[str, Spec | None], **options: Any
    ) -> Self:
        """The layer with the quantizer of the slot ``output``."""
        spec = quantizers.get("output")
        layer = cls(**options) if spec is None else cls(spec, **options)
        return layer.train(all(module.training for module in modules))

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """Signed and unsigned."""
        return tuple(
            Example(tuple, {"output": text}, (5,))
            for text in ("quantized_bits(6,2,alpha=1)", "quantized_relu(4,1)")
        )


@LAYERS.register("QInput")
class QInput(QActivation):
    """The quantizer of the model's input: hardware reads numbers of this format.

    Example:
        >>> QInput("quantized_bits(16,6,alpha=1)").output_quantizer.format.width
        16
    """


@LAYERS.register("QReLU")
class QReLU(QActivation):
    """``relu`` and a quantizer.

    ``quantized_relu`` contains the relu; before any other quantizer it is applied here, so that the values
    below zero are 0 and have no gradient.

    Args:
        quantizer: text, a quantizer (copied) or a ``FixedPoint``; 8 bits below 1 unless told otherwise.

    Example:
        >>> QReLU("quantized_relu(4,2)")(torch.tensor([-1.0, 0.3, 9.0])).tolist()
        [0.0, 0.25, 3.75]
        >>> QReLU("quantized_bits(4,2,alpha=1)")(torch.tensor([-1.0, 0.3, 9.0])).tolist()
        [0.0, 0.5, 3.5]
    """

    kind: ClassVar[str] = "relu"
    replaces: ClassVar[tuple[type[nn.Module], ...]] = (nn.ReLU,)

    def __init__(self, quantizer: Spec = "quantized_relu(8)") -> None:
        super().__init__(quantizer)

    def forward(self, input: Tensor) -> Tensor:
        """The quantized values of ``relu(input)``, any shape."""
        return super().forward(input if self.contains_relu() else torch.relu(input))

    def contains_relu(self) -> bool:
        """Whether the quantizer itself makes values below zero 0."""
        quantizer = self.output_quantizer
        return isinstance(quantizer, quantized_relu) and not quantizer.negative_slope

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """With a relu in the quantizer and before it."""
        return tuple(
            Example(lambda: (nn.ReLU(),), {"output": text}, (5,))
            for text in ("quantized_relu(4,1)", "quantized_bits(6,2,alpha=1)")
        )
