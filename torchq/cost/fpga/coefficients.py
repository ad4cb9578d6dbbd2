"""The fitted coefficients and their measured errors, as the fit wrote them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any


@dataclass(frozen=True)
class Coefficients:
    """What ``benchmarks.fpga_fit`` found.

    Args:
        fitted: strategy -> name -> coefficient.
        errors: strategy -> ``"values"`` or ``"formats"`` -> figure -> ``median``, ``worst``, ``designs``: the
            relative errors on designs that the fit did not see.
        tools: name -> version of what measured.
    """

    fitted: Mapping[str, Mapping[str, float]]
    errors: Mapping[str, Mapping[str, Mapping[str, Mapping[str, float]]]]
    tools: Mapping[str, str]


@lru_cache(maxsize=1)
def coefficients() -> Coefficients:
    """Read them from the package."""
    text = resources.files("torchq.cost.fpga").joinpath("coefficients.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return Coefficients(found["fitted"], found["errors"], found["tools"])
