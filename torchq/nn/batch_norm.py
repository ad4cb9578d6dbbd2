"""``QBatchNorm1d`` and ``QBatchNorm2d``: a batch norm of its own, behind no layer that it is folded into."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self, cast

import torch
from torch import Tensor, nn

from torchq.errors import TorchqError
from torchq.formats import FixedPoint, Overflow, Rounding, summed
from torchq.nn.base import Example, Spec, quantized
from torchq.nn.batch_folding import Norm, batch_moments, random_statistics
from torchq.nn.products import ProductLayer, check_floats
from torchq.nn.registry import LAYERS
from torchq.nn.scale_shift import QScaleShift, scaled
from torchq.nn.types import fixed, multiplied
from torchq.quantizers import Quantizer, make

SLOTS = ("inverse", "mean", "shift", "scale", "variance", "output")


class BatchNormLayer(ProductLayer):
    """``x * inv + q(beta) - q(mean) * inv`` with ``inv = q_inverse(q(gamma) / sqrt(q(variance) + eps))``.

    The quantizers are those of QKeras's ``QBatchNormalization``; ``scale`` is that of gamma (torch's
    ``weight``) and ``shift`` that of beta (torch's ``bias``). Hardware multiplies with ``inv``, so it needs
    ``inverse_quantizer``, and quantizers of mean and beta; those of gamma and variance then only change what
    is trained. QKeras's defaults are ``scale_quantizer="quantized_relu_po2(6,2048)"``,
    ``variance_quantizer="quantized_relu_po2(6,quadratic_approximation=True)"`` and ``"quantized_po2(5)"`` for
    mean and beta; here nothing is quantized unless asked for. In training the batch's mean and variance are
    quantized; the running ones are not, and move as in torch.

    A frozen one is a :class:`~torchq.nn.scale_shift.QScaleShift`: ``inv`` is its weight and
    ``q(beta) - q(mean) * inv`` its bias, exactly.

    Args:
        num_features: channels.
        eps: as in torch.
        momentum: as in torch.
        affine: as in torch; without it there is no gamma and no beta.
        track_running_stats: must be True.
        inverse_quantizer: of ``inv``, one number for each channel.
        mean_quantizer: of the mean.
        shift_quantizer: of beta.
        scale_quantizer: of gamma.
        variance_quantizer: of the variance.
        output_quantizer: of the output; None leaves the exact sum.
        device: as in torch.
        dtype: as in torch.
    """

    kind: ClassVar[str] = "scale_shift"
    slots: ClassVar[tuple[str, ...]] = SLOTS

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        inverse_quantizer: Spec | None = None,
        mean_quantizer: Spec | None = None,
        shift_quantizer: Spec | None = None,
        scale_quantizer: Spec | None = None,
        variance_quantizer: Spec | None = None,
        output_quantizer: Spec | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        if not track_running_stats:
            raise TorchqError(
                f"{type(self).__name__} needs running statistics", hint="use track_running_stats=True"
            )
        cast("Any", super()).__init__(num_features, eps, momentum, affine, True, device=device, dtype=dtype)
        given = (
            inverse_quantizer,
            mean_quantizer,
            shift_quantizer,
            scale_quantizer,
            variance_quantizer,
            output_quantizer,
        )
        for slot, spec in zip(SLOTS, given, strict=True):
            self.set_quantizer(slot, spec, self._stats.running_mean)

    @property
    def _stats(self) -> Norm:
        return cast("Norm", self)

    def quantizer(self, slot: str) -> Quantizer | None:
        """The quantizer in a slot; ``weight`` and ``bias`` are the numbers that hardware has."""
        if slot == "weight":
            return super().quantizer("inverse")
        if slot == "bias":
            grid = self._shift_grid()
            return None if grid is None else make(grid)
        return super().quantizer(slot)

    def missing_slots(self) -> tuple[str, ...]:
        """``inverse`` and ``mean`` are needed, and ``shift`` if there is a beta."""
        needed = ("inverse", "mean") if self.bias is None else ("inverse", "mean", "shift")
        return tuple(slot for slot in needed if self.quantizer(slot) is None)

    # ------------------------------------------------------------------ what it computes

    @property
    def fan_in(self) -> int:
        """One."""
        return 1

    def has_bias(self) -> bool:
        """Always: the mean is taken off."""
        return True

    def products(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """``input * weight + bias``, along the second axis of ``input``."""
        return scaled(input, weight, bias)

    def forward(self, input: Tensor) -> Tensor:
        """The normalised values.

        Args:
            input: shape ``[n, num_features, ...]``.

        Raises:
            TrainError: a training batch with one value for each channel, which has no variance.
            TorchqError: a tensor of integers.
        """
        if not self.training:
            return super().forward(input)
        check_floats(self, input)
        mean, variance = batch_moments(self, input, self._stats)
        weight, bias = self._constants(mean, variance, torch.float32)
        return quantized(scaled(input, weight, bias), self.quantizer("output"))

    def quantized_weight(self) -> Tensor:
        """``inv`` of evaluation, shape ``[num_features]``; computed in float64."""
        return self._in_evaluation()[0].to(self._dtype)

    def quantized_bias(self) -> Tensor:
        """What is added in evaluation, shape ``[num_features]``; computed in float64."""
        return self._in_evaluation()[1].to(self._dtype)

    @property
    def _dtype(self) -> torch.dtype:
        return cast("Tensor", self._stats.running_mean).dtype

    def _in_evaluation(self) -> tuple[Tensor, Tensor]:
        mean, variance = self._stats.running_mean, self._stats.running_var
        return self._constants(
            cast("Tensor", mean).double(), cast("Tensor", variance).double(), torch.float64
        )

    def _constants(self, mean: Tensor, variance: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """What is multiplied with and what is added."""
        wide = dtype == torch.float64
        gamma = None if self.weight is None else self.weight.double() if wide else self.weight
        beta = None if self.bias is None else self.bias.double() if wide else self.bias
        inverse = torch.rsqrt(quantized(variance, self.quantizer("variance")) + self._stats.eps)
        if gamma is not None:
            inverse = quantized(gamma, self.quantizer("scale")) * inverse
        inverse = quantized(inverse, self.quantizer("inverse"))
        shift = -quantized(mean, self.quantizer("mean")) * inverse
        return inverse, shift if beta is None else quantized(beta, self.quantizer("shift")) + shift

    def _shift_grid(self) -> FixedPoint | None:
        """The grid that ``q(beta) - q(mean) * inv`` stands on."""
        inverse, mean = super().quantizer("inverse"), super().quantizer("mean")
        beta = None if self.bias is None else super().quantizer("shift")
        if inverse is None or mean is None or (beta is None and self.bias is not None):
            return None
        term = multiplied(inverse.format, mean.format)
        other = term if beta is None else fixed(beta.format)
        if term is None or other is None:
            return None
        total = summed(FixedPoint(term.width + (not term.signed), term.integer + (not term.signed)), other)
        return FixedPoint(total.width, total.integer, True, Rounding.RND_CONV, Overflow.SAT)

    # ------------------------------------------------------------------ what graph, cost and export ask

    def refusal(self, shape: tuple[int, ...]) -> str | None:
        """Samples must have ``num_features`` channels."""
        if shape and shape[0] == self._stats.num_features:
            return None
        return f"needs samples of {self._stats.num_features} channels, got samples of shape {shape}"

    def frozen(self) -> ProductLayer:
        """A ``QScaleShift`` with the numbers of evaluation."""
        layer = QScaleShift(self._stats.num_features, device="meta")
        with torch.no_grad():
            layer.weight = nn.Parameter(self.quantized_weight(), requires_grad=False)
            layer.bias = nn.Parameter(self.quantized_bias(), requires_grad=False)
        for slot in layer.slots:
            layer.set_quantizer(slot, self.quantizer(slot), layer.weight)
        layer.bake()
        return layer.eval().requires_grad_(False)

    @staticmethod
    def arguments(layer: Any) -> dict[str, Any]:
        """All of torch's."""
        names = ("num_features", "eps", "momentum", "affine", "track_running_stats")
        return {name: getattr(layer, name) for name in names}

    @classmethod
    def from_float(
        cls, modules: Sequence[nn.Module], quantizers: Mapping[str, Spec | None], **options: Any
    ) -> Self:
        """The quantized layer for one batch norm, with the same parameters and statistics.

        Raises:
            TorchqError: it keeps no running statistics.
        """
        (given,) = cast("Sequence[Any]", modules)
        layer = cast("Self", cast("Any", cls)(**cls.arguments(given), device="meta", **options))
        layer.weight, layer.bias = given.weight, given.bias
        for name in ("running_mean", "running_var", "num_batches_tracked"):
            setattr(layer, name, getattr(given, name))
        for slot, spec in quantizers.items():
            layer.set_quantizer(slot, spec, given.running_mean)
        return layer.train(given.training)


_QUANTIZERS = {
    "inverse": "quantized_bits(8,2,alpha=1)",
    "mean": "quantized_bits(6,2,alpha=1)",
    "shift": "quantized_bits(6,1,alpha=1)",
}


@LAYERS.register("QBatchNorm1d")
class QBatchNorm1d(BatchNormLayer, nn.BatchNorm1d):
    """A drop-in ``nn.BatchNorm1d`` with quantizers; see :class:`BatchNormLayer`.

    Args:
        args: as in ``nn.BatchNorm1d``; the quantizers by name.

    Example:
        >>> layer = QBatchNorm1d(2, inverse_quantizer="quantized_bits(8,2,alpha=1)").eval()
        >>> layer(torch.tensor([[1.0, 3.0]])).tolist()
        [[1.0, 3.0]]
    """

    replaces: ClassVar[tuple[type[nn.Module], ...]] = (nn.BatchNorm1d,)

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """Flat samples."""
        return (Example(lambda: (random_statistics(nn.BatchNorm1d(3)),), _QUANTIZERS, (3,)),)


@LAYERS.register("QBatchNorm2d")
class QBatchNorm2d(BatchNormLayer, nn.BatchNorm2d):
    """A drop-in ``nn.BatchNorm2d`` with quantizers; see :class:`BatchNormLayer`.

    Args:
        args: as in ``nn.BatchNorm2d``; the quantizers by name.

    Example:
        >>> layer = QBatchNorm2d(1, inverse_quantizer="quantized_bits(8,2,alpha=1)").eval()
        >>> layer(torch.tensor([[[[1.0, 3.0]]]])).tolist()
        [[[[1.0, 3.0]]]]
    """

    replaces: ClassVar[tuple[type[nn.Module], ...]] = (nn.BatchNorm2d,)

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """With everything quantized, and without gamma and beta."""
        every = {
            **_QUANTIZERS,
            "scale": "quantized_relu_po2(6,2048)",
            "variance": "quantized_relu_po2(6,quadratic_approximation=True)",
            "output": "quantized_bits(8,3,alpha=1)",
        }
        some = {slot: _QUANTIZERS[slot] for slot in ("inverse", "mean")}
        return (
            Example(lambda: (random_statistics(nn.BatchNorm2d(3)),), every, (3, 2, 2)),
            Example(lambda: (random_statistics(nn.BatchNorm2d(2, affine=False)),), some, (2, 2, 3)),
        )
