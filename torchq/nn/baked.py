"""``Baked``: stands in the slot of a parameter whose values are on the grid already."""

from __future__ import annotations

from torch import Tensor

from torchq.formats import Format
from torchq.quantizers import Quantizer


class Baked(Quantizer):
    """A quantizer that has done its work: it keeps the format and the text, and returns what it gets.

    Freezing puts it in the place of weight and bias quantizers. Quantizers whose scale follows from the
    values need not give the same values a second time; a baked one does, by doing nothing.

    Args:
        quantizer: the one that put the values on its grid.

    Example:
        >>> from torchq.quantizers import parse
        >>> baked = Baked(parse("quantized_bits(6,0,alpha=1)"))
        >>> str(baked), str(baked.format)
        ('quantized_bits(6,0,alpha=1.0)', 'ap_fixed<6,1,RND_CONV,SAT>')
    """

    def __init__(self, quantizer: Quantizer) -> None:
        super().__init__()
        self.text = str(quantizer)
        self._format = quantizer.format
        self._bits = quantizer.bits
        self._reason = quantizer.hardware_reason()

    def forward(self, x: Tensor) -> Tensor:
        """The values as they are."""
        return x

    def quantize(self, x: Tensor) -> Tensor:
        """The values as they are."""
        return x

    @property
    def format(self) -> Format:
        """That of the quantizer at the time of freezing."""
        return self._format

    @property
    def bits(self) -> int:
        """The width of one value."""
        return self._bits

    def hardware_reason(self) -> str | None:
        """That of the quantizer at the time of freezing."""
        return self._reason

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__
