"""``QConv1d`` and ``QConv2d``: convolutions with quantized weights, bias and output."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from torchq.errors import TorchqError
from torchq.nn.base import Example, Spec
from torchq.nn.products import ProductLayer
from torchq.nn.registry import LAYERS
from torchq.workload import Geometry, TensorSpec, Workload

ARGUMENTS = (
    "in_channels",
    "out_channels",
    "kernel_size",
    "stride",
    "padding",
    "dilation",
    "groups",
    "padding_mode",
)
Size = int | tuple[int, ...]


class ConvLayer(ProductLayer):
    """What the convolutions have in common; the float layer is among the bases of the subclass.

    Args:
        in_channels: channels that it reads.
        out_channels: channels that it writes.
        kernel_size: one number for all axes, or one for each.
        stride: likewise.
        padding: likewise, or ``"valid"`` (none), or ``"same"`` (as many positions as come in; stride 1 only).
        dilation: distance between the points of the kernel.
        groups: groups of channels that do not see each other; ``in_channels`` for a depthwise convolution.
        bias: whether it has a bias.
        padding_mode: ``"zeros"``, ``"reflect"``, ``"replicate"`` or ``"circular"``.
        weight_quantizer: of the weight, shape ``[out_channels, in_channels / groups, *kernel_size]``; text, a
            quantizer (copied) or a ``FixedPoint``. None leaves the weight float. Scales per channel are per
            output channel, of depthwise convolutions too.
        bias_quantizer: of the bias, shape ``[out_channels]``.
        output_quantizer: of the output; None leaves the exact sum.
        device: as in torch.
        dtype: as in torch.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size | str = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
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
                dilation,
                groups,
                bias,
                padding_mode,
                device=device,
                dtype=dtype,
            )
        except ValueError as fault:
            raise TorchqError(f"{type(self).__name__}: {fault}") from fault
        self.put_quantizers(weight_quantizer, bias_quantizer, output_quantizer)

    @property
    def fan_in(self) -> int:
        """``in_channels / groups`` times the points of the kernel."""
        conv = cast("Any", self)
        return int(conv.in_channels // conv.groups * math.prod(conv.kernel_size))

    def products(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """The convolution, for ``input`` of shape ``[n, in_channels, ...]``."""
        result: Tensor = cast("Any", self)._conv_forward(input, weight, bias)
        return result

    def workload(self, name: str, inputs: tuple[TensorSpec, ...], output: TensorSpec) -> Workload:
        """``fan_in`` multiplications for each value of the output, padded zeros included; the geometry."""
        return replace(super().workload(name, inputs, output), geometry=geometry_of(self))

    @staticmethod
    def arguments(layer: Any) -> dict[str, Any]:
        """All of torch's."""
        return {name: getattr(layer, name) for name in ARGUMENTS}

    def refusal(self, shape: tuple[int, ...]) -> str | None:
        """Samples must have ``in_channels`` channels, and be at least as large as the kernel."""
        conv = cast("Any", self)
        kernel = conv.kernel_size
        if len(shape) != 1 + len(kernel) or shape[0] != conv.in_channels:
            return (
                f"needs samples of shape {_axes(conv.in_channels, len(kernel))}, got samples of shape {shape}"
            )
        pads = _pads(conv)
        reach = [d * (k - 1) + 1 for k, d in zip(kernel, conv.dilation, strict=True)]
        least = [r - before - after for r, (before, after) in zip(reach, pads, strict=True)]
        if any(length < need for length, need in zip(shape[1:], least, strict=True)):
            return f"has a kernel that reaches over {_times(reach)} positions, got samples of shape {shape}"
        return None


@LAYERS.register("QConv1d")
class QConv1d(ConvLayer, nn.Conv1d):
    """A drop-in ``nn.Conv1d`` whose weight, bias and output go through quantizers.

    Reads ``[n, in_channels, length]`` and writes ``[n, out_channels, length']``; arguments are those of
    ``nn.Conv1d`` and the quantizers of :class:`ConvLayer`.

    Args:
        args: as in ``nn.Conv1d``.

    Raises:
        QuantizerError: a text that is no quantizer, or a scale that does not fit its parameter.
        TorchqError: groups that do not divide the channels, or ``padding="same"`` with a stride.

    Example:
        >>> layer = QConv1d(3, 8, 5, padding="same", weight_quantizer="quantized_bits(6,0,alpha=1)",
        ...                 bias_quantizer="quantized_bits(6,0,alpha=1)")
        >>> layer(torch.zeros(2, 3, 16)).shape, layer.fan_in
        (torch.Size([2, 8, 16]), 15)
    """

    kind: ClassVar[str] = "conv1d"
    replaces: ClassVar[tuple[type[nn.Module], ...]] = (nn.Conv1d,)

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """Plain, and in groups with everything else that can be asked."""
        weight, bias = "quantized_bits(4,0,alpha=1)", "quantized_bits(5,1,alpha=1)"
        return (
            Example(lambda: (nn.Conv1d(2, 3, 3),), {"weight": weight, "bias": bias}, (2, 5)),
            Example(
                lambda: (nn.Conv1d(4, 2, 2, 2, 1, 2, 2, False, "circular"),),
                {"weight": weight, "output": "quantized_bits(6,2,alpha=1)"},
                (4, 6),
            ),
        )


@LAYERS.register("QConv2d")
class QConv2d(ConvLayer, nn.Conv2d):
    """A drop-in ``nn.Conv2d`` whose weight, bias and output go through quantizers.

    Reads ``[n, in_channels, rows, columns]`` and writes ``[n, out_channels, rows', columns']``; arguments are
    those of ``nn.Conv2d`` and the quantizers of :class:`ConvLayer`. With ``groups=in_channels`` it is a
    depthwise convolution.

    Args:
        args: as in ``nn.Conv2d``.

    Raises:
        QuantizerError: a text that is no quantizer, or a scale that does not fit its parameter.
        TorchqError: groups that do not divide the channels, or ``padding="same"`` with a stride.

    Example:
        >>> layer = QConv2d(3, 8, 3, stride=2, padding=1, weight_quantizer="quantized_bits(6,0,alpha=1)",
        ...                 bias_quantizer="quantized_bits(6,0,alpha=1)")
        >>> layer(torch.zeros(2, 3, 8, 8)).shape, layer.fan_in
        (torch.Size([2, 8, 4, 4]), 27)
    """

    kind: ClassVar[str] = "conv2d"
    replaces: ClassVar[tuple[type[nn.Module], ...]] = (nn.Conv2d,)

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """Plain, padded, depthwise, and with one scale for each channel."""
        weight, bias = "quantized_bits(4,0,alpha=1)", "quantized_bits(5,1,alpha=1)"
        return (
            Example(lambda: (nn.Conv2d(2, 3, 3),), {"weight": weight, "bias": bias}, (2, 4, 5)),
            Example(lambda: (nn.Conv2d(2, 4, 2, padding=1, bias=False),), {"weight": weight}, (2, 3, 3)),
            Example(
                lambda: (nn.Conv2d(3, 6, 3, 2, 1, groups=3, padding_mode="reflect"),),
                {"weight": "quantized_bits(4,0,alpha='auto_po2')", "bias": bias},
                (3, 4, 4),
            ),
            Example(
                lambda: (nn.Conv2d(1, 2, (1, 3), padding="same"),),
                {"weight": weight, "bias": bias, "output": "quantized_bits(6,2,alpha=1)"},
                (1, 2, 4),
            ),
        )


def geometry_of(conv: Any) -> Geometry:
    """How the kernel of a convolution of torch or torchq goes over its input.

    Example:
        >>> geometry_of(nn.Conv1d(2, 4, 3, padding="same")).padding
        ((1, 1),)
    """
    return Geometry(conv.stride, conv.dilation, tuple(_pads(conv)), conv.groups, conv.padding_mode)


def check_groups(layer: nn.Module, in_channels: int, out_channels: int, groups: int) -> None:
    """Refuse groups that do not divide the channels.

    Raises:
        TorchqError: with the numbers.
    """
    if groups < 1 or in_channels % groups or out_channels % groups:
        raise TorchqError(
            f"{type(layer).__name__}: {groups} groups do not divide "
            f"{in_channels} input and {out_channels} output channels",
            hint="groups must be a divisor of both",
        )


def _pads(conv: Any) -> list[tuple[int, int]]:
    """What is added before and after each axis."""
    if conv.padding == "valid":
        return [(0, 0)] * len(conv.kernel_size)
    if conv.padding == "same":
        totals = [d * (k - 1) for k, d in zip(conv.kernel_size, conv.dilation, strict=True)]
        return [(total // 2, total - total // 2) for total in totals]
    return [(pad, pad) for pad in conv.padding]


def _axes(channels: int, spatial: int) -> str:
    return f"[{channels}, {'length' if spatial == 1 else 'rows, columns'}]"


def _times(sizes: list[int]) -> str:
    return " x ".join(map(str, sizes))
