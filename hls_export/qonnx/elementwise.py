"""Functions of single values by ONNX's names, in float64: what tables and constants are made with."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from hls_export.qonnx import operators

Values = npt.NDArray[Any]

_ERF = np.vectorize(math.erf, otypes=[np.float64])


def erf(x: Values) -> Values:
    """The error function."""
    return np.asarray(_ERF(x))


def gelu(x: Values, approximate: str = "none") -> Values:
    """``x`` times the normal distribution up to ``x``, or its tanh form."""
    if approximate == "tanh":
        return np.asarray(0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))))
    return np.asarray(0.5 * x * (1 + erf(x * math.sqrt(0.5))))


def _divided(a: Values, b: Values) -> Values:
    """Whole numbers are divided as in C; others exactly as float64 does."""
    if np.result_type(a, b).kind in "iu":
        return np.asarray(np.trunc(np.true_divide(a, b))).astype(np.int64)
    return np.asarray(np.true_divide(a, b))


def _least(*parts: Values) -> Values:
    made = parts[0]
    for part in parts[1:]:
        made = np.minimum(made, part)
    return np.asarray(made)


def _most(*parts: Values) -> Values:
    made = parts[0]
    for part in parts[1:]:
        made = np.maximum(made, part)
    return np.asarray(made)


def _clip(x: Values, low: Values | None = None, high: Values | None = None) -> Values:
    return np.asarray(np.minimum(x if low is None else np.maximum(x, low), np.inf if high is None else high))


def leaky(x: Values, alpha: Values | float) -> Values:
    """``x``, times the slope below zero."""
    return np.asarray(np.where(x < 0, x * alpha, x))


FUNCTIONS: Mapping[str, tuple[Callable[..., Any], Mapping[str, Any]]] = {
    "Abs": (np.abs, {}),
    "Add": (np.add, {}),
    "Ceil": (np.ceil, {}),
    "Clip": (_clip, {}),
    "Cos": (np.cos, {}),
    "Div": (_divided, {}),
    "Elu": (operators.elu, {"alpha": 1.0}),
    "Erf": (erf, {}),
    "Exp": (np.exp, {}),
    "Floor": (np.floor, {}),
    "Gelu": (gelu, {"approximate": "none"}),
    "HardSigmoid": (operators.hard_sigmoid, {"alpha": 0.2, "beta": 0.5}),
    "HardSwish": (operators.hard_swish, {}),
    "LeakyRelu": (leaky, {"alpha": 0.01}),
    "Log": (np.log, {}),
    "Max": (_most, {}),
    "Min": (_least, {}),
    "Mish": (lambda x: x * np.tanh(operators.softplus(x)), {}),
    "Mul": (np.multiply, {}),
    "Neg": (np.negative, {}),
    "PRelu": (leaky, {}),
    "Pow": (np.power, {}),
    "Reciprocal": (np.reciprocal, {}),
    "Relu": (lambda x: np.maximum(x, 0), {}),
    "Round": (np.rint, {}),
    "Sigmoid": (operators.sigmoid, {}),
    "Sign": (np.sign, {}),
    "Sin": (np.sin, {}),
    "Softplus": (operators.softplus, {}),
    "Softsign": (operators.softsign, {}),
    "Sqrt": (np.sqrt, {}),
    "Sub": (np.subtract, {}),
    "Tanh": (np.tanh, {}),
}
"""What each operator computes of its inputs, and the attributes that it takes, with their defaults."""


def computed(kind: str, attributes: Mapping[str, Any], parts: list[Values | None]) -> Values:
    """What an operator makes of values; its attributes are by name.

    Example:
        >>> computed("LeakyRelu", {"alpha": 0.5}, [np.array([-2.0, 3.0])]).tolist()
        [-1.0, 3.0]
        >>> computed("Div", {}, [np.array([7]), np.array([2])]).tolist()
        [3]
    """
    function, defaults = FUNCTIONS[kind]
    words = {name: type(value)(attributes.get(name, value)) for name, value in defaults.items()}
    with np.errstate(all="ignore"):
        return np.asarray(function(*parts, **words))
