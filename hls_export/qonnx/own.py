"""Our own operators: ONNX functions, made of ONNX's operators, so that any runtime computes them.

``Table(x, values, step)`` looks ``x / step`` up. ``Fixed_<ROUNDING>_<OVERFLOW>(x, step, span, low)`` brings
``x`` to a fixed-point format that QONNX's ``Quant`` cannot state: other roundings, wrapping, one signed bit,
formats that differ by channel or element. ``step`` is the last bit, ``span`` the number of codes (a power of
two) and ``low`` the lowest code of two's complement; all are exact in any float type.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from torchq.errors import ExportError
from torchq.formats import FixedPoint, Overflow, Rounding

if TYPE_CHECKING:
    import onnx

DOMAIN = "torchq"
VERSION = 1
TABLE = "Table"
PREFIX = "Fixed_"

_HALF_UP = (("Floor", "{x}", "f"), ("Sub", "{x}", "f", "r"), ("Add", "r", "r", "rr"), ("Floor", "rr", "u"))
"""``floor(x) + floor(2 (x - floor(x)))``: ties go up; every step is exact, unlike adding one half."""


def fixed_name(grid: FixedPoint) -> str:
    """The operator that rounds to a format.

    Example:
        >>> fixed_name(FixedPoint(6, 2, rounding="RND", overflow="WRAP"))
        'Fixed_RND_WRAP'
    """
    return f"{PREFIX}{grid.rounding}_{grid.overflow}"


def fixed_inputs(grid: FixedPoint) -> tuple[Any, Any, Any]:
    """Step, span and low of a format.

    Example:
        >>> fixed_inputs(FixedPoint(6, 2))
        (array(0.0625), array(64.), array(-32.))
    """
    width, signed = np.asarray(grid.width), np.asarray(grid.signed)
    shape = grid.shape
    low = np.where(signed & (width > 0), -np.exp2(np.maximum(width - 1.0, 0)), 0.0)
    parts = (np.asarray(grid.lsb), np.exp2(width.astype(np.float64)), low)
    step, span, low = (np.array(np.broadcast_to(part, shape), dtype=np.float64) for part in parts)
    return step, span, low


def read_fixed(kind: str, step: Any, span: Any, low: Any) -> FixedPoint | None:
    """The format that an operator of ours rounds to; None if it is none of ours, or has no such inputs.

    Example:
        >>> str(read_fixed("Fixed_RND_WRAP", *fixed_inputs(FixedPoint(6, 2))))
        'ap_fixed<6,2,RND,WRAP>'
    """
    rounding, _, overflow = kind.removeprefix(PREFIX).rpartition("_")
    if overflow == "SYM":
        rounding, overflow = rounding.removesuffix("_SAT"), "SAT_SYM"
    if rounding not in list(Rounding) or overflow not in list(Overflow):
        return None
    step, span, low = np.broadcast_arrays(*(np.asarray(v, dtype=np.float64) for v in (step, span, low)))
    powers = [np.frexp(v) for v in (step, span)]
    if any((mantissa != 0.5).any() for mantissa, _ in powers):
        return None
    fraction, width = 1 - powers[0][1], powers[1][1] - 1
    signed = low < 0
    if (np.where(signed, -span / 2, 0) != low).any() or (width < 0).any():
        return None
    shape = () if step.size == 1 else step.shape
    width, integer, signed = (np.reshape(field, shape) for field in (width, width - fraction, signed))
    return FixedPoint(width, integer, signed, Rounding(rounding), Overflow(overflow))


def functions(names: Iterable[str], opset: int) -> list[onnx.FunctionProto]:
    """The definitions of our operators, by name."""
    return [_table(opset) if name == TABLE else _fixed(name, opset) for name in sorted(set(names))]


def check_functions(model: onnx.ModelProto) -> None:
    """Refuse a file whose functions have our names and do something else.

    Raises:
        ExportError: with the function's name.
    """
    for function in model.functions:
        if function.domain != DOMAIN:
            continue
        opset = next((entry.version for entry in function.opset_import if entry.domain == ""), 0)
        known = function.name == TABLE or function.name in NAMES
        expected = functions([function.name], opset)[0] if known else None
        if expected is None or expected.SerializeToString() != function.SerializeToString():
            raise ExportError(
                f"the file's function {DOMAIN}.{function.name} is not the one that torchq writes",
                hint="export the model again with this version",
            )


NAMES = tuple(f"{PREFIX}{rounding}_{overflow}" for rounding in Rounding for overflow in Overflow)
"""The operators that round."""


def _function(name: str, inputs: list[str], nodes: list[Any], opset: int, *attributes: str) -> Any:
    from onnx import helper

    opsets = [helper.make_opsetid("", opset)]
    return helper.make_function(DOMAIN, name, inputs, ["y"], nodes, opsets, list(attributes))


def _table(opset: int) -> Any:
    from onnx import TensorProto, helper

    nodes = [
        helper.make_node("Div", ["x", "step"], ["code"]),
        helper.make_node("Cast", ["code"], ["address"], to=TensorProto.INT64),
        helper.make_node("Gather", ["values", "address"], ["y"], axis=0),
    ]
    return _function(TABLE, ["x", "values", "step"], nodes, opset, "signed")


def _fixed(name: str, opset: int) -> Any:
    from onnx import helper

    rounding, _, overflow = name.removeprefix(PREFIX).partition("_SAT")
    wraps = rounding.endswith("_WRAP")
    rounding = rounding.removesuffix("_WRAP")
    nodes = [helper.make_node("Div", ["x", "step"], ["code"]), *_rounded(Rounding(rounding))]
    if wraps:
        nodes += [
            helper.make_node("Mod", ["whole", "span"], ["rest"], fmod=1),
            helper.make_node("Sub", ["rest", "low"], ["above"]),
            helper.make_node("Div", ["above", "span"], ["turns"]),
            helper.make_node("Floor", ["turns"], ["turn"]),
            helper.make_node("Mul", ["turn", "span"], ["back"]),
            helper.make_node("Sub", ["rest", "back"], ["limited"]),
        ]
    else:
        bottom = ["low"] if not overflow else ["low", "minus"]
        nodes += [
            helper.make_node("Div", ["span", "span"], ["one"]),
            helper.make_node("Sub", ["span", "one"], ["last"]),
            helper.make_node("Add", ["low", "last"], ["high"]),
            *([helper.make_node("Neg", ["high"], ["minus"])] if overflow else []),
            helper.make_node("Max", ["whole", *bottom], ["least"]),
            helper.make_node("Min", ["least", "high"], ["limited"]),
        ]
    nodes.append(helper.make_node("Mul", ["limited", "step"], ["y"]))
    return _function(name, ["x", "step", "span", "low"], nodes, opset)


def _rounded(rounding: Rounding) -> list[Any]:
    """Nodes from ``code`` to ``whole``; ties are found by remainders, and signs taken off where needed."""
    from onnx import helper

    def node(kind: str, *names: str) -> Any:
        return helper.make_node(kind, list(names[:-1]), [names[-1]])

    half_up = [node(kind, *(n.format(x="a") for n in names)) for kind, *names in _HALF_UP]
    match rounding:
        case Rounding.RND_CONV:
            return [node("Round", "code", "whole")]
        case Rounding.TRN:
            return [node("Floor", "code", "whole")]
        case Rounding.RND:
            return [node("Identity", "code", "a"), *half_up, node("Add", "f", "u", "whole")]
        case Rounding.RND_MIN_INF:
            return [
                node("Neg", "code", "a"),
                *half_up,
                node("Add", "f", "u", "negative"),
                node("Neg", "negative", "whole"),
            ]
    sign, size = node("Sign", "code", "sign"), node("Abs", "code", "size")
    back = node("Mul", "magnitude", "sign", "whole")
    match rounding:
        case Rounding.TRN_ZERO:
            return [sign, size, node("Floor", "size", "magnitude"), back]
        case Rounding.RND_INF:
            return [
                sign,
                size,
                node("Identity", "size", "a"),
                *half_up,
                node("Add", "f", "u", "magnitude"),
                back,
            ]
        case _:  # RND_ZERO: ties toward zero
            return [
                sign,
                size,
                node("Neg", "size", "a"),
                *half_up,
                node("Add", "f", "u", "negative"),
                node("Neg", "negative", "magnitude"),
                back,
            ]
