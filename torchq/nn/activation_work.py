"""What hardware computes where a quantizer is more than rounding: sigmoid, tanh, hard swish."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torchq.formats import FixedPoint, Format
from torchq.nn.operations import added, times
from torchq.nn.types import fixed
from torchq.quantizers import Quantizer
from torchq.workload import Operation, TableSpec

Work = tuple[tuple[Operation, ...], tuple[TableSpec, ...]]

_NOTHING: Work = ((), ())
HALF = FixedPoint(1, 0, signed=False)
"""The format of the constant 1/2."""


def quantizer_work(quantizer: Quantizer, source: Format | None, values: int) -> Work:
    """Operations and table reads of a quantizer, for so many values.

    Rounding, clipping and products with powers of two are wires, as everywhere. The hard sigmoid is an
    addition, the smooth one (``3 x / 16 + 1/2``) two, without the 1/2 for a tanh; a real one is a row of a
    table with an entry for each number of the source's format. A hard swish is an addition, the product with
    the bend, and the product with the constant ``1 / bound`` (as wide as the output) unless that is a shift.

    Args:
        quantizer: of an activation.
        source: the format of what it reads; nothing is known of floats.
        values: how many.

    Example:
        >>> from torchq.quantizers import make
        >>> accumulator = FixedPoint(16, 6)
        >>> quantizer_work(make("quantized_sigmoid(6)"), accumulator, 10)[0][0].count
        10
        >>> quantizer_work(make("quantized_tanh(6,use_real_tanh=True)"), accumulator, 10)[1][0].entries
        65536
        >>> quantizer_work(make("quantized_bits(6)"), accumulator, 10)
        ((), ())
    """
    x = fixed(source)
    rule = _RULES.get(quantizer.name)
    return _NOTHING if x is None or rule is None else rule(quantizer, x, values)


def _tanh(quantizer: Any, x: FixedPoint, values: int) -> Work:
    kind = "real" if quantizer.use_real_tanh else quantizer._config["sigmoid"]
    return _bounded("tanh", kind, quantizer, x, values, centred=True)


def _sigmoid(quantizer: Any, x: FixedPoint, values: int) -> Work:
    kind = "real" if quantizer.use_real_sigmoid else quantizer._config["sigmoid"]
    return _bounded("sigmoid", kind, quantizer, x, values, centred=False)


def _relu(quantizer: Any, x: FixedPoint, values: int) -> Work:
    if not quantizer.use_sigmoid:
        return _NOTHING
    return _bounded("sigmoid", quantizer._config["sigmoid"], quantizer, x, values, centred=True)


def _bounded(name: str, kind: str, quantizer: Any, x: FixedPoint, values: int, *, centred: bool) -> Work:
    """A sigmoid, or one that is stretched to [-1, 1]: that has no 1/2 to be added."""
    if kind == "real":
        rows = TableSpec(name, 1 << int(x.width), int(quantizer.format.width), values)
        return (), (rows,)
    terms = [x, *([x] if kind == "smooth" else []), *([] if centred else [HALF])]
    return ((added(values, *terms),), ()) if len(terms) > 1 else _NOTHING


def _hswish(quantizer: Any, x: FixedPoint, values: int) -> Work:
    bound = float(quantizer.relu_upper_bound)
    bend = _constant(bound, x)
    product = times(values, x, bend)
    found = [added(values, x, _constant(float(quantizer.relu_shift), x)), product]
    if bound != 2 ** (int(bound).bit_length() - 1):
        found.append(times(values, product.result, FixedPoint(int(quantizer.format.width), 0, signed=False)))
    return tuple(found), ()


def _constant(value: float, like: FixedPoint) -> FixedPoint:
    """The format of a number above 0 with as many bits below the point as another has."""
    integer = int(value).bit_length()
    return FixedPoint(integer + max(int(like.fraction), 0), integer, signed=False)


_RULES: dict[str, Callable[[Any, FixedPoint, int], Work]] = {
    "quantized_tanh": _tanh,
    "quantized_sigmoid": _sigmoid,
    "quantized_relu": _relu,
    "quantized_hswish": _hswish,
}
