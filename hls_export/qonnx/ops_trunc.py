"""``Trunc``: fewer bits of a whole number, in both versions that QONNX has had."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from hls_export.hardware import Quantize, ScaleShift
from hls_export.qonnx import operators
from hls_export.qonnx.load import Op
from hls_export.qonnx.ops_functions import Function, add_table
from hls_export.qonnx.quant import DOMAINS, QuantWords, exponents, fixed_point, read_words
from hls_export.qonnx.reader import Reader, made_of, reads
from torchq.errors import ExportError
from torchq.formats import FixedPoint


@reads("Trunc", domains=DOMAINS)
def _trunc(reader: Reader, op: Op) -> None:
    """Whole numbers of ``scale``, divided by a power of two, limited to the new bits, rounded.

    The first version (five inputs) divides by ``2 ** (bits in - bits out)``, limits nothing, and keeps the
    scale; the second one (six) divides by ``output scale / scale``.
    """
    source = reader.source(op)
    names = ("scale", "zero-point", "bit width", "bit width", "output bit width")
    if len(op.inputs) == 6:
        names = ("scale", "zero-point", "bit width", "output scale", "output bit width")
    values = [reader.constant(op, i + 1, name).values for i, name in enumerate(names[: len(op.inputs) - 1])]
    if any(part.size != 1 for part in values):
        raise ExportError(f"{op} has numbers that differ by channel", hint="use one for the tensor")
    scale, zeropt, bits, *rest = (float(np.ravel(part)[0]) for part in values)
    if zeropt:
        raise ExportError(
            f"{op} has zero-point {zeropt:g}, and fixed-point numbers have none",
            hint="quantize symmetrically",
        )
    attributes = {"rounding_mode": "FLOOR", **op.attributes}
    if len(op.inputs) == 6:
        back = rest[0]
        word = read_words(str(op), np.asarray(rest[1]), attributes)
        shift = int(exponents(str(op), np.asarray(back))) - int(exponents(str(op), np.asarray(scale)))
    else:
        exponents(str(op), np.asarray(scale))
        word, back, shift = read_words(str(op), np.asarray(rest[0]), attributes), scale, int(bits - rest[0])
    first = len(op.inputs) == 5
    if isinstance(source, Function):
        rounded = partial(
            operators.trunc, scale=scale, shift=shift, back=back, limits=None if first else word
        )
        add_table(reader, op, source, partial(rounded, rounding=word.rounding))
        return
    if source.tensor == reader.file.input:
        raise ExportError(f"{op} reads the raw input", hint="put a Quant in front of it")
    known = reader.bounds(source)
    coarse = scale * 2.0**shift
    exact = FixedPoint(int(known.format().width) + 1, int(known.format().integer) + 1)
    if int(exact.fraction) > -int(exponents(str(op), np.asarray(scale))):
        power = int(exponents(str(op), np.asarray(scale)))
        whole = FixedPoint(max(int(exact.integer), power) - power + 1, max(int(exact.integer), power) + 1)
        made = reader.add(made_of(Quantize, op, source, format=whole), f"{op.outputs[0]}.whole")
        source = reader.nodes[made.name]
    if first:
        integer = max(int(exact.integer), int(exponents(str(op), np.asarray(coarse)))) + 1
        bits_out = integer - int(exponents(str(op), np.asarray(coarse)))
        word = QuantWords(bits_out, True, False, word.rounding)
    grid = fixed_point(str(op), word, np.asarray(coarse))
    tensor = op.outputs[0] if back == coarse else f"{op.outputs[0]}.coarse"
    made = reader.add(made_of(Quantize, op, source, format=grid), tensor)
    if back != coarse:
        factor = np.array([back / coarse])
        power = int(exponents(str(op), factor)[0])
        moved = made_of(
            ScaleShift, op, made, scale=factor, scale_format=FixedPoint(1, power + 1, signed=False)
        )
        reader.add(replace(moved, name=f"{op.name}.scaled"), op.outputs[0])
