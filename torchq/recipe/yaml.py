"""YAML, read strictly, with the line of every value kept.

Four traps are closed here, each with its line number: ``1e-3`` is a number (YAML 1.1 reads text), ``on`` is
text (YAML 1.1 reads true), a repeated key is an error (most readers let the last one win), and an unquoted
``quantized_bits(4,0)`` or ``ap_fixed<6,1>`` inside ``[...]`` or ``{...}``, which YAML splits at the comma, is
an error that says to quote it. Tags, merge keys and documents that unfold without end are refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torchq.errors import RecipeError

Path = tuple[str | int, ...]

_INT = re.compile(r"^[-+]?[0-9]+$")
_FLOAT = re.compile(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$")
_WORDS: dict[str, Any] = {"true": True, "false": False, "null": None, "~": None, "": None}
_MOST_VALUES = 100_000

COMMAND_LINE = 0
"""The line of what does not stand in the file."""


@dataclass
class Located:
    """Plain Python values, and where each stood.

    Attributes:
        value: dicts, lists, texts, numbers, booleans and None.
        lines: line number (from 1) of each key path; the path of a mapping's entry is the line of its key.
        source: the name to show in messages.
    """

    value: Any
    source: str
    lines: dict[Path, int] = field(default_factory=dict)

    def where(self, path: Path) -> str:
        """``file:line`` of a path, or of the nearest path above it that stands in the file."""
        line = self.line(path)
        return f"{self.source}:{line}" if line != COMMAND_LINE else "command line"

    def line(self, path: Path) -> int:
        """The line of a path, or of the nearest path above it; ``COMMAND_LINE`` if it was laid over."""
        for end in range(len(path), -1, -1):
            if path[:end] in self.lines:
                return self.lines[path[:end]]
        return 1


def read_yaml(text: str, source: str) -> Located:
    r"""Read one YAML document.

    Raises:
        RecipeError: no YAML, or one of the traps; all repeated keys and split texts are shown at once.

    Example:
        >>> read_yaml("a: 1e-3\nb: on", "x.yaml").value
        {'a': 0.001, 'b': 'on'}
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    loader = YAML(typ="safe", pure=True)
    try:
        node = loader.compose(text)
    except MarkedYAMLError as fault:
        mark = fault.problem_mark or fault.context_mark
        line = mark.line + 1 if mark is not None else 1
        reason = " ".join(str(part) for part in (fault.context, fault.problem) if part)
        raise RecipeError(f"{source}:{line}: this is no YAML: {reason}") from None
    except YAMLError as fault:
        raise RecipeError(f"{source}: this is no YAML: {fault}") from None
    reader = _Reader(source)
    located = Located(reader.build(node, ()) if node is not None else None, source, reader.lines)
    if reader.faults:
        raise RecipeError("\n".join(reader.faults))
    return located


def scalar(text: str) -> Any:
    """The value of a plain (unquoted) scalar: a number, true, false, null, or the text itself.

    Example:
        >>> [scalar(t) for t in ("1e-3", "12", "on", "true", "null", "1_000")]
        [0.001, 12, 'on', True, None, '1_000']
    """
    if text.lower() in _WORDS and text in ("", "~", *(w for k in _WORDS for w in (k, k.title(), k.upper()))):
        return _WORDS[text.lower()]
    if _INT.match(text):
        return int(text)
    if _FLOAT.match(text):
        return float(text)
    if text.lower() in (".inf", "-.inf", "+.inf"):
        return -math.inf if text.startswith("-") else math.inf
    return text


class _Reader:
    """Turns ruamel's nodes into plain values and notes the lines."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.lines: dict[Path, int] = {}
        self.faults: list[str] = []
        self.count = 0

    def fault(self, node: Any, message: str) -> None:
        self.faults.append(f"{self.source}:{node.start_mark.line + 1}: {message}")

    def build(self, node: Any, path: Path) -> Any:
        self.count += 1
        if self.count > _MOST_VALUES:
            raise RecipeError(
                f"{self.source}: holds more than {_MOST_VALUES} values; anchors may repeat too much"
            )
        self.lines.setdefault(path, node.start_mark.line + 1)
        tag = str(node.tag)
        if tag.startswith("!") or "python" in tag:
            self.fault(node, f"the tag {tag} is not allowed; write plain values")
            return None
        if node.id == "scalar":
            return scalar(node.value) if node.style is None else node.value
        if node.id == "sequence":
            items = [self.build(item, (*path, i)) for i, item in enumerate(node.value)]
            if node.flow_style:
                self.check_split(node, items)
            return items
        return self.build_mapping(node, path)

    def build_mapping(self, node: Any, path: Path) -> dict[str, Any]:
        result: dict[str, Any] = {}
        first: dict[str, int] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if key_node.id != "scalar":
                self.fault(key_node, "a key must be a text")
                continue
            key = key_node.value
            where = ".".join(str(p) for p in (*path, key))
            if key == "<<":
                self.fault(key_node, "merge keys (<<) are not allowed; write the entries out")
            elif key in result:
                self.fault(key_node, f"{where}: this key stands on line {first[key]} already")
            else:
                first[key] = line
                result[key] = self.build(value_node, (*path, key))
                self.lines[(*path, key)] = line
        if node.flow_style:
            self.check_split(node, [*result, *result.values()])
        return result

    def check_split(self, node: Any, parts: list[Any]) -> None:
        for part in parts:
            if isinstance(part, str) and (_unbalanced(part, "(", ")") or _unbalanced(part, "<", ">")):
                self.fault(
                    node,
                    f"{part!r} looks like a part of a text that YAML split at a comma; "
                    'put the whole text in quotes, as in ["quantized_bits(4,0)"]',
                )
                return


def _unbalanced(text: str, opening: str, closing: str) -> bool:
    return text.count(opening) != text.count(closing)


def dump_yaml(value: Mapping[str, Any]) -> str:
    """Plain values as YAML text, keys in their order, texts quoted where they must be."""
    from io import StringIO

    from ruamel.yaml import YAML

    writer = YAML(typ="safe", pure=True)
    writer.default_flow_style = False
    writer.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    writer.width = 110
    stream = StringIO()
    writer.dump(dict(value), stream)
    return stream.getvalue()
