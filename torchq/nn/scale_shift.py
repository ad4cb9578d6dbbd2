"""``QScaleShift``: one multiplication and one addition for each value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self, cast

import torch
from torch import Tensor, nn

from torchq.nn.base import Example, Spec
from torchq.nn.products import ProductLayer
from torchq.nn.registry import LAYERS


@LAYERS.register("QScaleShift")
class QScaleShift(ProductLayer):
    """``q_output(input * q_weight + q_bias)``, with one weight and bias for all values or for each channel.

    QKeras's ``QScaleShift`` has one for all. A frozen batch norm becomes such a layer.

    Args:
        channels: how many channels have a weight of their own; 1 for one weight for all.
        bias: whether something is added.
        weight_quantizer: of the weight, shape ``[channels]``.
        bias_quantizer: of the bias, shape ``[channels]``.
        output_quantizer: of the output; None leaves the exact sum.
        device: as in torch.
        dtype: as in torch.

    Example:
        >>> layer = QScaleShift(weight_quantizer="quantized_bits(4,1,alpha=1)", bias=False)
        >>> layer(torch.tensor([[0.5, -1.0]])).tolist()
        [[0.5, -1.0]]
    """

    kind: ClassVar[str] = "scale_shift"

    def __init__(
        self,
        channels: int = 1,
        bias: bool = True,
        *,
        weight_quantizer: Spec | None = None,
        bias_quantizer: Spec | None = None,
        output_quantizer: Spec | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.channels = channels
        self.weight = nn.Parameter(torch.ones(channels, device=device, dtype=dtype))
        zero = nn.Parameter(torch.zeros(channels, device=device, dtype=dtype)) if bias else None
        self.register_parameter("bias", zero)
        self.put_quantizers(weight_quantizer, bias_quantizer, output_quantizer)

    @property
    def fan_in(self) -> int:
        """One."""
        return 1

    def products(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """``input * weight + bias``, along the second axis of ``input``."""
        return scaled(input, weight, bias)

    def refusal(self, shape: tuple[int, ...]) -> str | None:
        """Samples must have as many channels as there are weights."""
        if self.channels == 1 or (shape and shape[0] == self.channels):
            return None
        return f"needs samples of {self.channels} channels, got samples of shape {shape}"

    @classmethod
    def from_float(
        cls, modules: Sequence[nn.Module], quantizers: Mapping[str, Spec | None], **options: Any
    ) -> Self:
        """A new layer with these quantizers; no float layer does this."""
        layer = cast("Self", cast("Any", cls)(**options))
        for slot, spec in quantizers.items():
            layer.set_quantizer(slot, spec, layer.weight)
        return layer.train(all(module.training for module in modules))

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """One weight for all, and one for each channel."""
        slots = {"weight": "quantized_bits(5,1,alpha=1)", "bias": "quantized_bits(6,2,alpha=1)"}
        return (
            Example(tuple, slots, (4,)),
            Example(tuple, slots, (3, 2, 2), options={"channels": 3}),
        )

    def extra_repr(self) -> str:
        """The number of channels and the quantizers."""
        return f"{self.channels}, bias={self.bias is not None}, {super().extra_repr()}"


def scaled(input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """``input * weight + bias`` along the second axis of a batch ``[n, channels, ...]``."""
    along = [-1, *[1] * (input.ndim - 2)] if input.ndim > 1 else [-1]
    total = input * weight.reshape(along)
    return total if bias is None else total + bias.reshape(along)
