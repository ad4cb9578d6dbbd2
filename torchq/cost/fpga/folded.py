"""The resource strategy: each multiplier is used R times for a sample; weights in ROM, accumulators."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from torchq.cost.fpga.figures import Figures
from torchq.cost.fpga.matrix import Matrix

BRAM_FROM_DEPTH = 128
"""From this reuse factor on weights stand in block memory; yosys kept all measured ones (64) in LUTs."""

_BRAM_WIDTH, _BRAM_DEPTH = 36, 512


@dataclass(frozen=True)
class Fold:
    """How the reuse factor is split.

    Args:
        multipliers: how many there are.
        lanes: products that are added in one step.
        outputs: outputs that are accumulated at the same time.
        steps: cycles for one sample.
    """

    multipliers: int
    lanes: int
    outputs: int
    steps: int


def fold(n_in: int, n_out: int, reuse: int) -> Fold:
    """First over the inputs, then over groups of outputs; never more often than there are products.

    Example:
        >>> fold(48, 20, 64)
        Fold(multipliers=15, lanes=3, outputs=5, steps=64)
    """
    reuse = min(max(reuse, 1), max(n_in * n_out, 1))
    over_inputs = math.gcd(reuse, n_in)
    lanes, outputs = n_in // over_inputs, math.ceil(n_out * over_inputs / reuse)
    return Fold(lanes * outputs, lanes, outputs, reuse)


def folded(
    matrix: Matrix, fitted: Mapping[str, float], reuse: int, levels: int, dsp_from_bits: int
) -> Figures:
    """What the product takes, with a new input every ``reuse`` cycles.

    Args:
        matrix: the constant matrix.
        fitted: the coefficients of this strategy.
        reuse: how often a multiplier is used for one sample.
        levels: how many adders may follow each other in a pipeline stage.
        dsp_from_bits: from which width of weight or input on a product is a DSP's.
    """
    shape = fold(matrix.n_in, matrix.n_out, reuse)
    wide = max(matrix.weight_bits, matrix.input_bits) >= dsp_from_bits
    deep = shape.steps >= BRAM_FROM_DEPTH
    lut = sum(fitted[name] * value for name, value in lut_terms(matrix, shape, wide).items())
    ff = sum(fitted[name] * value for name, value in ff_terms(matrix, shape, wide, levels).items())
    bits = shape.multipliers * matrix.weight_bits
    bram = math.ceil(bits / _BRAM_WIDTH) * math.ceil(shape.steps / _BRAM_DEPTH) if deep else 0
    cycles = shape.steps + 2 + tree_depth(shape) // levels
    return Figures(
        lut, ff, used_multipliers(matrix, shape) if wide else 0.0, float(bram), cycles, shape.steps
    )


def tree_depth(shape: Fold) -> int:
    """Adders in a row that sum the products of one step."""
    return math.ceil(math.log2(shape.lanes)) if shape.lanes > 1 else 0


def accumulator_bits(matrix: Matrix) -> float:
    """Width of one accumulator."""
    return matrix.output_bits / matrix.columns if matrix.columns else 1.0


def used_multipliers(matrix: Matrix, shape: Fold) -> float:
    """Without those all of whose weights are zero: with zeros anywhere, that many are expected."""
    zero = 1 - matrix.nonzero / max(matrix.n_in * matrix.n_out, 1)
    return float(shape.multipliers * (1 - zero**shape.steps))


def word_bits(matrix: Matrix, shape: Fold) -> float:
    """Different bits of the words of weights: of so few words there are only so many."""
    bits = used_multipliers(matrix, shape) * matrix.weight_bits
    return min(bits, 2.0 ** min(shape.steps, 60) - 2)


def multiplier_terms(a: int, b: int) -> dict[str, float]:
    """What LUTs are spent on in one multiplier of two numbers that both change.

    The first two partial products go straight into the last adder; the others are compressed before.
    """
    return {"multiply": float(a * b), "compress": float(max(a - 2, 0) * max(b - 2, 0))}


def lut_terms(matrix: Matrix, shape: Fold, wide: bool) -> dict[str, float]:
    """What LUTs are spent on, each with one coefficient."""
    product = matrix.weight_bits + matrix.input_bits
    used = used_multipliers(matrix, shape)
    soft = 0.0 if wide else used
    one = multiplier_terms(matrix.weight_bits, matrix.input_bits)
    return {
        **{name: soft * bits for name, bits in one.items()},
        "tree": max(used - shape.outputs, 0.0) * product,
        "accumulate": shape.outputs * accumulator_bits(matrix),
        "rom": word_bits(matrix, shape) if shape.steps < BRAM_FROM_DEPTH else 0.0,
        "store": matrix.n_out * accumulator_bits(matrix),
        "load": float(matrix.n_in * matrix.input_bits),
    }


def ff_terms(matrix: Matrix, shape: Fold, wide: bool, levels: int) -> dict[str, float]:
    """What flip-flops are spent on, each with one coefficient; the input register is not among them."""
    product = matrix.weight_bits + matrix.input_bits
    cut = shape.multipliers / 2.0**levels if tree_depth(shape) >= levels else 0.0
    return {
        "held": shape.outputs * accumulator_bits(matrix) + matrix.n_out * accumulator_bits(matrix),
        "word": word_bits(matrix, shape) + shape.lanes * matrix.input_bits,
        "product": 0.0 if wide else used_multipliers(matrix, shape) * product,
        "cut": cut * product,
    }
