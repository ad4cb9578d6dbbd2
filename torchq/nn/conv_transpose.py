"""``QConvTranspose1d`` and ``QConvTranspose2d``: transposed convolutions with quantizers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from torchq.errors import TorchqError
from torchq.nn.base import Example, Spec, quantized
from torchq.nn.conv import ARGUMENTS, Size, check_groups
from torchq.nn.products import ProductLayer, check_floats
from torchq.nn.registry import LAYERS
from torchq.workload import Geometry, TensorSpec, Workload


class ConvTransposeLayer(ProductLayer):
    """What the transposed convolutions have in common.

    An output sums at most ``ceil(kernel / stride)`` products along each axis: those points of the kernel that
    meet a value and not the zeros between. :attr:`fan_in` counts these, in one group.

    Args:
        in_channels: channels that it reads.
        out_channels: channels that it writes.
        kernel_size: one number for all axes, or one for each.
        stride: likewise.
        padding: likewise: how much is cut off on both sides.
        output_padding: likewise: how much is added on one side.
        groups: groups of channels that do not see each other.
        bias: whether it has a bias.
        dilation: distance between the points of the kernel.
        padding_mode: ``"zeros"``.
        weight_quantizer: of the weight, shape ``[in_channels, out_channels / groups, *kernel_size]``. Scales
            per channel lie along its second axis: one for each output channel of a group.
        bias_quantizer: of the bias, shape ``[out_channels]``.
        output_quantizer: of the output; None leaves the exact sum.
        device: as in torch.
        dtype: as in torch.
    """

    weight_axis: ClassVar[int] = 1
    spatial: ClassVar[int]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size = 0,
        output_padding: Size = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Size = 1,
        padding_mode: str = "zeros",
        *,
        weight_quantizer: Spec | None = None,
        bias_quantizer: Spec | None = None,
        output_quantizer: Spec | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        check_groups(self, in_channels, out_channels, groups)
        try:
            cast("Any", super()).__init__(
                in_channels,
                out_channels,
                kernel_size,
                stride,
                padding,
                output_padding,
                groups,
                bias,
                dilation,
                padding_mode,
                device=device,
                dtype=dtype,
            )
        except ValueError as fault:
            raise TorchqError(f"{type(self).__name__}: {fault}") from fault
        self.put_quantizers(weight_quantizer, bias_quantizer, output_quantizer)

    @property
    def fan_in(self) -> int:
        """The most products that an output sums."""
        conv = cast("Any", self)
        points = [
            -(-k // (s // math.gcd(s, d)))
            for k, s, d in zip(conv.kernel_size, conv.stride, conv.dilation, strict=True)
        ]
        return int(conv.in_channels // conv.groups * math.prod(points))

    def products(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """The transposed convolution, for ``input`` of shape ``[n, in_channels, ...]``."""
        return self._transposed(input, weight, bias, cast("Any", self).output_padding)

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """``q_output(transposed convolution of input with q_weight + q_bias)``.

        Args:
            input: shape ``[n, in_channels, ...]``; the batch may be empty.
            output_size: as in torch: the size wanted, in place of ``output_padding``.

        Returns:
            Shape ``[n, out_channels, ...]``.

        Raises:
            TorchqError: a tensor of integers.
        """
        if output_size is None:
            return super().forward(input)
        check_floats(self, input)
        conv = cast("Any", self)
        extra = conv._output_padding(
            input,
            list(output_size),
            conv.stride,
            conv.padding,
            conv.kernel_size,
            self.spatial,
            conv.dilation,
        )
        total = self._transposed(input, self.quantized_weight(), self.quantized_bias(), extra)
        return quantized(total, self.output_quantizer)

    def _transposed(self, input: Tensor, weight: Tensor, bias: Tensor | None, extra: Any) -> Tensor:
        conv = cast("Any", self)
        function: Any = F.conv_transpose1d if self.spatial == 1 else F.conv_transpose2d
        result: Tensor = function(
            input, weight, bias, conv.stride, conv.padding, extra, conv.groups, conv.dilation
        )
        return result

    def workload(self, name: str, inputs: tuple[TensorSpec, ...], output: TensorSpec) -> Workload:
        """The most products that an output may sum, for each value of the output; the geometry."""
        return replace(super().workload(name, inputs, output), geometry=geometry_of(self))

    @staticmethod
    def arguments(layer: Any) -> dict[str, Any]:
        """All of torch's."""
        return {name: getattr(layer, name) for name in (*ARGUMENTS, "output_padding")}

    def refusal(self, shape: tuple[int, ...]) -> str | None:
        """Samples must have ``in_channels`` channels."""
        channels = cast("Any", self).in_channels
        if len(shape) == 1 + self.spatial and shape[0] == channels:
            return None
        needed = f"[{channels}, {'length' if self.spatial == 1 else 'rows, columns'}]"
        return f"needs samples of shape {needed}, got samples of shape {shape}"


def geometry_of(conv: Any) -> Geometry:
    """How the kernel of a transposed convolution of torch or torchq goes over its output.

    Example:
        >>> geometry_of(nn.ConvTranspose1d(2, 4, 3, 2, padding=1, output_padding=1)).padding
        ((1, 0),)
    """
    cut = tuple((p, p - extra) for p, extra in zip(conv.padding, conv.output_padding, strict=True))
    return Geometry(conv.stride, conv.dilation, cut, conv.groups, transposed=True)


@LAYERS.register("QConvTranspose1d")
class QConvTranspose1d(ConvTransposeLayer, nn.ConvTranspose1d):
    """A drop-in ``nn.ConvTranspose1d`` with quantizers; see :class:`ConvTransposeLayer`.

    Args:
        args: as in ``nn.ConvTranspose1d``; the quantizers by name.

    Example:
        >>> layer = QConvTranspose1d(2, 3, 4, stride=2, weight_quantizer="quantized_bits(4,0,alpha=1)")
        >>> layer(torch.zeros(1, 2, 5)).shape, layer.fan_in
        (torch.Size([1, 3, 12]), 4)
    """

    kind: ClassVar[str] = "conv_transpose1d"
    replaces: ClassVar[tuple[type[nn.Module], ...]] = (nn.ConvTranspose1d,)
    spatial: ClassVar[int] = 1

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """Plain, and in groups with everything else."""
        weight, bias = "quantized_bits(4,0,alpha=1)", "quantized_bits(5,1,alpha=1)"
        return (
            Example(lambda: (nn.ConvTranspose1d(2, 3, 3),), {"weight": weight, "bias": bias}, (2, 4)),
            Example(
                lambda: (nn.ConvTranspose1d(4, 2, 3, 3, 1, 1, 2, False, 2),),
                {"weight": weight, "output": "quantized_bits(6,2,alpha=1)"},
                (4, 3),
            ),
        )


@LAYERS.register("QConvTranspose2d")
class QConvTranspose2d(ConvTransposeLayer, nn.ConvTranspose2d):
    """A drop-in ``nn.ConvTranspose2d`` with quantizers; see :class:`ConvTransposeLayer`.

    Args:
        args: as in ``nn.ConvTranspose2d``; the quantizers by name.

    Example:
        >>> layer = QConvTranspose2d(2, 3, 2, stride=2, weight_quantizer="quantized_bits(4,0,alpha=1)")
        >>> layer(torch.zeros(1, 2, 4, 4)).shape, layer.fan_in
        (torch.Size([1, 3, 8, 8]), 2)
    """

    kind: ClassVar[str] = "conv_transpose2d"
    replaces: ClassVar[tuple[type[nn.Module], ...]] = (nn.ConvTranspose2d,)
    spatial: ClassVar[int] = 2

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """With a scale for each output channel, and plain."""
        bias = "quantized_bits(5,1,alpha=1)"
        return (
            Example(
                lambda: (nn.ConvTranspose2d(2, 3, 3, 2, 1, 1),),
                {"weight": "quantized_bits(4,0,alpha='auto_po2')", "bias": bias},
                (2, 2, 3),
            ),
            Example(
                lambda: (nn.ConvTranspose2d(3, 2, (1, 2), bias=False),),
                {"weight": "quantized_bits(4,0,alpha=1)"},
                (3, 2, 2),
            ),
        )
