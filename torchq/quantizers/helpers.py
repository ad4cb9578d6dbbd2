"""The helper activations of QKeras by name: hard, smooth and real sigmoids and tanhs, and the binary ones."""

from __future__ import annotations

import torch
from torch import Tensor

from torchq.formats import Binary, Float, Format
from torchq.quantizers.base import Quantizer
from torchq.quantizers.registry import register
from torchq.quantizers.sigmoids import SIGMOIDS


class Unquantized(Quantizer):
    """An activation that rounds nothing; it has a name so that QKeras's texts can be read."""

    def __init__(self) -> None:
        super().__init__()

    @property
    def format(self) -> Format:
        """No grid: a float."""
        return Float()

    @property
    def bits(self) -> int:
        """The width of a float."""
        return 32

    def hardware_reason(self) -> str | None:
        """Nothing is rounded."""
        return (
            f"{self}: rounds nothing; put a quantizer behind it, or take quantized_tanh or quantized_sigmoid"
        )

    def function(self, x: Tensor) -> Tensor:
        """The activation itself."""
        return x

    def transform(self, x: Tensor) -> Tensor:
        """See :class:`Quantizer`."""
        return self.function(x)


@register("hard_sigmoid")
class hard_sigmoid(Unquantized):
    """``clip(x / 2 + 1/2, 0, 1)``."""

    def function(self, x: Tensor) -> Tensor:
        """The activation itself."""
        return SIGMOIDS["hard"](x)


@register("smooth_sigmoid")
class smooth_sigmoid(Unquantized):
    """``clip(3 x / 16 + 1/2, 0, 1)``."""

    def function(self, x: Tensor) -> Tensor:
        """The activation itself."""
        return SIGMOIDS["smooth"](x)


@register("sigmoid")
class sigmoid(Unquantized):
    """The real sigmoid."""

    def function(self, x: Tensor) -> Tensor:
        """The activation itself."""
        return torch.sigmoid(x)


@register("hard_tanh")
class hard_tanh(Unquantized):
    """``2 hard_sigmoid(x) - 1``, which is ``clip(x, -1, 1)``."""

    def function(self, x: Tensor) -> Tensor:
        """The activation itself."""
        return 2.0 * SIGMOIDS["hard"](x) - 1.0


@register("smooth_tanh")
class smooth_tanh(Unquantized):
    """``2 smooth_sigmoid(x) - 1``."""

    def function(self, x: Tensor) -> Tensor:
        """The activation itself."""
        return 2.0 * SIGMOIDS["smooth"](x) - 1.0


@register("tanh")
class tanh(Unquantized):
    """The real tanh."""

    def function(self, x: Tensor) -> Tensor:
        """The activation itself."""
        return torch.tanh(x)


@register("binary_sigmoid")
class binary_sigmoid(Quantizer):
    """``round(hard_sigmoid(x))``: 0 up to zero and 1 above it, with the gradient of the hard sigmoid.

    Example:
        >>> binary_sigmoid()(torch.tensor([0.3, -5.0, 0.0])).tolist()
        [1.0, 0.0, 0.0]
    """

    def __init__(self) -> None:
        super().__init__()

    @property
    def format(self) -> Binary:
        """0 and 1."""
        return Binary(use_01=True)

    def surrogate(self, x: Tensor) -> Tensor:
        """The hard sigmoid."""
        return SIGMOIDS["hard"](x)

    def quantize(self, x: Tensor) -> Tensor:
        """The values that come out for ``x``."""
        return torch.round(SIGMOIDS["hard"](x))


@register("binary_tanh")
class binary_tanh(Quantizer):
    """``2 binary_sigmoid(x) - 1``: -1 up to zero and +1 above it, with the gradient of the hard tanh.

    Example:
        >>> binary_tanh()(torch.tensor([0.3, -5.0, 0.0])).tolist()
        [1.0, -1.0, -1.0]
    """

    def __init__(self) -> None:
        super().__init__()

    @property
    def format(self) -> Binary:
        """-1 and +1."""
        return Binary()

    def surrogate(self, x: Tensor) -> Tensor:
        """The hard tanh."""
        return 2.0 * SIGMOIDS["hard"](x) - 1.0

    def quantize(self, x: Tensor) -> Tensor:
        """The values that come out for ``x``."""
        return 2.0 * torch.round(SIGMOIDS["hard"](x)) - 1.0
