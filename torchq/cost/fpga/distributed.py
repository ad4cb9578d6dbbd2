"""Distributed arithmetic: one network of shared adders for a whole matrix, as alkaid and da4ml build it.

``adders = digits - columns + biases`` is what a matrix takes if nothing is shared. Sharing leaves
``adders ** e`` of them, more or less after the shape; each is as wide as the inputs and some bits more
(arXiv:2507.04535 for the method; the exponents are fitted on measured designs).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from torchq.cost.fpga.figures import Figures
from torchq.cost.fpga.matrix import Matrix


def distributed(
    matrix: Matrix, fitted: Mapping[str, float], stage: float, extra_delay: float = 0.0
) -> Figures:
    """What the product takes, with a new input in every cycle.

    Args:
        matrix: the constant matrix.
        fitted: the coefficients of this strategy.
        stage: how much delay a pipeline stage may have, in alkaid's units; an adder takes about 1.2.
        extra_delay: of what stands behind the product without a register between.
    """
    lut = luts(matrix, fitted)
    if not matrix.nonzero:
        return Figures(cycles=0)
    delay = fitted["delay"] + fitted["delay_depth"] * math.log2(max(matrix.longest, 1.0))
    cycles = max(math.ceil((delay + extra_delay) / stage), 1)
    between = math.exp(fitted["live"]) * lut ** fitted["live_lut"] * matrix.output_bits ** fitted["live_out"]
    return Figures(lut=lut, ff=matrix.output_bits + (cycles - 1) * between, cycles=cycles)


def luts(matrix: Matrix, fitted: Mapping[str, float]) -> float:
    """Adders after sharing, times their width."""
    return shared_adders(matrix, fitted) * adder_width(matrix, fitted)


def shared_adders(matrix: Matrix, fitted: Mapping[str, float]) -> float:
    """How many adders are left after sharing; never more than without."""
    if matrix.adders <= 0:
        return 0.0
    left = fitted["adders"] + fitted["adders_all"] * math.log(matrix.adders)
    left += fitted["adders_inputs"] * math.log(matrix.n_in) + fitted["adders_outputs"] * math.log(
        matrix.n_out
    )
    left += (
        fitted["adders_bits"] * math.log(matrix.weight_bits) + fitted["adders_signed"] * matrix.input_signed
    )
    return min(math.exp(left), matrix.adders)


def adder_width(matrix: Matrix, fitted: Mapping[str, float]) -> float:
    """Mean LUTs of one adder."""
    return matrix.input_bits + fitted["width_bits"] * matrix.weight_bits + fitted["width"]
