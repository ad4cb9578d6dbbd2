"""``ProductLayer``: what linear layers and convolutions have in common, the sum of products with a weight."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

import torch
from torch import Tensor, nn

from torchq.errors import QuantizerError, TorchqError
from torchq.formats import FixedPoint, Format
from torchq.nn.baked import Baked
from torchq.nn.base import QLayer, Spec, parameter_spec, quantized
from torchq.nn.types import holding, multiplied, summed_products, with_bias
from torchq.quantizers import Quantizer
from torchq.quantizers.scaled import ScaledQuantizer
from torchq.workload import TensorSpec, Workload


class ProductLayer(QLayer):
    """A layer whose outputs are sums of products with its weight, and a bias.

    A subclass names the float layer it stands for among its bases, and says its arguments, how many products
    an output sums (:attr:`fan_in`) and how it computes them (:meth:`products`).
    """

    slots: ClassVar[tuple[str, ...]] = ("weight", "bias", "output")
    weight_axis: ClassVar[int] = 0
    """The axis of the weight that counts the outputs: scales per channel lie along it."""

    weight_quantizer: Quantizer | None
    bias_quantizer: Quantizer | None
    output_quantizer: Quantizer | None

    if TYPE_CHECKING:
        weight: Any
        bias: Any

    @property
    def fan_in(self) -> int:
        """How many products an output sums."""
        raise TypeError(f"{type(self).__name__} does not say how many products it sums")

    def products(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:  # noqa: ARG002
        """The sums of products of ``input`` and ``weight``, plus ``bias``."""
        raise TypeError(f"{type(self).__name__} does not say what it computes")

    @staticmethod
    def arguments(layer: Any) -> dict[str, Any]:  # noqa: ARG004
        """The arguments that the float layer, or a quantized one, was made with, ``bias`` aside."""
        raise TypeError("the layer does not say its arguments")

    # ------------------------------------------------------------------ quantizers

    def set_quantizer(self, slot: str, spec: Spec | None, like: Tensor | None = None) -> None:
        """Put a quantizer into a slot; scales of the weight are per output.

        Raises:
            QuantizerError: the scale has numbers for another shape than the parameter's.
        """
        super().set_quantizer(slot, spec, like)
        quantizer = self.quantizer(slot)
        if slot == "weight" and quantizer is not None:
            quantizer.channel_axis(self.weight_axis)
        parameter = getattr(self, slot, None) if slot in ("weight", "bias") else None
        if parameter is not None and isinstance(quantizer, ScaledQuantizer) and not quantizer.auto:
            try:
                quantizer.fixed_scale(parameter)
            except QuantizerError as fault:
                raise QuantizerError(
                    f"the {slot} of {type(self).__name__}: {fault.message}", fault.hint
                ) from fault

    def put_quantizers(self, weight: Spec | None, bias: Spec | None, output: Spec | None) -> None:
        """Fill the slots of a layer that has its parameters."""
        for slot, spec in (("weight", weight), ("bias", bias), ("output", output)):
            self.set_quantizer(slot, spec, self.weight)

    # ------------------------------------------------------------------ what it computes

    def quantized_weight(self) -> Tensor:
        """The weight that it multiplies with, in the shape of ``weight``."""
        return quantized(self.weight, self.weight_quantizer)

    def quantized_bias(self) -> Tensor | None:
        """The bias that it adds; None if it has none."""
        return None if self.bias is None else quantized(self.bias, self.bias_quantizer)

    def forward(self, input: Tensor) -> Tensor:
        """``q_output(products(input, q_weight) + q_bias)``.

        Args:
            input: of the shape that the float layer reads; the batch may be empty.

        Returns:
            The shape that the float layer returns.

        Raises:
            TorchqError: a tensor of integers.
        """
        check_floats(self, input)
        total = self.products(input, self.quantized_weight(), self.quantized_bias())
        return quantized(total, self.output_quantizer)

    # ------------------------------------------------------------------ what graph, cost and export ask

    def has_bias(self) -> bool:
        """Whether something is added to the sum of products."""
        return self.bias is not None

    def missing_slots(self) -> tuple[str, ...]:
        """``weight`` and ``bias`` are needed; without ``output`` the sum leaves exactly."""
        needed = ("weight", "bias") if self.has_bias() else ("weight",)
        return tuple(slot for slot in needed if self.quantizer(slot) is None)

    def output_format(self, source: Format | None) -> Format | None:
        """The output quantizer's format, or one that holds every sum exactly."""
        if self.output_quantizer is not None:
            return self.output_quantizer.format
        with torch.no_grad():
            self.quantized_weight(), self.quantized_bias()
        total = self._accumulator(source)
        return total if self.has_bias() else holding(total, self._format("weight"), source, self.fan_in)

    def workload(self, name: str, inputs: tuple[TensorSpec, ...], output: TensorSpec) -> Workload:
        """``fan_in`` multiplications for each value of the output, padded zeros included."""
        (source,) = inputs
        with torch.no_grad():
            weight, bias = self.quantized_weight(), self.quantized_bias()
        # the formats are read after the values: a scale may follow from them
        return Workload(
            name,
            self.kind,
            inputs,
            output,
            macs=output.count * self.fan_in,
            fan_in=self.fan_in,
            product=multiplied(self._format("weight"), source.format),
            accumulator=self._accumulator(source.format),
            weight=parameter_spec("weight", weight, self._format("weight")),
            bias=None if bias is None else parameter_spec("bias", bias, self._format("bias")),
        )

    def _accumulator(self, source: Format | None) -> FixedPoint | None:
        """The type of the sum of all products and the bias by QTools' rules."""
        total = summed_products(multiplied(self._format("weight"), source), self.fan_in)
        return with_bias(total, self._format("bias")) if self.has_bias() else total

    def _format(self, slot: str) -> Format | None:
        """That of the quantizer as it is after the last values."""
        quantizer = self.quantizer(slot)
        return None if quantizer is None else quantizer.format

    # ------------------------------------------------------------------ made and frozen

    def frozen(self) -> ProductLayer:
        """A copy whose parameters stand on their grids; see :class:`~torchq.nn.baked.Baked`."""
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
        """The quantized layer for one float layer, with the same parameter objects.

        Raises:
            QuantizerError: the scale of a quantizer has numbers for another shape than the parameter's.
        """
        (given,) = cast("Sequence[Any]", modules)
        made = cast("Any", cls)
        layer = cast(
            "Self", made(**cls.arguments(given), bias=given.bias is not None, device="meta", **options)
        )
        layer.weight, layer.bias = given.weight, given.bias
        for slot, spec in quantizers.items():
            layer.set_quantizer(slot, spec, given.weight)
        return layer.train(given.training)


def check_floats(layer: nn.Module, input: Tensor) -> None:
    """Refuse a tensor of integers.

    Raises:
        TorchqError: with the name of the layer's class.
    """
    if not input.is_floating_point():
        came = str(input.dtype).removeprefix("torch.")
        raise TorchqError(
            f"{type(layer).__name__} reads floating-point tensors, got {came}",
            hint="convert it first, for example with x.float()",
        )
