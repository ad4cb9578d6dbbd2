"""``quantized_hswish``: the hard swish of MobileNet v3, on the grid of ``quantized_bits``."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from torchq.quantizers.base import real
from torchq.quantizers.bits import quantized_bits
from torchq.quantizers.registry import register


@register("quantized_hswish")
class quantized_hswish(quantized_bits):
    """``quantized_bits`` of ``x * min(relu(x + shift), bound) / bound`` (arXiv:1905.02244).

    Args:
        bits: all bits, the sign included.
        integer: bits before the point, the sign excluded.
        symmetric: the most negative code is not used.
        alpha: the scale; see :class:`ScaledQuantizer`.
        use_stochastic_rounding: in training, round up with the probability of the remainder.
        scale_axis: the axis or axes along which scales differ.
        qnoise_factor: share of the quantized values in the result.
        var_name: read for QKeras's sake; nothing has variables here.
        use_variables: read for QKeras's sake; the state always lives in buffers.
        relu_shift: where the swish starts, above 0.
        relu_upper_bound: how wide its bend is, above 0.

    Raises:
        QuantizerError: arguments that no such quantizer can have.

    Example:
        >>> q = quantized_hswish(6, 2)
        >>> q(torch.tensor([1.0, -1.5, -9.0])).tolist(), str(q.format)
        ([0.625, -0.375, 0.0], 'ap_fixed<6,3,RND_CONV,SAT>')
    """

    def __init__(
        self,
        bits: int = 8,
        integer: int = 0,
        symmetric: bool = False,
        alpha: Any = None,
        use_stochastic_rounding: bool = False,
        scale_axis: int | list[int] | None = None,
        qnoise_factor: float = 1.0,
        var_name: str | None = None,
        use_variables: bool = False,
        relu_shift: float = 3.0,
        relu_upper_bound: float = 6.0,
    ) -> None:
        super().__init__(
            bits=bits,
            integer=integer,
            symmetric=symmetric,
            alpha=alpha,
            use_stochastic_rounding=use_stochastic_rounding,
            scale_axis=scale_axis,
            qnoise_factor=qnoise_factor,
            var_name=var_name,
            use_variables=use_variables,
        )
        cls = type(self)
        self.relu_shift = real(cls, "relu_shift", relu_shift)
        self.relu_upper_bound = real(cls, "relu_upper_bound", relu_upper_bound)
        for name in ("relu_shift", "relu_upper_bound"):
            if getattr(self, name) <= 0:
                raise self.fault(f"{name} must be above 0, got {getattr(self, name)}")
            self._config[name] = getattr(self, name)

    @classmethod
    def examples(cls) -> tuple[quantized_bits, ...]:
        """Two shapes."""
        return cls(6, 2), cls(8, 1, relu_shift=2.0, relu_upper_bound=4.0), cls(4, 0, alpha="auto_po2")

    def transform(self, x: Tensor) -> Tensor:
        """See :class:`Quantizer`."""
        return super().transform(self.swish(x))

    def swish(self, x: Tensor) -> Tensor:
        """The hard swish itself, differentiable; an infinity below gives 0."""
        shifted = x + self.relu_shift
        bent = torch.where(shifted <= self.relu_upper_bound, F.relu(shifted), self.relu_upper_bound)
        return torch.where(x == -torch.inf, 0.0, x) * bent / self.relu_upper_bound
