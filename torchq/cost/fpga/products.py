"""The products of a layer with its constant weights, out of its workload."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from torchq.cost.fpga.alkaid import adder_cost
from torchq.cost.fpga.coefficients import coefficients
from torchq.cost.fpga.digits import Codes
from torchq.cost.fpga.distributed import distributed
from torchq.cost.fpga.figures import Figures
from torchq.cost.fpga.folded import folded
from torchq.cost.fpga.matrix import Matrix, matrix_of_codes, matrix_of_formats
from torchq.cost.fpga.settings import Build
from torchq.cost.fpga.unrolled import unrolled
from torchq.errors import CostError, FormatError
from torchq.formats import FixedPoint, Float, Format
from torchq.formats.arithmetic import widest
from torchq.workload import UNQUANTIZED_BITS, ParamSpec, Workload

_LARGEST_CODE = 2.0**40


@dataclass(frozen=True)
class Layout:
    """How a weight is cut into matrices.

    Args:
        groups: matrices beside each other, each with inputs of its own.
        n_in: rows of each.
        n_out: columns of each.
        transposed: whether the outputs stand on the second axis of the weight.
    """

    groups: int
    n_in: int
    n_out: int
    transposed: bool = False

    @property
    def outputs(self) -> int:
        """Outputs of all groups."""
        return self.groups * self.n_out


def layout(work: Workload, weight: ParamSpec) -> Layout:
    """Of a layer's weight: linear ``[out, in]``, convolutions ``[out, in, ...]``, one number a channel.

    Example:
        >>> from torchq.workload import TensorSpec
        >>> x, y = TensorSpec("x", (16,), None), TensorSpec("fc", (5,), None)
        >>> layout(Workload("fc", "linear", (x,), y), ParamSpec("weight", (5, 16), None))
        Layout(groups=1, n_in=16, n_out=5, transposed=False)
    """
    if len(weight.shape) < 2:
        return Layout(max(weight.count, 1), 1, 1)
    groups = work.geometry.groups if work.geometry else 1
    transposed = bool(work.geometry and work.geometry.transposed) or work.kind.startswith("conv_transpose")
    outputs = weight.shape[1] if transposed else weight.shape[0] // groups
    return Layout(groups, weight.count // max(outputs * groups, 1), outputs, transposed)


def bits_of(format: Format | None) -> int:
    """Width in hardware: of the widest element; of what stands on no fixed-point grid as it is stored."""
    grid = grid_of(format)
    if grid is not None:
        return int(grid.width)
    return UNQUANTIZED_BITS if format is None else int(np.max(format.width))


def grid_of(format: Format | None) -> FixedPoint | None:
    """The fixed-point format that holds the values; None where there is none."""
    if format is None or isinstance(format, Float):
        return None
    try:
        return widest(format.as_fixed())
    except FormatError:
        return None


def codes_of(spec: ParamSpec, lsb: float) -> Codes | None:
    """The values as integer codes; None where they are not known, or stand beside the grid."""
    if spec.values is None:
        return None
    codes = spec.values / lsb
    whole = np.rint(codes)
    if not np.array_equal(whole, codes) or np.abs(whole).max(initial=0) > _LARGEST_CODE:
        return None
    return whole.astype(np.int64)


@dataclass(frozen=True)
class Product:
    """A layer's constant matrices, and what is known of them.

    Args:
        matrix: the mean one.
        layout: how many there are.
        weights: integer codes ``[groups, n_in, n_out]``; None where only formats are known.
        bias: integer codes ``[groups, n_out]``; None without, or where they are not known.
        input_signed: whether the inputs are signed.
    """

    matrix: Matrix
    layout: Layout
    weights: Codes | None
    bias: Codes | None
    input_signed: bool


def product_of(work: Workload, weight: ParamSpec, build: Build) -> Product:
    """Read a layer with a weight, as far as its way of being built asks."""
    shape = layout(work, weight)
    x, w = grid_of(work.inputs[0].format), grid_of(weight.format)
    input_bits, weight_bits = max(bits_of(work.inputs[0].format), 1), max(bits_of(weight.format), 1)
    signed = x is None or bool(x.signed)
    if x is not None and w is not None:
        codes = codes_of(weight, _finest(weight))
        if codes is not None:
            blocks = _blocks(codes, shape)
            bias = _bias_codes(work.bias, _finest(weight) * float(x.lsb), shape)
            matrix = matrix_of_codes(
                blocks,
                weight_bits,
                input_bits,
                signed,
                bias,
                multiples=build.strategy != "distributed_arithmetic",
            )
            return Product(matrix, shape, blocks, bias, signed)
    matrix = matrix_of_formats(
        shape.n_in,
        shape.n_out,
        weight_bits,
        input_bits,
        signed,
        zeros=weight.zeros / shape.groups,
        bias=work.bias is not None and work.bias.zeros < work.bias.count,
        powers=weight.format is not None and not isinstance(weight.format, (FixedPoint, Float)),
    )
    return Product(matrix, shape, None, None, signed)


def product_figures(work: Workload, found: Product, build: Build, *, activated: bool) -> Figures:
    """What one instance of a layer's products takes.

    Args:
        work: the layer.
        found: its matrices.
        build: how the network is built.
        activated: whether an activation follows without a register between.
    """
    fitted, matrix = coefficients().fitted, found.matrix
    if build.strategy == "distributed_arithmetic":
        made = distributed(matrix, fitted["distributed_arithmetic"], build.clock_ns, float(activated))
        if build.adders == "alkaid":
            return _counted(work, found, made)
    elif build.strategy == "latency" or build.reuse_factor == 1:
        made = unrolled(matrix, fitted["latency"], build.levels, build.dsp_from_bits, int(activated))
    else:
        made = folded(matrix, fitted["resource"], build.reuse_factor, build.levels, build.dsp_from_bits)
    return made.times(found.layout.groups)


def _counted(work: Workload, found: Product, made: Figures) -> Figures:
    """The same with the LUTs that alkaid's adders take."""
    if found.weights is None:
        raise CostError(
            f"{work.layer}: alkaid needs the weights' values, and only their format is known",
            hint="leave adders='fitted', or price a model",
        )
    factor = coefficients().fitted["alkaid"]["factor"]
    biases = [None] * len(found.weights) if found.bias is None else list(found.bias)
    cost = sum(
        adder_cost(block, found.matrix.input_bits, found.input_signed, bias)
        for block, bias in zip(found.weights, biases, strict=True)
        if block.any()
    )
    groups = found.layout.groups
    return Figures(factor * cost, made.ff * groups, 0.0, 0.0, made.cycles, made.interval)


def _finest(weight: ParamSpec) -> float:
    assert weight.format is not None  # noqa: S101 - told to the type checker
    return float(np.min(weight.format.as_fixed().lsb))


def _blocks(codes: Codes, shape: Layout) -> Codes:
    if shape.transposed:
        by_input = codes.reshape(shape.groups, -1, shape.n_out, codes[0, 0].size)
        return by_input.transpose(0, 1, 3, 2).reshape(shape.groups, shape.n_in, shape.n_out)
    return codes.reshape(shape.groups, shape.n_out, shape.n_in).transpose(0, 2, 1)


def _bias_codes(bias: ParamSpec | None, lsb: float, shape: Layout) -> Codes | None:
    if bias is None or bias.values is None or bias.count != shape.outputs:
        return None
    return (
        np.rint(np.clip(bias.values / lsb, -_LARGEST_CODE, _LARGEST_CODE))
        .astype(np.int64)
        .reshape(shape.groups, shape.n_out)
    )


def positions_of(work: Workload, shape: Layout) -> int:
    """How many times the matrices are applied to one sample."""
    return max(math.ceil(work.output.count / max(shape.outputs, 1)), 1)
