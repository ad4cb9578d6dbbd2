"""``brevitas``: a quantizer of Brevitas in a slot of ours, and in the texts of schemes."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from torchq.brevitas.grid import Grid, grid_of
from torchq.brevitas.package import brevitas_module, quiet
from torchq.errors import QuantizerError
from torchq.formats import Float, Format
from torchq.quantizers import QUANTIZERS, Quantizer, blend

MODULES = ("quant", "quant.fixed_point", "quant.scaled_int")
"""Where quantizers are looked for by name."""


class brevitas(Quantizer):
    """What a quantizer of Brevitas does, as one of ours.

    Quantizers of weights find their scale from the tensor at each call (no gradient goes through the scale);
    those of activations collect statistics in training and then learn their scale, which is in the
    ``state_dict``. The gradient to the tensor is Brevitas's.

    Args:
        quantizer: a class of ``brevitas.quant``, or its name.
        bit_width: instead of the class's own.

    Raises:
        QuantizerError: Brevitas is not installed, has no such quantizer, or the quantizer is of biases.

    Example:
        >>> q = brevitas("Int8WeightPerTensorFixedPoint", bit_width=4)
        >>> q(torch.tensor([[0.3, -0.9]])).tolist(), str(q), str(q.format)
        ([[0.25, -0.875]], "brevitas('Int8WeightPerTensorFixedPoint',bit_width=4)", \
'ap_fixed<4,1,RND_CONV,SAT_SYM>')
    """

    name = "brevitas"
    leading = ("quantizer",)

    def __init__(self, quantizer: Any, bit_width: int | None = None) -> None:
        injector = _found(quantizer)
        super().__init__(quantizer=injector.__name__, bit_width=bit_width)
        self._injector = injector
        self._width = {} if bit_width is None else {"bit_width": bit_width}
        kind = injector.proxy_class.__name__
        self._holder: list[Any] = []  # of weights: a list, so that its weight is no parameter of ours
        self._grid: Grid | None = None
        self.activation: Any = None
        with quiet():
            if "Act" in kind:
                layer = brevitas_module("nn").QuantIdentity(act_quant=injector, **self._width)
                self.activation = layer.act_quant
            elif "Weight" not in kind:
                raise self.fault(f"{injector.__name__} is no quantizer of weights or activations")

    # ------------------------------------------------------------------ what it computes

    def transform(self, x: Tensor) -> Tensor:
        """See :class:`~torchq.quantizers.Quantizer`."""
        with quiet():
            proxy = self._proxy(x)
            made = proxy(x)
            self._note(proxy, made)
        value: Tensor = getattr(made, "value", made) + 0.0
        if self._blends:
            return blend(x, value, self.qnoise_factor, ste=self.use_ste)
        return value

    def quantize(self, x: Tensor) -> Tensor:
        """The values that come out for ``x``."""
        return self.transform(x)

    def _proxy(self, x: Tensor) -> Any:
        if self.activation is not None:
            return self.activation
        if (
            not self._holder
            or self._holder[0].weight.shape != x.shape
            or self._holder[0].weight.dtype != x.dtype
        ):
            self._holder[:] = [self._layer_for(x)]
        layer = self._holder[0].train(self.training)
        with torch.no_grad():
            layer.weight.copy_(x)
        return layer.weight_quant

    def _layer_for(self, x: Tensor) -> Any:
        """A layer of Brevitas whose weight has the shape of ``x``: its scales may be per channel."""
        layers = brevitas_module("nn")
        kinds = {2: layers.QuantLinear, 3: layers.QuantConv1d, 4: layers.QuantConv2d}
        if x.ndim not in kinds:
            raise self.fault(f"weights have 2 to 4 axes, got a tensor of shape {tuple(x.shape)}")
        size = (x.shape[1], x.shape[0]) if x.ndim == 2 else (x.shape[1], x.shape[0], tuple(x.shape[2:]))
        width = {f"weight_{name}": value for name, value in self._width.items()}
        layer = kinds[x.ndim](*size, bias=False, weight_quant=self._injector, **width)
        layer.weight = nn.Parameter(x.detach().clone())
        return layer.to(device=x.device, dtype=x.dtype)

    # ------------------------------------------------------------------ what it says of itself

    def _note(self, proxy: Any, made: Any) -> None:
        try:
            self._grid = grid_of(proxy, made)
        except QuantizerError as fault:
            raise self.fault(fault.message, fault.hint) from None

    def _now(self) -> Grid | None:
        if self.activation is not None:  # its scale may have been learned or loaded since
            proxy = copy.deepcopy(self.activation).eval()
            with quiet(), torch.no_grad():
                self._note(proxy, proxy(torch.zeros((), dtype=self._dtype())))
        return self._grid

    def _dtype(self) -> torch.dtype:
        return next((p.dtype for p in self.activation.parameters()), torch.float32)

    @property
    def bits(self) -> int:
        """The width of one value."""
        grid = self._now()
        return int(self._width.get("bit_width", self._injector.bit_width)) if grid is None else grid.bits

    @property
    def format(self) -> Format:
        """Fixed point where all scales are powers of two."""
        grid = self._now()
        return Float() if grid is None or grid.odd_scale is not None else grid.format()

    def hardware_reason(self) -> str | None:
        """Why the scale puts the values off every fixed-point grid, if it does."""
        grid = self._now()
        if grid is None:
            return f"{self}: no tensor has come, so its scale is not known"
        if grid.odd_scale is None:
            return None
        odd = np.format_float_positional(grid.odd_scale, precision=4)
        return f"{self}: the scale {odd} is no power of two, so no fixed-point grid holds the values"


def enable() -> None:
    """Let texts name Brevitas's quantizers: ``"brevitas('Int8ActPerTensorFixedPoint',bit_width=6)"``.

    Schemes and recipes read them from then on. Calling it twice does no harm.
    """
    if brevitas.name not in QUANTIZERS:
        QUANTIZERS.add(brevitas.name, brevitas)


def _found(quantizer: Any) -> Any:
    if not isinstance(quantizer, str):
        if isinstance(quantizer, type) and hasattr(quantizer, "proxy_class"):
            return quantizer
        raise brevitas.fault(f"needs a quantizer class of Brevitas or its name, got {quantizer!r}")
    for name in MODULES:
        found = getattr(brevitas_module(name), quantizer, None)
        if found is not None and hasattr(found, "proxy_class"):
            return found
    raise brevitas.fault(
        f"Brevitas has no quantizer {quantizer!r}",
        hint="see brevitas.quant, for instance Int8ActPerTensorFixedPoint",
    )
