"""Reads the recorded quantizers (``quantizers/README.md`` says what they are)."""

from __future__ import annotations

import functools
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


def folder() -> Path:
    """Our copy, or that of another folder of the same layout."""
    return Path(os.environ.get("TORCHQ_GOLDEN_DIR") or Path(__file__).parent) / "quantizers"


@dataclass(frozen=True)
class Case:
    """One recorded call."""

    id: str
    quantizer: str
    kwargs: dict[str, Any]
    x: Floats
    y: Floats | None
    weight: Floats | None
    gradient: Floats | None
    scale: Floats | None
    draws: tuple[Floats, ...]
    training: bool
    raises: str | None
    tag: str
    text: Any
    largest: Any
    values: list[float] | None


def cases(quantizer: str) -> list[Case]:
    """The recorded calls of one quantizer."""
    return [_case(entry) for entry in _index() if entry["quantizer"] == quantizer]


def names() -> list[str]:
    """The quantizers that were recorded."""
    return sorted({entry["quantizer"] for entry in _index()})


def total() -> int:
    """How many calls were recorded."""
    return len(_index())


@functools.cache
def _index() -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = json.loads((folder() / "index.json").read_text())
    return entries


@functools.cache
def _arrays(family: str) -> dict[str, Floats]:
    with np.load(folder() / f"{family}.npz") as file:
        return {name: file[name] for name in file.files}


def _case(entry: dict[str, Any]) -> Case:
    def array(name: str, place: Any) -> Floats | None:
        if place is None:
            return None
        offset, shape = place
        flat = _arrays(entry["family"])[name]
        return flat[offset : offset + int(np.prod(shape, dtype=int))].reshape(shape)

    x = array("x", entry["x"])
    assert x is not None
    kwargs = {name: _value(value) for name, value in entry["kwargs"].items()}
    if "sigmoid" in entry:  # QKeras has a global switch; here it is an argument
        kwargs["sigmoid"] = entry["sigmoid"]
    draws = tuple(array("rand", place) for place in entry.get("rand", ()))
    return Case(
        id=entry["id"],
        quantizer=entry["quantizer"],
        kwargs=kwargs,
        x=x,
        y=array("y", entry.get("y")),
        weight=array("w", entry.get("w")),
        gradient=array("g", entry.get("g")),
        scale=array("scale", entry.get("scale")),
        draws=tuple(d for d in draws if d is not None),
        training=entry.get("learning_phase") == 1,
        raises=entry.get("raises"),
        tag=entry.get("tag", ""),
        text=entry.get("str"),
        largest=entry.get("max"),
        values=entry.get("range"),
    )


def _value(value: Any) -> Any:
    if isinstance(value, dict):
        return np.array(value["__ndarray__"], np.float32)
    return value
