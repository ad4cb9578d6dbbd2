"""``QLinear``: ``nn.Linear`` with quantized weights, bias and output."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from torchq.nn.base import Example, Spec
from torchq.nn.products import ProductLayer
from torchq.nn.registry import LAYERS


@LAYERS.register("QLinear")
class QLinear(ProductLayer, nn.Linear):
    """A drop-in ``nn.Linear`` whose weight, bias and output go through quantizers.

    Args:
        in_features: values per sample that it reads.
        out_features: values per sample that it writes.
        bias: whether it has a bias.
        weight_quantizer: of the weight, shape ``[out_features, in_features]``; text, a quantizer (copied) or
            a ``FixedPoint``. None leaves the weight float. Scales per channel are per output.
        bias_quantizer: of the bias, shape ``[out_features]``.
        output_quantizer: of the output; None leaves the exact sum.
        device: as in ``nn.Linear``.
        dtype: as in ``nn.Linear``.

    Raises:
        QuantizerError: a text that is no quantizer, or a scale that does not fit its parameter.

    Example:
        >>> layer = QLinear(16, 64, weight_quantizer="quantized_bits(6,0,alpha=1)",
        ...                 bias_quantizer="quantized_bits(6,0,alpha=1)")
        >>> layer.quantized_weight().unique().numel() <= 64
        True
        >>> isinstance(layer, nn.Linear), sorted(nn.Linear(16, 64).state_dict())
        (True, ['bias', 'weight'])
    """

    kind: ClassVar[str] = "linear"
    replaces: ClassVar[tuple[type[nn.Module], ...]] = (nn.Linear,)

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        weight_quantizer: Spec | None = None,
        bias_quantizer: Spec | None = None,
        output_quantizer: Spec | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        nn.Linear.__init__(self, in_features, out_features, bias, device=device, dtype=dtype)
        self.put_quantizers(weight_quantizer, bias_quantizer, output_quantizer)

    @property
    def fan_in(self) -> int:
        """``in_features``."""
        return self.in_features

    def products(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """``input @ weight.T + bias`` for ``input`` of shape ``[..., in_features]``."""
        return F.linear(input, weight, bias)

    @staticmethod
    def arguments(layer: Any) -> dict[str, Any]:
        """Both sizes."""
        return {"in_features": layer.in_features, "out_features": layer.out_features}

    def refusal(self, shape: tuple[int, ...]) -> str | None:
        """The last axis of a sample must have ``in_features`` values; all others are positions."""
        if shape and shape[-1] == self.in_features:
            return None
        return f"needs {self.in_features} values on the last axis, got samples of shape {shape}"

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """With and without bias and output quantizer, and with one feature."""
        weight, bias = "quantized_bits(4,0,alpha=1)", "quantized_bits(5,1,alpha=1)"
        return (
            Example(lambda: (nn.Linear(6, 4),), {"weight": weight, "bias": bias}, (6,)),
            Example(lambda: (nn.Linear(4, 3, bias=False),), {"weight": weight}, (4,)),
            Example(lambda: (nn.Linear(4, 3),), {"weight": weight, "bias": bias}, (5, 4)),
            Example(
                lambda: (nn.Linear(1, 2),),
                {"weight": weight, "bias": bias, "output": "quantized_bits(6,2,alpha=1)"},
                (1,),
            ),
        )
