"""``QLayerNorm``: layer normalisation as hardware can do it, every number on a stated format."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self, cast

import torch
from torch import Tensor, nn

from torchq.formats import FixedPoint, Format, accumulated, product, summed
from torchq.nn.baked import Baked
from torchq.nn.base import Example, QLayer, Spec, parameter_spec, quantized
from torchq.nn.operations import added, table_of, times, totalled
from torchq.nn.registry import LAYERS
from torchq.nn.table import Lookup, Table, address_format
from torchq.nn.types import fixed
from torchq.quantizers import Quantizer
from torchq.workload import Operation, ParamSpec, TensorSpec, Workload

INPUT, MEAN = "fixed(12,5)", "fixed(12,5)"
VARIANCE, RSQRT = "fixed(12,6,signed=False)", "fixed(12,4,signed=False)"
"""What the inner slots hold unless told otherwise."""

EXACT_BITS = 53
"""Float64 holds every integer of this many bits."""

CONSTANT_BITS = 16
"""The significant bits of the constant ``1 / n``."""


def inverse_count(count: int) -> FixedPoint:
    """The format of the constant ``1 / count``: unsigned, 16 significant bits, exact for powers of two.

    Example:
        >>> f = inverse_count(10)
        >>> str(f), f.quantize(1 / 10).item()
        ('ap_ufixed<16,-3,RND_CONV,SAT>', 0.10000038146972656)
    """
    _, exponent = math.frexp(1 / count)
    return FixedPoint(CONSTANT_BITS, exponent, signed=False)


@LAYERS.register("QLayerNorm")
class QLayerNorm(QLayer, nn.LayerNorm):
    """A drop-in ``nn.LayerNorm`` made of sums, products and one table; equal to integer arithmetic.

    With ``n`` values to normalise and ``c`` the constant ``1 / n`` with 16 significant bits:

    1. ``x = q_input(...)``.
    2. ``m = q_mean(sum(x) * c)``; sum and product are exact.
    3. ``d = x - m``, exact.
    4. ``v = q_variance(sum(d * d) * c)``, at most 12 bits: the table's address; sums and products are exact.
    5. ``r = q_rsqrt(1 / sqrt(v + eps))``, a table. ``eps`` costs nothing.
    6. ``y = q_output(d * r * q_weight(w) + q_bias(b))``; products and sum are exact.

    Values whose variance is below one step of the variance's format are all divided by ``sqrt(eps)``: choose
    that format for the data. A step without quantizer is computed in floats; with none at all, the layer is
    ``nn.LayerNorm`` (with ``c`` exact).

    Args:
        normalized_shape: as in ``nn.LayerNorm``.
        eps: as in ``nn.LayerNorm``.
        elementwise_affine: as in ``nn.LayerNorm``.
        bias: as in ``nn.LayerNorm``.
        weight_quantizer: of the weight, shape ``normalized_shape``; text, a quantizer (copied) or a
            ``FixedPoint``.
        bias_quantizer: of the bias, likewise.
        output_quantizer: of the result.
        input_quantizer: of what it reads; ``ap_fixed<12,5>`` unless told otherwise.
        mean_quantizer: ``ap_fixed<12,5>``.
        variance_quantizer: ``ap_ufixed<12,6>``; at most 12 bits.
        rsqrt_quantizer: ``ap_ufixed<12,4>``.
        device: as in ``nn.LayerNorm``.
        dtype: as in ``nn.LayerNorm``.

    Raises:
        QuantizerError: a text that is no quantizer, or a variance quantizer whose values are no addresses of
            a table.

    Example:
        >>> q = "quantized_bits(8,2,alpha=1)"
        >>> layer = QLayerNorm(4, weight_quantizer=q, bias_quantizer=q, output_quantizer=q)
        >>> layer(torch.tensor([[0.0, 1.0, 2.0, 3.0]])).tolist()
        [[-1.34375, -0.4375, 0.4375, 1.34375]]
    """

    kind: ClassVar[str] = "layer_norm"
    slots: ClassVar[tuple[str, ...]] = ("weight", "bias", "output", "input", "mean", "variance", "rsqrt")
    replaces: ClassVar[tuple[type[nn.Module], ...]] = (nn.LayerNorm,)
    needs_grid: ClassVar[bool] = False

    weight_quantizer: Quantizer | None
    bias_quantizer: Quantizer | None
    output_quantizer: Quantizer | None
    input_quantizer: Quantizer | None
    mean_quantizer: Quantizer | None
    variance_quantizer: Quantizer | None
    rsqrt_quantizer: Quantizer | None

    def __init__(
        self,
        normalized_shape: int | list[int] | tuple[int, ...],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        *,
        weight_quantizer: Spec | None = None,
        bias_quantizer: Spec | None = None,
        output_quantizer: Spec | None = None,
        input_quantizer: Spec | None = INPUT,
        mean_quantizer: Spec | None = MEAN,
        variance_quantizer: Spec | None = VARIANCE,
        rsqrt_quantizer: Spec | None = RSQRT,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        shape = [normalized_shape] if isinstance(normalized_shape, int) else list(normalized_shape)
        nn.LayerNorm.__init__(self, shape, eps, elementwise_affine, bias, device=device, dtype=dtype)
        given = (
            weight_quantizer,
            bias_quantizer,
            output_quantizer,
            input_quantizer,
            mean_quantizer,
            variance_quantizer,
            rsqrt_quantizer,
        )
        for slot, spec in zip(self.slots, given, strict=True):
            self.set_quantizer(slot, spec, self.weight)

    def set_quantizer(self, slot: str, spec: Spec | None, like: Tensor | None = None) -> None:
        """Put a quantizer into a slot; that of the variance must give addresses."""
        super().set_quantizer(slot, spec, like)
        quantizer = self.quantizer(slot)
        if slot == "variance" and quantizer is not None:
            address_format(type(self).__name__, slot, quantizer)

    def missing_slots(self) -> tuple[str, ...]:
        """All are needed, those of weight and bias if there are such."""
        absent = {"weight": self.weight is None, "bias": self.bias is None}
        return tuple(slot for slot in super().missing_slots() if not absent.get(slot, False))

    # ------------------------------------------------------------------ what it computes

    @property
    def count(self) -> int:
        """How many values are normalised together."""
        return math.prod(self.normalized_shape)

    def inverse_of_count(self) -> float:
        """The constant that sums are multiplied with."""
        if all(self.quantizer(slot) is None for slot in ("mean", "variance")):
            return 1 / self.count
        return float(inverse_count(self.count).quantize(1 / self.count))

    def quantized_weight(self) -> Tensor | None:
        """The weight that it multiplies with; None if it has none."""
        return None if self.weight is None else quantized(self.weight, self.weight_quantizer)

    def quantized_bias(self) -> Tensor | None:
        """The bias that it adds; None if it has none."""
        return None if self.bias is None else quantized(self.bias, self.bias_quantizer)

    def forward(self, input: Tensor) -> Tensor:
        """The normalised values.

        Args:
            input: shape ``[..., *normalized_shape]``.

        Returns:
            The shape and dtype of ``input``. Inside, numbers are float64, so that sums are exact.
        """
        axes = tuple(range(-len(self.normalized_shape), 0))
        constant = self.inverse_of_count()
        x = quantized(input, self.input_quantizer).double()
        mean = quantized(x.sum(axes, keepdim=True) * constant, self.mean_quantizer)
        d = x - mean
        variance = (d * d).sum(axes, keepdim=True) * constant
        y = d * self._rsqrt(input.device)(variance)
        weight, bias = self.quantized_weight(), self.quantized_bias()
        y = y if weight is None else y * weight.double()
        y = y if bias is None else y + bias.double()
        return quantized(y, self.output_quantizer).to(input.dtype)

    def _rsqrt(self, device: torch.device | str) -> Lookup:
        return Lookup("rsqrt", self.variance_quantizer, self.rsqrt_quantizer, device, eps=self.eps)

    def table(self) -> Table:
        """The table of ``1 / sqrt(v + eps)``, for the lowering."""
        lookup = self._rsqrt("cpu")
        if lookup.grid is None or self.rsqrt_quantizer is None:
            raise TypeError("the table needs quantizers for variance and rsqrt")
        return Table(lookup.grid, self.rsqrt_quantizer.format, lookup.values.detach().numpy())

    # ------------------------------------------------------------------ what graph, cost and export ask

    def refusal(self, shape: tuple[int, ...]) -> str | None:
        """Samples must end in ``normalized_shape``, and the sum of squares be exact in float64."""
        ending = tuple(self.normalized_shape)
        if shape[len(shape) - len(ending) :] != ending:
            return f"needs samples that end in {ending}, got samples of shape {shape}"
        x, mean = (fixed(q.format) if (q := self.quantizer(slot)) else None for slot in ("input", "mean"))
        if x is None or mean is None:
            return None
        d = summed(x, mean)
        bits = int(product(accumulated(product(d, d), self.count), inverse_count(self.count)).width)
        if bits <= EXACT_BITS:
            return None
        return (
            f"needs {bits} bits for its sum of squares, and float64 is exact up to {EXACT_BITS}; give it a "
            "narrower input_quantizer and mean_quantizer for what comes"
        )

    def output_format(self, source: Format | None) -> Format | None:  # noqa: ARG002
        """The output quantizer's format."""
        return None if self.output_quantizer is None else self.output_quantizer.format

    def workload(self, name: str, inputs: tuple[TensorSpec, ...], output: TensorSpec) -> Workload:
        """Its parameters, the sums and products of the six steps, and one look into the table a group."""
        with torch.no_grad():
            weight, bias = self.quantized_weight(), self.quantized_bias()
        return Workload(
            name,
            self.kind,
            inputs,
            output,
            weight=self._param("weight", weight),
            bias=self._param("bias", bias),
            operations=self._operations(output.count),
            tables=table_of(
                "rsqrt", self.variance_quantizer, self.rsqrt_quantizer, output.count // max(self.count, 1)
            ),
        )

    def _operations(self, values: int) -> tuple[Operation, ...]:
        """All of them, for so many values."""
        groups = values // max(self.count, 1)
        slots = ("input", "mean", "rsqrt", "weight", "bias")
        x, mean, rsqrt, weight, bias = (
            None if (q := self.quantizer(slot)) is None else q.format for slot in slots
        )
        constant = inverse_count(self.count)
        sums = totalled(groups, self.count, x)
        difference = added(values, x, mean)
        squares = times(values, difference.result, difference.result)
        total = totalled(groups, self.count, squares.result)
        scaled = times(values, difference.result, rsqrt)
        found = [
            sums,
            times(groups, sums.result, constant),
            difference,
            squares,
            total,
            times(groups, total.result, constant),
            scaled,
        ]
        if self.weight is not None:
            scaled = times(values, scaled.result, weight)
            found.append(scaled)
        if self.bias is not None:
            found.append(added(values, scaled.result, bias))
        return tuple(found)

    def _param(self, slot: str, values: Tensor | None) -> ParamSpec | None:
        if values is None:
            return None
        quantizer = self.quantizer(slot)
        format = None if quantizer is None else quantizer.format
        return parameter_spec(slot, values, format)

    # ------------------------------------------------------------------ made and frozen

    def frozen(self) -> QLayerNorm:
        """A copy whose parameters stand on their grids; see :class:`~torchq.nn.baked.Baked`."""
        layer = copy.deepcopy(self).eval()
        with torch.no_grad():
            values = {"weight": layer.quantized_weight(), "bias": layer.quantized_bias()}
        for slot, value in values.items():
            quantizer = layer.quantizer(slot)
            if value is not None:
                layer.register_parameter(slot, nn.Parameter(value, requires_grad=False))
            if quantizer is not None:
                layer.register_module(f"{slot}_quantizer", Baked(quantizer))
        return layer.requires_grad_(False)

    def dequantized(self) -> nn.Module:
        """``nn.LayerNorm`` with copies of weight and bias."""
        twin = nn.LayerNorm(self.normalized_shape, self.eps, self.elementwise_affine, device="meta")
        twin.weight, twin.bias = copy.deepcopy(self.weight), copy.deepcopy(self.bias)
        return twin.train(self.training)

    @classmethod
    def from_float(
        cls, modules: Sequence[nn.Module], quantizers: Mapping[str, Spec | None], **options: Any
    ) -> Self:
        """The quantized layer for one ``nn.LayerNorm``, with the same parameter objects."""
        (norm,) = cast("Sequence[nn.LayerNorm]", modules)
        layer = cls(norm.normalized_shape, norm.eps, norm.elementwise_affine, device="meta", **options)
        layer.weight, layer.bias = norm.weight, norm.bias
        for slot in cls.slots:
            spec = quantizers[slot] if slot in quantizers else layer.quantizer(slot)
            layer.set_quantizer(slot, spec, norm.weight)
        return layer.train(norm.training)

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """One axis, several, with and without bias."""
        slots = {
            "weight": "quantized_bits(6,1,alpha=1)",
            "bias": "quantized_bits(6,1,alpha=1)",
            "output": "quantized_bits(8,2,alpha=1)",
        }
        no_bias = {slot: text for slot, text in slots.items() if slot != "bias"}
        return (
            Example(lambda: (nn.LayerNorm(6),), slots, (6,)),
            Example(lambda: (nn.LayerNorm([3, 4]),), slots, (2, 3, 4)),
            Example(lambda: (nn.LayerNorm(8, bias=False),), no_bias, (5, 8)),
        )
