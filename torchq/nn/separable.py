"""``QSeparableConv1d`` and ``QSeparableConv2d``: a depthwise convolution and a pointwise one behind it."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from torchq.nn.base import Spec
from torchq.nn.conv import QConv1d, QConv2d, Size


class SeparableConv(nn.Module):
    """Two layers, ``depthwise`` and ``pointwise``, which are traced, converted and priced as two.

    In schemes and graphs they have names of their own (``"sep.depthwise"``, ``"sep.pointwise"``). QKeras
    quantizes nothing between them. Hardware needs ``depthwise_output_quantizer``: without it the layer
    computes what QKeras's does, and tracing asks for a quantizer.

    Args:
        in_channels: channels that it reads.
        out_channels: channels that it writes.
        kernel_size: of the depthwise convolution, as its stride, padding and dilation.
        stride: as in torch.
        padding: as in torch.
        dilation: as in torch.
        depth_multiplier: channels that the depthwise convolution makes of each.
        bias: whether the pointwise convolution has a bias.
        padding_mode: as in torch.
        depthwise_quantizer: of the depthwise weight, ``[in_channels * depth_multiplier, 1, *kernel_size]``;
            scales per channel are per output channel.
        pointwise_quantizer: of the pointwise weight.
        bias_quantizer: of the bias.
        depthwise_output_quantizer: of what the pointwise convolution reads.
        output_quantizer: of the output; None leaves the exact sum.
        device: as in torch.
        dtype: as in torch.
    """

    layer: ClassVar[type[QConv1d | QConv2d]]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size | str = 0,
        dilation: Size = 1,
        depth_multiplier: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        *,
        depthwise_quantizer: Spec | None = None,
        pointwise_quantizer: Spec | None = None,
        bias_quantizer: Spec | None = None,
        depthwise_output_quantizer: Spec | None = None,
        output_quantizer: Spec | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        between = in_channels * depth_multiplier
        self.depthwise = self.layer(
            in_channels,
            between,
            kernel_size,
            stride,
            padding,
            dilation,
            in_channels,
            False,
            padding_mode,
            weight_quantizer=depthwise_quantizer,
            output_quantizer=depthwise_output_quantizer,
            device=device,
            dtype=dtype,
        )
        self.pointwise = self.layer(
            between,
            out_channels,
            1,
            bias=bias,
            weight_quantizer=pointwise_quantizer,
            bias_quantizer=bias_quantizer,
            output_quantizer=output_quantizer,
            device=device,
            dtype=dtype,
        )

    def forward(self, input: Tensor) -> Tensor:
        """The pointwise convolution of the depthwise one.

        Args:
            input: shape ``[n, in_channels, ...]``.

        Returns:
            Shape ``[n, out_channels, ...]``.
        """
        result: Tensor = self.pointwise(self.depthwise(input))
        return result


class QSeparableConv1d(SeparableConv):
    """A separable convolution along one axis; see :class:`SeparableConv`.

    Args:
        args: as in :class:`SeparableConv`.

    Example:
        >>> layer = QSeparableConv1d(3, 8, 5, depthwise_quantizer="quantized_bits(4,0,alpha=1)",
        ...                          pointwise_quantizer="quantized_bits(4,0,alpha=1)")
        >>> layer(torch.zeros(2, 3, 9)).shape, sorted(layer.state_dict())[0]
        (torch.Size([2, 8, 5]), 'depthwise.weight')
    """

    layer = QConv1d


class QSeparableConv2d(SeparableConv):
    """A separable convolution along two axes; see :class:`SeparableConv`.

    Args:
        args: as in :class:`SeparableConv`.

    Example:
        >>> layer = QSeparableConv2d(3, 8, 3, padding="same",
        ...                          depthwise_quantizer="quantized_bits(4,0,alpha=1)",
        ...                          pointwise_quantizer="quantized_bits(4,0,alpha=1)")
        >>> layer(torch.zeros(2, 3, 9, 9)).shape
        torch.Size([2, 8, 9, 9])
    """

    layer = QConv2d
