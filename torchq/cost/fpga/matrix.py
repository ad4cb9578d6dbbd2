"""``Matrix``: what of a constant matrix decides how large its product is in hardware."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from torchq.cost.fpga.digits import Codes, digits, expected, odd_parts

DSP_FROM_DIGITS = 3
"""A constant with fewer signed digits is at most one adder; no tool spends a DSP on it."""


@dataclass(frozen=True)
class Matrix:
    """The product ``inputs @ weights + bias`` with constant weights; expected numbers may be fractions.

    Args:
        n_in: inputs.
        n_out: outputs.
        weight_bits: width of a weight.
        input_bits: width of an input.
        input_signed: whether inputs are signed.
        nonzero: weights that are not zero.
        digits: non-zero signed digits of all weights.
        longest: signed digits of the output that has the most.
        terms: weights that are not zero of the output that has the most.
        deepest: signed digits of the weight that has the most.
        columns: outputs with a weight that is not zero.
        biases: outputs with a bias that is not zero.
        odd_bits: bits of the odd parts of all weights, the lowest of each not counted.
        shared_adders: adders that make the odd multiples of the inputs, each multiple once.
        wide_products: odd multiples of the inputs with at least three digits, each once.
        wide_adders: the adders among ``shared_adders`` that make those.
        output_bits: of all outputs, exact.
    """

    n_in: int
    n_out: int
    weight_bits: int
    input_bits: int
    input_signed: bool
    nonzero: float
    digits: float
    longest: float
    terms: float
    deepest: float
    columns: float
    biases: float
    odd_bits: float
    shared_adders: float
    wide_products: float
    wide_adders: float
    output_bits: float

    @property
    def adders(self) -> float:
        """Adders and subtractors if nothing was shared."""
        return max(self.digits - self.columns + self.biases, 0.0)

    @property
    def tree_adders(self) -> float:
        """Adders that sum the products of each output, and its bias."""
        return max(self.nonzero - self.columns + self.biases, 0.0)


def matrix_of_codes(
    weights: Codes,
    weight_bits: int,
    input_bits: int,
    input_signed: bool,
    bias: Codes | None = None,
    *,
    multiples: bool = True,
) -> Matrix:
    """Of weights whose values are known.

    Args:
        weights: integer codes, ``[inputs, outputs]``; ``[groups, inputs, outputs]`` gives the mean group.
        weight_bits: their width.
        input_bits: width of the inputs.
        input_signed: whether they are signed.
        bias: integer codes on the grid of the products, ``[outputs]`` or ``[groups, outputs]``.
        multiples: whether to look for equal multiples of an input; without, there are none of them, in half
            the time.

    Example:
        >>> found = matrix_of_codes(np.array([[3, 0], [-4, 7]]), 4, 6, True)
        >>> found.nonzero, found.digits, found.adders, found.shared_adders
        (3.0, 5.0, 3.0, 2.0)
    """
    blocks = weights if weights.ndim == 3 else weights[None]
    groups, n_in, n_out = blocks.shape
    count = digits(blocks)
    column = count.sum(axis=1)
    used = column > 0
    odd = np.where(blocks != 0, odd_parts(blocks), 1) if multiples else np.ones((1, 1, 1), np.int64)
    made = digits(_distinct(odd.reshape(-1, odd.shape[-1])))
    wide = made >= DSP_FROM_DIGITS
    constant = np.zeros((groups, n_out), np.int64) if bias is None else bias.reshape(groups, n_out)
    most = 2.0 ** (input_bits - int(input_signed))
    reach = np.abs(blocks).sum(axis=1) * most + np.abs(constant)
    signed = (blocks < 0).any(axis=1) | (constant < 0) | input_signed
    bits = np.where(reach > 0, np.ceil(np.log2(np.maximum(reach, 1))) + signed, 0)
    return Matrix(
        n_in=n_in,
        n_out=n_out,
        weight_bits=weight_bits,
        input_bits=input_bits,
        input_signed=input_signed,
        nonzero=float(np.count_nonzero(blocks) / groups),
        digits=float(column.sum()) / groups,
        longest=float((column + ((constant != 0) & used)).max(initial=0)),
        terms=float((blocks != 0).sum(axis=1).max(initial=0)),
        deepest=float(count.max(initial=0)),
        columns=float(np.count_nonzero(used) / groups),
        biases=float(np.count_nonzero((constant != 0) & used) / groups),
        odd_bits=float(np.floor(np.log2(odd)).sum()) / groups,
        shared_adders=float((made - 1).sum()) / groups,
        wide_products=float(np.count_nonzero(wide) / groups),
        wide_adders=float((made[wide] - 1).sum()) / groups,
        output_bits=float(bits.sum()) / groups,
    )


def _distinct(rows: Codes) -> Codes:
    """What stands in each row above 1, each number once a row."""
    order = np.sort(rows, axis=1)
    first = np.ones(order.shape, bool)
    first[:, 1:] = order[:, 1:] != order[:, :-1]
    return np.asarray(order[first & (order > 1)])


def matrix_of_formats(
    n_in: int,
    n_out: int,
    weight_bits: int,
    input_bits: int,
    input_signed: bool,
    *,
    zeros: float = 0,
    bias: bool = False,
    powers: bool = False,
) -> Matrix:
    """Of weights of which only the width, and how many are zero, is known.

    All codes but zero are taken as equally likely, which is more than trained weights, gathered around zero,
    need.

    Args:
        n_in: inputs.
        n_out: outputs.
        weight_bits: width of the weights.
        input_bits: width of the inputs.
        input_signed: whether they are signed.
        zeros: how many weights are zero.
        bias: whether each output has one.
        powers: whether the weights are powers of two, ternary or binary: one digit each.

    Example:
        >>> found = matrix_of_formats(16, 32, 6, 6, False, zeros=256)
        >>> found.nonzero, round(found.adders), round(found.columns)
        (256.0, 512, 32)
    """
    nonzero = max(n_in * n_out - float(zeros), 0.0)
    code = expected(2 if powers else weight_bits)
    # an output is empty if all of its weights are zero
    share = nonzero / max(n_in * n_out, 1)
    columns = n_out * (1 - (1 - share) ** n_in) if share < 1 else float(n_out)
    columns = min(columns, nonzero)
    used = 1 - (1 - code.chances) ** (nonzero / max(n_in, 1))
    wide = code.parts >= DSP_FROM_DIGITS
    count = nonzero * code.digits
    terms = _largest(nonzero / columns, n_out, n_in) if columns else 0.0
    longest = terms * code.digits + bias if columns else 0.0
    reach = max(nonzero / columns if columns else 0.0, 1.0) * 2.0 ** (weight_bits - 2)
    width = input_bits + math.ceil(math.log2(max(reach, 1))) + (0 if input_signed else 1)
    return Matrix(
        n_in=n_in,
        n_out=n_out,
        weight_bits=weight_bits,
        input_bits=input_bits,
        input_signed=input_signed,
        nonzero=nonzero,
        digits=count,
        longest=longest,
        terms=terms,
        deepest=float(1 if powers else code.deepest) if nonzero else 0.0,
        columns=columns,
        biases=columns if bias else 0.0,
        odd_bits=nonzero * code.odd_bits,
        shared_adders=float(n_in * (used * (code.parts - 1)).sum()),
        wide_products=float(n_in * used[wide].sum()),
        wide_adders=float(n_in * (used * (code.parts - 1))[wide].sum()),
        output_bits=columns * width,
    )


def _largest(mean: float, outputs: int, most: int) -> float:
    """Of so many counts with this mean: zeros that fall by chance leave some outputs more than others."""
    spread = math.sqrt(max(mean * (1 - mean / max(most, 1)), 0.0) * 2 * math.log(max(outputs, 2)))
    return min(mean + spread, float(most))
