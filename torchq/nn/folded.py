"""``QLinearBatchNorm1d``: a linear layer and the batch norm after it, trained as two and computed as one.

Hardware has no batch norm: its scale is multiplied into the weight and its shift added to the bias. What is
quantized is the product, so training has to see it (Jacob et al., arXiv:1712.05877, section 3.2). Both ways
in which QKeras does it are offered; QKeras itself has them for convolutions only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Self, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from torchq.errors import TorchqError, TrainError
from torchq.nn.base import Example, Spec, quantized
from torchq.nn.linear import QLinear
from torchq.nn.registry import LAYERS

Folding = Literal["ema_stats", "batch_stats"]


@LAYERS.register("QLinearBatchNorm1d")
class QLinearBatchNorm1d(QLinear):
    """A ``QLinear`` with an ``nn.BatchNorm1d`` folded into its weight and bias before they are quantized.

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
        in_features: values per sample that it reads.
        out_features: values per sample that it writes.
        bias: whether the linear layer has a bias of its own; a folded bias is always added.
        eps: as in ``nn.BatchNorm1d``.
        momentum: as in ``nn.BatchNorm1d``.
        folding: which statistics the weight is folded with in training.
        freeze_delay: number of training steps with the batch's statistics; None for all.
        weight_quantizer: of the folded weight.
        bias_quantizer: of the folded bias.
        output_quantizer: of the output; None leaves the exact sum.
        device: as in ``nn.Linear``.
        dtype: as in ``nn.Linear``.

    Example:
        >>> layer = QLinearBatchNorm1d(16, 8, weight_quantizer="quantized_bits(6,0,alpha=1)",
        ...                            bias_quantizer="quantized_bits(6,0,alpha=1)").eval()
        >>> layer(torch.zeros(2, 16)).shape, list(layer.batch_norm.state_dict())[:2]
        (torch.Size([2, 8]), ['weight', 'bias'])
    """

    replaces: ClassVar[tuple[type[nn.Module], ...]] = (nn.Linear, nn.BatchNorm1d)

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        folding: Folding = "ema_stats",
        freeze_delay: int | None = None,
        weight_quantizer: Spec | None = None,
        bias_quantizer: Spec | None = None,
        output_quantizer: Spec | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(
            in_features,
            out_features,
            bias,
            weight_quantizer=weight_quantizer,
            bias_quantizer=bias_quantizer,
            output_quantizer=output_quantizer,
            device=device,
            dtype=dtype,
        )
        if folding not in ("ema_stats", "batch_stats"):
            raise TorchqError(f"folding must be 'ema_stats' or 'batch_stats', got {folding!r}")
        if freeze_delay is not None and freeze_delay < 0:
            raise TorchqError(f"freeze_delay must be at least 0 steps, got {freeze_delay}")
        self.folding: Folding = folding
        self.freeze_delay = freeze_delay
        self.batch_norm = nn.BatchNorm1d(out_features, eps, momentum, device=device, dtype=dtype)

    # ------------------------------------------------------------------ what it computes

    def forward(self, input: Tensor) -> Tensor:
        """The folded layer's output.

        Args:
            input: shape ``[n, in_features]``.

        Returns:
            Shape ``[n, out_features]``.

        Raises:
            TrainError: a training batch of one sample, which has no variance.
        """
        if not (self.training and self._uses_batch()):
            return super().forward(input)
        mean, variance = self._batch_statistics(input)
        norm = self.batch_norm
        batch_inverse = self._gamma() * torch.rsqrt(variance + norm.eps)
        bias = self._folded_bias(batch_inverse, mean)
        if self.folding == "batch_stats":
            weight = batch_inverse[:, None] * self.weight
            total = F.linear(input, quantized(weight, self.weight_quantizer))
        else:
            running = cast("Tensor", norm.running_var) + norm.eps
            weight = (self._gamma() * torch.rsqrt(running))[:, None] * self.weight
            correction = torch.sqrt(running) * torch.rsqrt(variance + norm.eps)
            total = F.linear(input, quantized(weight, self.weight_quantizer)) * correction
        return quantized(total + quantized(bias, self.bias_quantizer), self.output_quantizer)

    def folded(self) -> tuple[Tensor, Tensor]:
        """Weight and bias with the running statistics folded in, not yet quantized; computed in float64.

        Returns:
            Shapes ``[out_features, in_features]`` and ``[out_features]``, in the dtype of the weight.
        """
        norm = self.batch_norm
        variance = cast("Tensor", norm.running_var).double()
        inverse = self._gamma().double() / torch.sqrt(variance + norm.eps)
        weight = inverse[:, None] * self.weight.double()
        bias = self._folded_bias(inverse, cast("Tensor", norm.running_mean).double())
        return weight, bias

    def quantized_weight(self) -> Tensor:
        """The folded, quantized weight of evaluation, shape ``[out_features, in_features]``."""
        return quantized(self.folded()[0], self.weight_quantizer).to(self.weight.dtype)

    def quantized_bias(self) -> Tensor:
        """The folded, quantized bias of evaluation, shape ``[out_features]``."""
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
        if input.shape[0] < 2:
            raise TrainError(
                f"QLinearBatchNorm1d needs at least 2 samples in a training batch, got {input.shape[0]}",
                hint="leave out the last batch, or call eval() first",
            )
        y = F.linear(input, self.weight, self.bias)
        variance, mean = torch.var_mean(y, dim=0, correction=0)
        self._update_running(mean.detach(), variance.detach() * (len(y) / (len(y) - 1)))
        return mean, variance

    def _update_running(self, mean: Tensor, variance: Tensor) -> None:
        """As ``nn.BatchNorm1d`` does: with its momentum, or all batches alike where it has none."""
        norm = self.batch_norm
        steps = cast("Tensor", norm.num_batches_tracked).add_(1)
        share = 1 / float(steps) if norm.momentum is None else norm.momentum
        cast("Tensor", norm.running_mean).lerp_(mean, share)
        cast("Tensor", norm.running_var).lerp_(variance, share)

    # ------------------------------------------------------------------ made and frozen

    def frozen(self) -> QLinear:
        """A plain ``QLinear`` with the folded, quantized weight and bias."""
        like = self.weight
        layer = QLinear(self.in_features, self.out_features, device="meta")
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
        """The folded layer for an ``nn.Linear`` and the ``nn.BatchNorm1d`` after it, same parameter objects.

        Raises:
            TorchqError: the batch norm keeps no running statistics.
        """
        linear, norm = cast("tuple[nn.Linear, nn.BatchNorm1d]", modules)
        check_foldable(norm)
        layer = super().from_float([linear], quantizers, **options)
        layer.batch_norm = norm
        return layer

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """Both ways of folding, with and without bias."""
        slots = {"weight": "quantized_bits(5,1,alpha=1)", "bias": "quantized_bits(6,2,alpha=1)"}

        def pair(bias: bool, affine: bool) -> tuple[nn.Module, ...]:
            norm = nn.BatchNorm1d(4, affine=affine)
            with torch.no_grad():
                cast("Tensor", norm.running_mean).uniform_(-1, 1)
                cast("Tensor", norm.running_var).uniform_(0.5, 2)
            return nn.Linear(6, 4, bias=bias), norm

        return (
            Example(lambda: pair(True, True), slots, (6,)),
            Example(lambda: pair(False, False), slots, (6,), options={"folding": "batch_stats"}),
        )

    def extra_repr(self) -> str:
        """The linear layer's arguments, the quantizers, and how the batch norm is folded."""
        return f"{super().extra_repr()}, folding={self.folding!r}, freeze_delay={self.freeze_delay}"


def check_foldable(norm: nn.BatchNorm1d) -> None:
    """Refuse a batch norm without running statistics.

    Raises:
        TorchqError: there is nothing to fold.
    """
    if norm.running_var is None or norm.running_mean is None:
        raise TorchqError(
            "a BatchNorm1d without running statistics cannot be folded",
            hint="make it with track_running_stats=True",
        )


def fold_batch_norm(linear: nn.Linear, norm: nn.BatchNorm1d) -> nn.Linear:
    """One float ``nn.Linear`` that computes what the two do in evaluation.

    Args:
        linear: the layer before the batch norm.
        norm: the batch norm, with running statistics.

    Returns:
        A new layer with a bias, in the device, dtype and mode of ``linear``.

    Raises:
        TorchqError: the batch norm keeps no running statistics.
    """
    pair = QLinearBatchNorm1d.from_float([linear, norm], {})
    with torch.no_grad():
        weight, bias = pair.folded()
    folded = nn.Linear(linear.in_features, linear.out_features, device="meta")
    folded.weight = nn.Parameter(weight.to(linear.weight.dtype))
    folded.bias = nn.Parameter(bias.to(linear.weight.dtype))
    return folded.train(linear.training)
