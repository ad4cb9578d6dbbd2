"""``FoldedLayer``: a layer and the batch norm after it, trained as two and computed as one.

Hardware has no batch norm: its scale is multiplied into the weight and its shift added to the bias. What is
quantized is the product, so training has to see it (Jacob et al., arXiv:1712.05877, section 3.2). Both ways
in which QKeras does it are offered; QKeras itself has them for convolutions only.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Self, TypeVar, cast

import torch
from torch import Tensor, nn

from torchq.errors import TorchqError, TrainError
from torchq.nn.base import Spec, quantized
from torchq.nn.products import ProductLayer, check_floats
from torchq.nn.registry import replacement

Folding = Literal["ema_stats", "batch_stats"]
Norm = nn.BatchNorm1d | nn.BatchNorm2d
L = TypeVar("L", bound=nn.Module)


class FoldedLayer(ProductLayer):
    """A product layer with the batch norm after it folded into weight and bias before they are quantized.

    With ``inv = gamma / sqrt(variance + eps)`` the layer multiplies with ``q(inv * weight)`` and adds
    ``q(inv * (bias - mean) + beta)``. In evaluation mean and variance are the running ones. In training the
    running ones are updated first, and then:

    - ``folding="batch_stats"``: mean and variance are the batch's, in weight and bias.
    - ``folding="ema_stats"`` (the default): the weight is folded with the running variance, so that it
      does not jump with every batch; the products are corrected by
      ``sqrt(running_var + eps) / sqrt(batch_var + eps)``, and the bias is folded with the batch's.

    After ``freeze_delay`` training steps (QKeras's ``ema_freeze_delay`` and two more), or with
    ``batch_norm.eval()``, training uses the running statistics, which stay as they are. Without quantizers
    the output is that of the two float layers. In evaluation the folding is computed in float64, so that
    float32 and float64 models have the same weights.

    Args:
        args: those of the layer without the batch norm.
        eps: as in torch's batch norm.
        momentum: as in torch's batch norm.
        folding: which statistics the weight is folded with in training.
        freeze_delay: number of training steps with the batch's statistics; None for all.
        options: keyword arguments of the layer without the batch norm: quantizers, device, dtype, ...
    """

    plain: ClassVar[type[ProductLayer]]
    """The layer without the batch norm, which freezing leaves."""
    norm: ClassVar[type[Norm]]
    """The batch norm."""

    batch_norm: Norm

    def __init__(
        self,
        *args: Any,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        folding: Folding = "ema_stats",
        freeze_delay: int | None = None,
        **options: Any,
    ) -> None:
        cast("Any", super()).__init__(*args, **options)
        if folding not in ("ema_stats", "batch_stats"):
            raise TorchqError(f"folding must be 'ema_stats' or 'batch_stats', got {folding!r}")
        if freeze_delay is not None and freeze_delay < 0:
            raise TorchqError(f"freeze_delay must be at least 0 steps, got {freeze_delay}")
        self.folding: Folding = folding
        self.freeze_delay = freeze_delay
        self.batch_norm = self.norm(
            self.weight.shape[0], eps, momentum, device=self.weight.device, dtype=self.weight.dtype
        )

    # ------------------------------------------------------------------ what it computes

    def forward(self, input: Tensor) -> Tensor:
        """The folded layer's output, of the shape that the layer without the batch norm returns.

        Args:
            input: a batch.

        Raises:
            TrainError: a training batch with one value for each channel, which has no variance.
            TorchqError: a tensor of integers.
        """
        if not (self.training and self._uses_batch()):
            return super().forward(input)
        check_floats(self, input)
        mean, variance = self._batch_statistics(input)
        norm = self.batch_norm
        batch_inverse = self._gamma() * torch.rsqrt(variance + norm.eps)
        bias = quantized(self._folded_bias(batch_inverse, mean), self.bias_quantizer)
        if self.folding == "batch_stats":
            weight = _along_first(batch_inverse, self.weight.ndim) * self.weight
            total = self.products(input, quantized(weight, self.weight_quantizer), None)
        else:
            running = cast("Tensor", norm.running_var) + norm.eps
            weight = _along_first(self._gamma() * torch.rsqrt(running), self.weight.ndim) * self.weight
            correction = torch.sqrt(running) * torch.rsqrt(variance + norm.eps)
            total = self.products(input, quantized(weight, self.weight_quantizer), None)
            total = total * _along_second(correction, total.ndim)
        return quantized(total + _along_second(bias, total.ndim), self.output_quantizer)

    def folded(self) -> tuple[Tensor, Tensor]:
        """Weight and bias with the running statistics folded in, not yet quantized.

        Returns:
            The shapes of ``weight`` and ``bias``, in float64.
        """
        norm = self.batch_norm
        variance = cast("Tensor", norm.running_var).double()
        inverse = self._gamma().double() / torch.sqrt(variance + norm.eps)
        weight = _along_first(inverse, self.weight.ndim) * self.weight.double()
        bias = self._folded_bias(inverse, cast("Tensor", norm.running_mean).double())
        return weight, bias

    def quantized_weight(self) -> Tensor:
        """The folded, quantized weight of evaluation, in the shape and dtype of ``weight``."""
        return quantized(self.folded()[0], self.weight_quantizer).to(self.weight.dtype)

    def quantized_bias(self) -> Tensor:
        """The folded, quantized bias of evaluation, one number for each output."""
        return quantized(self.folded()[1], self.bias_quantizer).to(self.weight.dtype)

    def has_bias(self) -> bool:
        """Always: the shift of the batch norm is folded into it."""
        return True

    def _uses_batch(self) -> bool:
        if not self.batch_norm.training:
            return False
        steps = cast("Tensor", self.batch_norm.num_batches_tracked)
        return self.freeze_delay is None or int(steps) < self.freeze_delay

    def _gamma(self) -> Tensor:
        gamma = self.batch_norm.weight
        return torch.ones_like(cast("Tensor", self.batch_norm.running_var)) if gamma is None else gamma

    def _folded_bias(self, inverse: Tensor, mean: Tensor) -> Tensor:
        shift = -mean if self.bias is None else self.bias - mean
        beta = self.batch_norm.bias
        return inverse * shift if beta is None else inverse * shift + beta

    def _batch_statistics(self, input: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and (biased) variance of the float products of this batch; the running ones are updated."""
        if input.ndim != self.weight.ndim:
            raise TrainError(
                f"{type(self).__name__} trains on batches of {self.weight.ndim} axes, got {input.ndim}"
            )
        y = self.products(input, self.weight, self.bias)
        return batch_moments(self, y, self.batch_norm)

    # ------------------------------------------------------------------ made and frozen

    def frozen(self) -> ProductLayer:
        """The layer without the batch norm, with the folded, quantized weight and bias."""
        like = self.weight
        layer = cast("ProductLayer", cast("Any", self.plain)(**self.arguments(self), device="meta"))
        with torch.no_grad():
            layer.weight = nn.Parameter(self.quantized_weight(), requires_grad=False)
            layer.bias = nn.Parameter(self.quantized_bias(), requires_grad=False)
        for slot in self.slots:
            layer.set_quantizer(slot, self.quantizer(slot), like)
        layer.bake()
        return layer.eval().requires_grad_(False)

    @classmethod
    def from_float(
        cls, modules: Sequence[nn.Module], quantizers: Mapping[str, Spec | None], **options: Any
    ) -> Self:
        """The folded layer for a float layer and the batch norm after it, with the same parameter objects.

        Raises:
            TorchqError: the batch norm keeps no running statistics, or has another number of channels.
        """
        layer, norm = cast("tuple[Any, Norm]", tuple(modules))
        check_foldable(norm, layer.weight.shape[0])
        made = super().from_float([layer], quantizers, **options)
        made.batch_norm = norm
        return made

    def extra_repr(self) -> str:
        """The layer's arguments, the quantizers, and how the batch norm is folded."""
        return f"{super().extra_repr()}, folding={self.folding!r}, freeze_delay={self.freeze_delay}"


def check_foldable(norm: Norm, channels: int) -> None:
    """Refuse a batch norm that cannot be folded into a layer with this many outputs.

    Raises:
        TorchqError: it has no running statistics, or another number of channels.
    """
    title = type(norm).__name__
    if norm.running_var is None or norm.running_mean is None:
        raise TorchqError(
            f"a {title} without running statistics cannot be folded",
            hint="make it with track_running_stats=True",
        )
    if norm.num_features != channels:
        raise TorchqError(
            f"a {title} of {norm.num_features} channels cannot be folded into {channels} outputs"
        )


def fold_batch_norm(layer: L, norm: Norm) -> L:
    """One float layer that computes what the two do in evaluation.

    Args:
        layer: the ``nn.Linear``, ``nn.Conv1d`` or ``nn.Conv2d`` before the batch norm.
        norm: the batch norm, with running statistics.

    Returns:
        A new layer with a bias, in the device, dtype and mode of ``layer``.

    Raises:
        TorchqError: the batch norm cannot be folded into the layer.
    """
    pair = replacement([layer, norm])
    if pair is None or not issubclass(pair, FoldedLayer):
        raise TorchqError(f"a {type(norm).__name__} cannot be folded into a {type(layer).__name__}")
    with torch.no_grad():
        weight, bias = pair.from_float([layer, norm], {}).folded()
    folded = copy.deepcopy(layer)
    like = cast("Tensor", layer.weight)
    folded.register_parameter("weight", nn.Parameter(weight.to(like.dtype)))
    folded.register_parameter("bias", nn.Parameter(bias.to(like.dtype)))
    return folded


def batch_moments(layer: nn.Module, y: Tensor, norm: Norm) -> tuple[Tensor, Tensor]:
    """Mean and (biased) variance of each channel of a training batch; the running ones are updated.

    The running ones move as torch's do: with the momentum, or all batches alike where there is none, and the
    variance is unbiased.

    Args:
        layer: for the error.
        y: shape ``[n, channels, ...]``.
        norm: what keeps the running statistics.

    Raises:
        TrainError: one value for each channel, which has no variance.
    """
    count = y.numel() // max(y.shape[1], 1)
    if count < 2:
        what = "samples" if y.ndim == 2 else "values for each channel"
        raise TrainError(
            f"{type(layer).__name__} needs at least 2 {what} in a training batch, got {count}",
            hint="leave out the last batch, or call eval() first",
        )
    variance, mean = torch.var_mean(y, dim=[axis for axis in range(y.ndim) if axis != 1], correction=0)
    steps = cast("Tensor", norm.num_batches_tracked).add_(1)
    share = 1 / float(steps) if norm.momentum is None else norm.momentum
    with torch.no_grad():
        cast("Tensor", norm.running_mean).lerp_(mean.detach(), share)
        cast("Tensor", norm.running_var).lerp_(variance.detach() * (count / (count - 1)), share)
    return mean, variance


def random_statistics(norm: Norm) -> Norm:
    """The same batch norm with running statistics as after some training, for examples."""
    with torch.no_grad():
        cast("Tensor", norm.running_mean).uniform_(-1, 1)
        cast("Tensor", norm.running_var).uniform_(0.5, 2)
    return norm


def _along_first(values: Tensor, ndim: int) -> Tensor:
    """One number for each output, to be multiplied with a weight."""
    return values.reshape(-1, *[1] * (ndim - 1))


def _along_second(values: Tensor, ndim: int) -> Tensor:
    """One number for each channel, to be multiplied with a batch of outputs."""
    return values.reshape(-1, *[1] * (ndim - 2))
