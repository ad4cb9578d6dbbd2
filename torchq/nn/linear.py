"""``QLinear``: ``nn.Linear`` with quantized weights, bias and output."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from torchq.formats import FixedPoint, Format
from torchq.nn.baked import Baked
from torchq.nn.base import Example, QLayer, Spec, quantized, zeros
from torchq.nn.registry import LAYERS
from torchq.nn.types import holding, multiplied, summed_products, with_bias
from torchq.quantizers import Quantizer
from torchq.workload import ParamSpec, TensorSpec, Workload


@LAYERS.register("QLinear")
class QLinear(QLayer, nn.Linear):
    """A drop-in ``nn.Linear`` whose weight, bias and output go through quantizers.

    Args:
        in_features: values per sample that it reads.
        out_features: values per sample that it writes.
        bias: whether it has a bias.
        weight_quantizer: of the weight, shape ``[out_features, in_features]``; text, a quantizer (copied) or
            a ``FixedPoint``. None leaves the weight float. Scales per channel are per output.
        bias_quantizer: of the bias, shape ``[out_features]``.
        output_quantizer: of the output; None leaves the exact sum.
        device: as in ``nn.Linear``.
        dtype: as in ``nn.Linear``.

    Raises:
        QuantizerError: a text that is no quantizer.

    Example:
        >>> layer = QLinear(16, 64, weight_quantizer="quantized_bits(6,0,alpha=1)",
        ...                 bias_quantizer="quantized_bits(6,0,alpha=1)")
        >>> layer.quantized_weight().unique().numel() <= 64
        True
        >>> isinstance(layer, nn.Linear), sorted(nn.Linear(16, 64).state_dict())
        (True, ['bias', 'weight'])
    """

    kind: ClassVar[str] = "linear"
    slots: ClassVar[tuple[str, ...]] = ("weight", "bias", "output")
    replaces: ClassVar[tuple[type[nn.Module], ...]] = (nn.Linear,)

    weight_quantizer: Quantizer | None
    bias_quantizer: Quantizer | None
    output_quantizer: Quantizer | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        weight_quantizer: Spec | None = None,
        bias_quantizer: Spec | None = None,
        output_quantizer: Spec | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        nn.Linear.__init__(self, in_features, out_features, bias, device=device, dtype=dtype)
        self.set_quantizer("weight", weight_quantizer, self.weight)
        self.set_quantizer("bias", bias_quantizer, self.weight)
        self.set_quantizer("output", output_quantizer, self.weight)

    def set_quantizer(self, slot: str, spec: Spec | None, like: Tensor | None = None) -> None:
        """Put a quantizer into a slot; scales of the weight are per output, its first axis."""
        super().set_quantizer(slot, spec, like)
        if slot == "weight" and self.weight_quantizer is not None:
            self.weight_quantizer.channel_axis(0)

    # ------------------------------------------------------------------ what it computes

    def quantized_weight(self) -> Tensor:
        """The weight that it multiplies with, shape ``[out_features, in_features]``."""
        return quantized(self.weight, self.weight_quantizer)

    def quantized_bias(self) -> Tensor | None:
        """The bias that it adds, shape ``[out_features]``; None if it has none."""
        return None if self.bias is None else quantized(self.bias, self.bias_quantizer)

    def forward(self, input: Tensor) -> Tensor:
        """``q_output(input @ q_weight.T + q_bias)``.

        Args:
            input: shape ``[..., in_features]``.

        Returns:
            Shape ``[..., out_features]``.
        """
        total = F.linear(input, self.quantized_weight(), self.quantized_bias())
        return quantized(total, self.output_quantizer)

    # ------------------------------------------------------------------ what graph, cost and export ask

    def has_bias(self) -> bool:
        """Whether something is added to the sum of products."""
        return self.bias is not None

    def missing_slots(self) -> tuple[str, ...]:
        """``weight`` and ``bias`` are needed; without ``output`` the sum leaves exactly."""
        needed = ("weight", "bias") if self.has_bias() else ("weight",)
        return tuple(slot for slot in needed if self.quantizer(slot) is None)

    def refusal(self, shape: tuple[int, ...]) -> str | None:
        """Samples must be flat and have ``in_features`` values."""
        if shape == (self.in_features,):
            return None
        return f"needs flat samples of {self.in_features} values, got samples of shape {shape}"

    def output_format(self, source: Format | None) -> Format | None:
        """The output quantizer's format, or one that holds every sum exactly."""
        if self.output_quantizer is not None:
            return self.output_quantizer.format
        total = self.accumulator(source)
        if self.has_bias():
            return total
        return holding(total, self._format("weight"), source, self.in_features)

    def product(self, source: Format | None) -> FixedPoint | None:
        """The type of one product by QTools' rules."""
        return multiplied(self._format("weight"), source)

    def accumulator(self, source: Format | None) -> FixedPoint | None:
        """The type of the sum of all products and the bias by QTools' rules."""
        total = summed_products(self.product(source), self.in_features)
        return with_bias(total, self._format("bias")) if self.has_bias() else total

    def workload(self, name: str, inputs: tuple[TensorSpec, ...], output: TensorSpec) -> Workload:
        """``in_features * out_features`` multiplications for each vector of a sample."""
        (source,) = inputs
        with torch.no_grad():
            weight, bias = self.quantized_weight(), self.quantized_bias()
        return Workload(
            name,
            self.kind,
            inputs,
            output,
            macs=source.count * self.out_features,
            fan_in=self.in_features,
            product=self.product(source.format),
            accumulator=self.accumulator(source.format),
            weight=ParamSpec("weight", tuple(weight.shape), self._format("weight"), zeros(weight)),
            bias=None
            if bias is None
            else ParamSpec("bias", tuple(bias.shape), self._format("bias"), zeros(bias)),
        )

    def _format(self, slot: str) -> Format | None:
        """The format of the weight or bias as it is now: a scale may follow from the values."""
        quantizer = self.quantizer(slot)
        if quantizer is None:
            return None
        with torch.no_grad():
            self.quantized_weight() if slot == "weight" else self.quantized_bias()
        return quantizer.format

    # ------------------------------------------------------------------ made and frozen

    def frozen(self) -> QLinear:
        """A ``QLinear`` whose parameters stand on their grids; see :class:`~torchq.nn.baked.Baked`."""
        layer = copy.deepcopy(self).eval()
        with torch.no_grad():
            weight, bias = layer.quantized_weight(), layer.quantized_bias()
        layer.weight = nn.Parameter(weight, requires_grad=False)
        layer.register_parameter("bias", None if bias is None else nn.Parameter(bias, requires_grad=False))
        layer.bake()
        return layer.requires_grad_(False)

    def bake(self) -> None:
        """Say that weight and bias stand on their grids: their quantizers become :class:`Baked` formats."""
        for slot in ("weight", "bias"):
            quantizer = self.quantizer(slot)
            if quantizer is not None:
                self.register_module(f"{slot}_quantizer", Baked(quantizer))

    @classmethod
    def from_float(
        cls, modules: Sequence[nn.Module], quantizers: Mapping[str, Spec | None], **options: Any
    ) -> Self:
        """The quantized layer for one ``nn.Linear``, with the same parameter objects."""
        (linear,) = cast("Sequence[nn.Linear]", modules)
        bias = linear.bias is not None
        layer = cls(linear.in_features, linear.out_features, bias, device="meta", **options)
        layer.weight, layer.bias = linear.weight, linear.bias
        for slot, spec in quantizers.items():
            layer.set_quantizer(slot, spec, linear.weight)
        return layer.train(linear.training)

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """With and without bias and output quantizer, and with one feature."""
        weight, bias = "quantized_bits(4,0,alpha=1)", "quantized_bits(5,1,alpha=1)"
        return (
            Example(lambda: (nn.Linear(6, 4),), {"weight": weight, "bias": bias}, (6,)),
            Example(lambda: (nn.Linear(4, 3, bias=False),), {"weight": weight}, (4,)),
            Example(
                lambda: (nn.Linear(1, 2),),
                {"weight": weight, "bias": bias, "output": "quantized_bits(6,2,alpha=1)"},
                (1,),
            ),
        )
