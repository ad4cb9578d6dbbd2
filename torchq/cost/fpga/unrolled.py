"""The latency strategy: a multiplication by a constant for each weight, an adder tree for each output.

Narrow products are shifts and adds, an odd multiple of an input is made once; wide ones by constants with
three signed digits or more are DSPs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from torchq.cost.fpga.figures import Figures
from torchq.cost.fpga.matrix import DSP_FROM_DIGITS, Matrix


def unrolled(
    matrix: Matrix, fitted: Mapping[str, float], levels: int, dsp_from_bits: int, extra_levels: int = 0
) -> Figures:
    """What the product takes, with a new input in every cycle.

    Args:
        matrix: the constant matrix.
        fitted: the coefficients of this strategy.
        levels: how many adders may follow each other in a pipeline stage.
        dsp_from_bits: from which width of weight or input on a product is a DSP's.
        extra_levels: of what stands behind the product without a register between.
    """
    if not matrix.nonzero:
        return Figures(cycles=0)
    wide = is_wide(matrix, dsp_from_bits)
    lut = sum(fitted[name] * value for name, value in lut_terms(matrix, wide).items())
    lut = max(lut, matrix.tree_adders)
    depth = tree_depth(matrix) + product_depth(matrix, wide) + extra_levels
    cycles = max(math.ceil(depth / levels), 1) + int(wide)
    between = fitted["live"] * live_bits(matrix, levels, wide)
    dsp = matrix.wide_products if wide else 0.0
    return Figures(lut=lut, ff=matrix.output_bits + between, dsp=dsp, cycles=cycles)


def is_wide(matrix: Matrix, dsp_from_bits: int) -> bool:
    """Whether products may become DSPs."""
    return max(matrix.weight_bits, matrix.input_bits) >= dsp_from_bits


def lut_terms(matrix: Matrix, wide: bool) -> dict[str, float]:
    """Adder bits, by what they grow with: each of these has one coefficient."""
    multiples = matrix.shared_adders - (matrix.wide_adders if wide else 0.0)
    return {
        "multiple": multiples * matrix.input_bits,
        "tree_input": matrix.tree_adders * matrix.input_bits,
        "tree_weight": matrix.odd_bits,
        "tree": matrix.tree_adders,
    }


def tree_depth(matrix: Matrix) -> int:
    """Adders in a row behind the products; the bias comes last."""
    return math.ceil(math.log2(max(matrix.terms, 1.0))) + int(matrix.biases > 0)


def product_depth(matrix: Matrix, wide: bool) -> int:
    """Adders in a row of the largest multiple of an input."""
    most = min(matrix.deepest, DSP_FROM_DIGITS - 1) if wide else matrix.deepest
    return math.ceil(math.log2(max(most, 1.0)))


def live_bits(matrix: Matrix, levels: int, wide: bool) -> float:
    """Bits that cross the pipeline registers: behind the products each level halves the terms."""
    products = product_depth(matrix, wide)
    total = 0.0
    for cut in range(levels, products + tree_depth(matrix), levels):
        joined = max(cut - products, 0)
        terms = max(matrix.nonzero / 2.0**joined, matrix.columns)
        total += terms * (matrix.input_bits + matrix.weight_bits - 1 + joined)
    return total
