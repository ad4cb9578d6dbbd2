"""``alpha``: none, a number, one number for each channel, or found from the data (``auto``, ``auto_po2``)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from torchq.quantizers.base import Quantizer, whole
from torchq.quantizers.scale import Axes

Alpha = float | str | list[Any] | None


class ScaledQuantizer(Quantizer):
    """A quantizer whose values are multiplied by ``alpha``.

    Args:
        alpha: ``None`` is 1 (and never turned into ``auto_po2``, as the layers of QKeras do); a positive
            number; a list, array or tensor with one positive number for each channel (of one dimension: laid
            along the kept axis; otherwise it broadcasts); ``"auto"`` for float scales and ``"auto_po2"`` for
            powers of two found from the data.
        scale_axis: the axis or axes along which the scales differ; ``None`` for the channels (see
            :meth:`Quantizer.channel_axis`).
        elements_per_scale: how many neighbours along ``scale_axis`` share one scale.
        min_po2_exponent: smallest exponent of a scale with ``auto_po2``.
        max_po2_exponent: largest exponent of a scale with ``auto_po2``.
    """

    scale: Tensor
    """The scale, as QKeras's ``scale``; the last one used where it is found from the data."""

    def __init__(
        self,
        *,
        alpha: Any = None,
        scale_axis: Any = None,
        elements_per_scale: Any = None,
        min_po2_exponent: int | None = None,
        max_po2_exponent: int | None = None,
        **config: Any,
    ) -> None:
        alpha = _alpha(type(self), alpha)
        axes = _axes(type(self), "scale_axis", scale_axis)
        groups = _axes(type(self), "elements_per_scale", elements_per_scale)
        least = _exponent(type(self), "min_po2_exponent", min_po2_exponent)
        most = _exponent(type(self), "max_po2_exponent", max_po2_exponent)
        super().__init__(
            alpha=alpha,
            scale_axis=axes,
            elements_per_scale=groups,
            min_po2_exponent=least,
            max_po2_exponent=most,
            **config,
        )
        self.alpha: Alpha = alpha
        self.scale_axis, self.elements_per_scale = axes, groups
        self.min_po2_exponent, self.max_po2_exponent = least, most
        self.auto = isinstance(self.alpha, str)
        if not self.auto and self.elements_per_scale is not None:
            raise self.fault("elements_per_scale needs alpha='auto_po2' or 'auto'")
        if self.elements_per_scale is not None and self.scale_axis is None:
            raise self.fault("elements_per_scale needs scale_axis")
        if isinstance(groups, list) and (not isinstance(axes, list) or len(axes) != len(groups)):
            raise self.fault(f"elements_per_scale {groups} needs as many axes as scale_axis, got {axes}")
        if self.alpha != "auto_po2" and (least is not None or most is not None):
            raise self.fault("min_po2_exponent and max_po2_exponent need alpha='auto_po2'")
        start = 1.0 if self.auto or self.alpha is None else self.alpha
        self.register_buffer("scale", torch.tensor(start, dtype=torch.float32), persistent=self.auto)

    @property
    def number(self) -> float | None:
        """``alpha`` if it is one number for the whole tensor (1.0 for ``None``), else ``None``."""
        if self.alpha is None:
            return 1.0
        return self.alpha if isinstance(self.alpha, float) else None

    def axes(self, x: Tensor) -> Axes:
        """Where the scales of ``x`` differ."""
        return Axes.of(x.ndim, self.scale_axis, self.elements_per_scale, self.default_axis)

    def fixed_scale(self, x: Tensor) -> float | Tensor:
        """The given scale, ready to be multiplied with ``x``.

        Raises:
            QuantizerError: the numbers of ``alpha`` do not fit the shape of ``x``.
        """
        if self.number is not None:
            return self.number
        scale = self.scale.to(x.dtype)
        if scale.ndim == 1 and x.ndim > 1:
            (kept,) = Axes.of(x.ndim, self.scale_axis, None, self.default_axis).kept[:1]
            if scale.numel() not in (1, x.shape[kept]):
                raise self.fault(
                    f"alpha has {scale.numel()} values, the tensor has {x.shape[kept]} along axis {kept}"
                )
            return scale.reshape([-1 if axis == kept else 1 for axis in range(x.ndim)])
        try:
            fits = np.broadcast_shapes(scale.shape, x.shape) == x.shape
        except ValueError:
            fits = False
        if not fits:
            raise self.fault(
                f"alpha of shape {tuple(scale.shape)} does not broadcast against {tuple(x.shape)}"
            )
        return scale

    def record(self, scale: Tensor) -> None:
        """Keep the scale that was used, in the buffer (not that of a ``torch.func`` transform)."""
        if torch._C._are_functorch_transforms_active():
            return
        if scale.shape == self.scale.shape and scale.device == self.scale.device:
            self.scale.copy_(scale)
        else:
            self.scale = scale.detach().clone()

    def exponents(self) -> Any:
        """``log2`` of the scale as an integer or an array of integers; ``None`` if one is no power of two."""
        if self.alpha == "auto":
            return None
        if self.number is not None:
            fraction, power = math.frexp(self.number)
            return power - 1 if fraction == 0.5 else None
        values = np.asarray(self.scale.detach().cpu().double().numpy())
        mantissa, exponent = np.frexp(values)
        if not np.all(mantissa == 0.5):
            return None
        return int(exponent) - 1 if values.ndim == 0 else exponent.astype(np.int64) - 1

    def hardware_reason(self) -> str | None:
        """Why the scale puts the values off every fixed-point grid, if it does."""
        remedy = "give powers of two, such as alpha=1.0 or alpha='auto_po2'"
        if self.alpha == "auto":
            return (
                f"{self}: alpha='auto' finds float scales, so no fixed-point grid holds the values; {remedy}"
            )
        if self.exponents() is not None:
            return None
        if self.number is not None:
            odd = f"alpha={self.number} is"
        else:
            values = self.scale.detach().cpu().double().flatten().tolist()
            odd = f"alpha holds {next(v for v in values if math.frexp(v)[0] != 0.5):g}, which is"
        return f"{self}: {odd} no power of two, so no fixed-point grid holds the values; {remedy}"


def _alpha(cls: type[Quantizer], alpha: Any) -> Alpha:
    if alpha is None:
        return None
    if isinstance(alpha, str):
        if alpha not in ("auto", "auto_po2"):
            raise cls.fault(f"alpha must be None, a number, 'auto' or 'auto_po2', got {alpha!r}")
        return alpha
    try:
        values = np.asarray(alpha.detach().cpu() if isinstance(alpha, Tensor) else alpha, dtype=np.float64)
    except (TypeError, ValueError):
        raise cls.fault(f"alpha must be None, a number, 'auto' or 'auto_po2', got {alpha!r}") from None
    if values.size == 0 or not np.all(np.isfinite(values)) or not np.all(values > 0):
        raise cls.fault(f"alpha must be above 0, got {alpha!r}")
    return values.tolist()  # type: ignore[no-any-return]


def _axes(cls: type[Quantizer], name: str, value: Any) -> int | list[int] | None:
    if value is None:
        return None
    if isinstance(value, list | tuple):
        return [whole(cls, name, v, 1 if name == "elements_per_scale" else None) for v in value]
    return whole(cls, name, value, 1 if name == "elements_per_scale" else None)


def _exponent(cls: type[Quantizer], name: str, value: Any) -> int | None:
    return None if value is None else whole(cls, name, value)
