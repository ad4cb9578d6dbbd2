"""Quantizers as text: ``"quantized_bits(6,0,alpha=1.0)"``, read as a literal and never evaluated."""

from __future__ import annotations

import ast
import copy
import difflib
import inspect
from functools import cache
from typing import Any, cast

from torchq.errors import QuantizerError
from torchq.formats import Binary, FixedPoint, Float, Format, PowerOfTwo, Ternary
from torchq.quantizers.base import Quantizer
from torchq.quantizers.registry import get


def parse(text: str) -> Quantizer:
    """The quantizer that a text stands for.

    A text is a name, or a name with arguments in parentheses, by position (in QKeras's order) or by name:
    numbers, ``True``, ``False``, ``None``, quoted strings and lists of them. A number format such as
    ``ap_fixed<8,3,RND_CONV,SAT>`` stands for its :class:`fixed` quantizer.

    Args:
        text: such as ``"quantized_bits(6, 0, alpha=1)"``.

    Returns:
        The quantizer; ``str()`` of it is the canonical text.

    Raises:
        QuantizerError: the text is no such call, or the quantizer cannot have these arguments.
        UnknownNameError: no quantizer has this name.

    Example:
        >>> print(parse("quantized_bits(6, 0, alpha=1)"))
        quantized_bits(6,0,alpha=1.0)
        >>> parse("quantized_bits(4), alpha='auto'")
        Traceback (most recent call last):
        ...
        torchq.errors.QuantizerError: "quantized_bits(4), alpha='auto'": text after the closing parenthesis; \
write one quantizer, such as quantized_bits(6,0,alpha=1)
    """
    if not isinstance(text, str):
        raise QuantizerError(f"a quantizer is written as text, got {text!r}", hint=_EXAMPLE)
    stripped = text.strip()
    if stripped.startswith(("ap_fixed", "ap_ufixed")):
        return make(FixedPoint.parse(stripped))
    node = _node(text, stripped)
    if isinstance(node, ast.Name):
        return get(node.id)()
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        cls = get(node.func.id)
        positional = [_value(text, argument) for argument in node.args]
        return cls(**_bound(text, cls, positional, _keywords(text, node)))
    if not isinstance(node, ast.Call) and any(isinstance(part, ast.Call) for part in ast.walk(node)):
        raise _refused(text, "text after the closing parenthesis")
    raise _refused(text, "is no quantizer")


def make(spec: str | Quantizer | Format) -> Quantizer:
    """A new quantizer from a text, a number format or another quantizer (which is copied).

    Raises:
        QuantizerError: the text or format cannot be made into a quantizer.
        UnknownNameError: no quantizer has this name.

    Example:
        >>> print(make(FixedPoint(6, 1)))
        fixed(6,1)
    """
    if isinstance(spec, Quantizer):
        return copy.deepcopy(spec)
    if isinstance(spec, FixedPoint):
        return get("fixed").of(spec)  # type: ignore[attr-defined,no-any-return]
    if isinstance(spec, Ternary):
        return get("ternary")(alpha=spec.scale)
    if isinstance(spec, Binary):
        return get("binary")(use_01=spec.use_01, alpha=spec.scale)
    if isinstance(spec, Float | PowerOfTwo):
        raise QuantizerError(f"no quantizer is made from the format {spec} alone", hint="name one, as text")
    return parse(spec)


_EXAMPLE = "write one quantizer, such as quantized_bits(6,0,alpha=1)"


def _node(text: str, stripped: str) -> ast.expr:
    try:
        return ast.parse(stripped, mode="eval").body
    except SyntaxError as wrong:
        if _starts_with_call(stripped):
            raise _refused(text, "text after the closing parenthesis") from None
        raise _refused(text, f"is no quantizer ({wrong.msg})") from None
    except (ValueError, RecursionError, MemoryError):
        raise _refused(text, "is no quantizer") from None


def _starts_with_call(stripped: str) -> bool:
    for end, letter in enumerate(stripped[:-1], start=1):
        if letter == ")":
            try:
                return isinstance(ast.parse(stripped[:end], mode="eval").body, ast.Call)
            except SyntaxError:
                continue
    return False


def _refused(text: str, why: str) -> QuantizerError:
    joint = " " if why.startswith("is ") else ": "
    return QuantizerError(f"{text!r}{joint}{why}", hint=_EXAMPLE)


def _keywords(text: str, call: ast.Call) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for keyword in call.keywords:
        if keyword.arg is None:
            raise _refused(text, "** is not read")
        found[keyword.arg] = _value(text, keyword.value)
    return found


def _value(text: str, node: ast.expr) -> Any:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float | str | None):
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        number = _value(text, node.operand)
        if isinstance(number, int | float) and not isinstance(number, bool):
            return -number if isinstance(node.op, ast.USub) else number
    if isinstance(node, ast.List | ast.Tuple):
        return [_value(text, element) for element in node.elts]
    written = ast.unparse(node)
    if isinstance(node, ast.Call):
        raise _refused(text, f"{written} is a nested call, which is not read")
    if isinstance(node, ast.Name):
        raise QuantizerError(f"{text!r}: {written} is no value", hint=f"write {written!r} if it is a string")
    raise QuantizerError(
        f"{text!r}: {written} is no value",
        hint="write numbers, True, False, None, quoted strings or lists of them",
    )


@cache
def _parameters(cls: Any) -> tuple[inspect.Parameter, ...]:
    """What a quantizer may be told; looking it up takes longer than making the quantizer."""
    return tuple(p for p in inspect.signature(cls).parameters.values() if p.kind is not p.VAR_KEYWORD)


def _bound(text: str, cls: type[Quantizer], positional: list[Any], keyword: dict[str, Any]) -> dict[str, Any]:
    """All arguments by name."""
    known = _parameters(cast("Any", cls))
    ordered = [p.name for p in known if p.kind is not p.KEYWORD_ONLY]
    if len(positional) > len(ordered):
        raise QuantizerError(
            f"{text!r}: {cls.name} takes at most {len(ordered)} arguments by position, got {len(positional)}"
        )
    bound = dict(zip(ordered, positional, strict=False))
    names = [p.name for p in known]
    for name, value in keyword.items():
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            advice = f"did you mean {near[0]!r}? " if near else ""
            raise QuantizerError(
                f"{text!r}: {cls.name} has no argument {name!r}",
                hint=f"{advice}Known: {', '.join(names) or 'none'}",
            )
        if name in bound:
            raise QuantizerError(f"{text!r}: {name} is given twice")
        bound[name] = value
    return bound
