"""A technology node from a data file, so that another one needs no code."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import fields
from functools import lru_cache
from pathlib import Path
from typing import Any

from torchq.advice import advice
from torchq.cost.processes.base import Polynomial, Process
from torchq.errors import CostError

SUFFIX = ".toml"
_KEYS = tuple(field.name for field in fields(Process))
_LARGEST = 1 << 20


def read_process(path: str | Path) -> Process:
    """The process that a TOML file describes; its keys are the arguments of :class:`Process`.

    Args:
        path: the file, such as ``torchq/cost/processes/horowitz.toml``, which is one to begin with.

    Raises:
        CostError: the file cannot be read, is no TOML, or a key is missing, unknown or of the wrong kind.

    Example:
        >>> shipped = Path(__file__).with_name("horowitz.toml")
        >>> read_process(shipped).float_mul
        {16: 1.1, 32: 3.7}
    """
    path = Path(path)
    try:
        stand = path.stat()
    except OSError as fault:
        raise CostError(
            f"{path}: the process file cannot be read ({fault.strerror})",
            hint=f"give the path of a {SUFFIX} file, or the name of a process",
        ) from None
    return _read(path.resolve(), stand.st_mtime_ns, stand.st_size)


@lru_cache(maxsize=16)
def _read(path: Path, changed: int, size: int) -> Process:  # noqa: ARG001 - a changed file is another one
    if size > _LARGEST:
        raise CostError(f"{path}: {size} bytes are no table of energies")
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as fault:
        raise CostError(f"{path}: cannot be read as TOML ({fault})") from None
    for key in values:
        if key not in _KEYS:
            raise CostError(f"{path}: unknown key {key!r}", hint=advice(key, _KEYS))
    missing = [key for key in _KEYS if key not in values]
    if missing:
        raise CostError(f"{path}: {', '.join(missing)} missing", hint=f"a process has {', '.join(_KEYS)}")
    where = str(path)
    return Process(
        name=_text(where, "name", values),
        source=_text(where, "source", values),
        fixed_add=_polynomial(where, "fixed_add", values),
        fixed_mul=_polynomial(where, "fixed_mul", values),
        float_add=_by_width(where, "float_add", values),
        float_mul=_by_width(where, "float_mul", values),
        sram_word=_polynomial(where, "sram_word", values),
        word_bits=_word(where, values["word_bits"]),
        dram=_polynomial(where, "dram", values),
    )


def _text(where: str, key: str, values: Mapping[str, Any]) -> str:
    value = values[key]
    if not isinstance(value, str) or not value.strip():
        raise CostError(f"{where}: {key} must be a text, got {value!r}")
    return value


def _word(where: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise CostError(f"{where}: word_bits must be a whole number of at least 1, got {value!r}")
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _polynomial(where: str, key: str, values: Mapping[str, Any]) -> Polynomial:
    value = values[key]
    if not isinstance(value, list) or not value or not all(map(_is_number, value)):
        raise CostError(f"{where}: {key} must be a list of numbers, the highest power first, got {value!r}")
    return tuple(map(float, value))


def _by_width(where: str, key: str, values: Mapping[str, Any]) -> dict[int, float]:
    value = values[key]
    good = isinstance(value, dict) and all(
        width.isdecimal() and _is_number(energy) and energy >= 0 for width, energy in value.items()
    )
    if not good:
        raise CostError(f"{where}: {key} must give an energy by width, as in {{ 16 = 0.4 }}, got {value!r}")
    return {int(width): float(energy) for width, energy in value.items()}
