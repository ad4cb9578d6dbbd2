"""Nodes that multiply: with weights, with a constant each, or two inputs; rows of an embedding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hls_export.nodes.base import Array, Node, check_grid, frozen
from torchq.formats import FixedPoint


@dataclass(frozen=True, eq=False, kw_only=True)
class Weighted(Node):
    """What the nodes with weight and bias have in common; not a node itself.

    Args:
        weight: float64, on the grid of ``weight_format``.
        weight_format: per tensor, or an array that broadcasts against ``weight``.
        bias: ``[n_out]``, float64, or None.
        bias_format: per tensor, or an array that broadcasts against ``bias``; None without a bias.

    Raises:
        ExportError: values beside their grid.
    """

    weight: Array
    weight_format: FixedPoint
    bias: Array | None = None
    bias_format: FixedPoint | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "weight", frozen(self.weight))
        check_grid(self.name, "weight", self.weight, self.weight_format)
        if self.bias is not None:
            object.__setattr__(self, "bias", frozen(self.bias))
            check_grid(self.name, "bias", self.bias, self.bias_format)

    def constants(self) -> Mapping[str, Array]:
        """The weight, and the bias if there is one."""
        return {"weight": self.weight} if self.bias is None else {"weight": self.weight, "bias": self.bias}


@dataclass(frozen=True, eq=False, kw_only=True)
class Dense(Weighted):
    """``x @ weight + bias`` along the last axis, exactly; all other axes are positions.

    ``weight`` has shape ``[n_in, n_out]``. The node's format holds every sum.
    """

    kind = "dense"

    @property
    def n_in(self) -> int:
        """How many values each output sums."""
        return int(self.weight.shape[0])

    @property
    def n_out(self) -> int:
        """How many outputs it has."""
        return int(self.weight.shape[1])


@dataclass(frozen=True, eq=False, kw_only=True)
class Conv(Weighted):
    """A convolution along one or two axes, exactly: ``[channels, *sizes]`` to ``[n_out, *sizes']``.

    ``y[o, p] = bias[o] + sum over c, k of weight[o, c, k] * x[g + c, p * stride - before + k * dilation]``,
    where ``g`` is the first channel of the group of ``o``, and ``x`` is 0 beside the sample. ``weight`` has
    shape ``[n_out, channels / groups, *kernel]``.

    Args:
        strides: one an axis.
        pads: zeros before and after, one pair an axis.
        dilations: the distance between points of the kernel, one an axis.
        groups: groups of channels that do not see each other.
    """

    kind = "conv"

    strides: tuple[int, ...]
    pads: tuple[tuple[int, int], ...]
    dilations: tuple[int, ...]
    groups: int = 1

    @property
    def kernel(self) -> tuple[int, ...]:
        """The points of the kernel, one number an axis."""
        return tuple(self.weight.shape[2:])

    @property
    def n_out(self) -> int:
        """How many channels it writes."""
        return int(self.weight.shape[0])

    @property
    def n_in(self) -> int:
        """How many channels it reads."""
        return int(self.weight.shape[1]) * self.groups

    @property
    def depthwise(self) -> bool:
        """Whether each group reads one channel."""
        return self.weight.shape[1] == 1 and self.groups > 1

    def facts(self) -> Mapping[str, Any]:
        """Strides, pads, dilations and groups."""
        return {
            "strides": self.strides,
            "pads": self.pads,
            "dilations": self.dilations,
            "groups": self.groups,
        }


@dataclass(frozen=True, eq=False, kw_only=True)
class ScaleShift(Node):
    """``x * scale + shift``, exactly; a batch norm of its own, the factor of an average, a constant addend.

    Args:
        scale: broadcasts against the sample: ``[channels, 1, 1]`` for one number a channel; ``[1]`` for all.
        scale_format: holds ``scale``; per tensor, or broadcasting against it.
        shift: broadcasts against the sample as well, or None.
        shift_format: holds ``shift``; None without one.
    """

    kind = "scale_shift"

    scale: Array
    scale_format: FixedPoint
    shift: Array | None = None
    shift_format: FixedPoint | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "scale", frozen(self.scale))
        check_grid(self.name, "scale", self.scale, self.scale_format)
        if self.shift is not None:
            object.__setattr__(self, "shift", frozen(self.shift))
            check_grid(self.name, "shift", self.shift, self.shift_format)

    def constants(self) -> Mapping[str, Array]:
        """The scale, and the shift if there is one."""
        return {"scale": self.scale} if self.shift is None else {"scale": self.scale, "shift": self.shift}


@dataclass(frozen=True, eq=False, kw_only=True)
class LeakyRelu(Node):
    """``x`` where it is not below zero, else ``x * slope``, exactly.

    Args:
        slope: broadcasts against the sample: ``[channels, 1, 1]`` for one number a channel; ``[1]`` for all.
        slope_format: holds it.
    """

    kind = "leaky_relu"

    slope: Array
    slope_format: FixedPoint

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "slope", frozen(self.slope))
        check_grid(self.name, "slope", self.slope, self.slope_format)

    def constants(self) -> Mapping[str, Array]:
        """The slope."""
        return {"slope": self.slope}


@dataclass(frozen=True, eq=False, kw_only=True)
class Embedding(Node):
    """Rows of a table, picked by whole numbers: ``[*sizes]`` to ``[*sizes, values of a row]``.

    What it reads comes from a :class:`Quantize` to an unsigned format of whole numbers. Numbers beyond the
    last row are not defined.

    Args:
        weight: ``[rows, values]``, float64, on the grid of ``weight_format``.
        weight_format: per tensor, or an array that broadcasts against ``weight``.
    """

    kind = "embedding"

    weight: Array
    weight_format: FixedPoint

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "weight", frozen(self.weight))
        check_grid(self.name, "weight", self.weight, self.weight_format)

    def constants(self) -> Mapping[str, Array]:
        """The rows."""
        return {"weight": self.weight}
