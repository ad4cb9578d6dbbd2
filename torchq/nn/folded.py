"""The layers with a folded batch norm: linear, convolutions, depthwise ones among them."""

from __future__ import annotations

from typing import ClassVar

from torch import nn

from torchq.nn.base import Example
from torchq.nn.batch_folding import (
    FoldedLayer,
    Folding,
    Norm,
    check_foldable,
    fold_batch_norm,
    random_statistics,
)
from torchq.nn.conv import QConv1d, QConv2d
from torchq.nn.linear import QLinear
from torchq.nn.products import ProductLayer
from torchq.nn.registry import LAYERS

__all__ = [
    "Folding",
    "QConv1dBatchNorm",
    "QConv2dBatchNorm",
    "QLinearBatchNorm1d",
    "check_foldable",
    "fold_batch_norm",
]

_SLOTS = {"weight": "quantized_bits(5,1,alpha=1)", "bias": "quantized_bits(6,2,alpha=1)"}


@LAYERS.register("QLinearBatchNorm1d")
class QLinearBatchNorm1d(FoldedLayer, QLinear):
    """A ``QLinear`` with an ``nn.BatchNorm1d`` folded in; see :class:`~torchq.nn.batch_folding.FoldedLayer`.

    Args:
        args: ``in_features``, ``out_features`` and ``bias``.
        options: ``eps``, ``momentum``, ``folding``, ``freeze_delay``, and what ``QLinear`` takes beside.

    Example:
        >>> import torch
        >>> layer = QLinearBatchNorm1d(16, 8, weight_quantizer="quantized_bits(6,0,alpha=1)",
        ...                            bias_quantizer="quantized_bits(6,0,alpha=1)").eval()
        >>> layer(torch.zeros(2, 16)).shape, list(layer.batch_norm.state_dict())[:2]
        (torch.Size([2, 8]), ['weight', 'bias'])
    """

    replaces: ClassVar[tuple[type[nn.Module], ...]] = (nn.Linear, nn.BatchNorm1d)
    plain: ClassVar[type[ProductLayer]] = QLinear
    norm: ClassVar[type[Norm]] = nn.BatchNorm1d

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """Both ways of folding, with and without bias."""
        return (
            Example(lambda: (nn.Linear(6, 4), random_statistics(nn.BatchNorm1d(4))), _SLOTS, (6,)),
            Example(
                lambda: (nn.Linear(6, 4, bias=False), random_statistics(nn.BatchNorm1d(4, affine=False))),
                _SLOTS,
                (6,),
                options={"folding": "batch_stats"},
            ),
        )


@LAYERS.register("QConv1dBatchNorm")
class QConv1dBatchNorm(FoldedLayer, QConv1d):
    """A ``QConv1d`` with an ``nn.BatchNorm1d`` folded in; see :class:`~torchq.nn.batch_folding.FoldedLayer`.

    Args:
        args: those of ``nn.Conv1d``.
        options: ``eps``, ``momentum``, ``folding``, ``freeze_delay``, and what ``QConv1d`` takes beside.

    Example:
        >>> import torch
        >>> layer = QConv1dBatchNorm(2, 4, 3, weight_quantizer="quantized_bits(6,0,alpha=1)",
        ...                          bias_quantizer="quantized_bits(6,0,alpha=1)")
        >>> layer(torch.zeros(2, 2, 8)).shape, type(layer.frozen()).__name__
        (torch.Size([2, 4, 6]), 'QConv1d')
    """

    replaces: ClassVar[tuple[type[nn.Module], ...]] = (nn.Conv1d, nn.BatchNorm1d)
    plain: ClassVar[type[ProductLayer]] = QConv1d
    norm: ClassVar[type[Norm]] = nn.BatchNorm1d

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """One with a bias."""
        return (Example(lambda: (nn.Conv1d(2, 4, 3), random_statistics(nn.BatchNorm1d(4))), _SLOTS, (2, 6)),)


@LAYERS.register("QConv2dBatchNorm")
class QConv2dBatchNorm(FoldedLayer, QConv2d):
    """A ``QConv2d`` with an ``nn.BatchNorm2d`` folded in; see :class:`~torchq.nn.batch_folding.FoldedLayer`.

    With ``groups=in_channels`` it is QKeras's ``QDepthwiseConv2DBatchnorm``.

    Args:
        args: those of ``nn.Conv2d``.
        options: ``eps``, ``momentum``, ``folding``, ``freeze_delay``, and what ``QConv2d`` takes beside.

    Example:
        >>> import torch
        >>> layer = QConv2dBatchNorm(4, 4, 3, groups=4, weight_quantizer="quantized_bits(6,0,alpha=1)",
        ...                          bias_quantizer="quantized_bits(6,0,alpha=1)")
        >>> layer(torch.zeros(2, 4, 8, 8)).shape, type(layer.frozen()).__name__
        (torch.Size([2, 4, 6, 6]), 'QConv2d')
    """

    replaces: ClassVar[tuple[type[nn.Module], ...]] = (nn.Conv2d, nn.BatchNorm2d)
    plain: ClassVar[type[ProductLayer]] = QConv2d
    norm: ClassVar[type[Norm]] = nn.BatchNorm2d

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """Both ways of folding, and a depthwise one."""
        return (
            Example(
                lambda: (nn.Conv2d(2, 4, 3, padding=1), random_statistics(nn.BatchNorm2d(4))),
                _SLOTS,
                (2, 3, 4),
            ),
            Example(
                lambda: (
                    nn.Conv2d(3, 3, 2, groups=3, bias=False),
                    random_statistics(nn.BatchNorm2d(3, affine=False)),
                ),
                {**_SLOTS, "output": "quantized_bits(8,3,alpha=1)"},
                (3, 3, 3),
                options={"folding": "batch_stats"},
            ),
        )
