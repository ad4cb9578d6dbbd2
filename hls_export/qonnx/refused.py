"""Operators that are refused for a reason, and what to do instead."""

from __future__ import annotations

from collections.abc import Mapping

_RECURRENT = (
    "{kind} keeps real numbers from step to step, which no quantizer has rounded; "
    "train it as torchq.nn.Q{kind}, or write its steps out with a Quant behind each"
)

REASONS: Mapping[str, str] = {
    "FloatQuant": "FloatQuant makes floating-point numbers of few bits; quantize to fixed point",
    "GRU": _RECURRENT,
    "GroupNormalization": "GroupNormalization divides by a root of real numbers; use batch norm",
    "InstanceNormalization": "InstanceNormalization divides by a root of real numbers; use batch norm",
    "LSTM": _RECURRENT,
    "LayerNormalization": (
        "LayerNormalization divides by a root of real numbers, which no quantizer has rounded; "
        "train it as torchq.nn.QLayerNorm"
    ),
    "LogSoftmax": "LogSoftmax keeps the order of its inputs: end the network in front of it",
    "LpNormalization": "LpNormalization divides by a root of real numbers, which no quantizer has rounded",
    "QuantLSTMCell": ("QuantLSTMCell leaves open how its steps are rounded; train it as torchq.nn.QLSTM"),
    "RNN": _RECURRENT,
    "Softmax": (
        "Softmax divides real exponentials, which no quantizer has rounded; end the network in front of it "
        "(the largest stays the largest), or train it as torchq.nn.QSoftmax"
    ),
}
"""By operator; ``{kind}`` is its name."""


def reasons(kinds: list[str]) -> str:
    """One line a kind of operator that has a reason."""
    return "".join(f"\n{REASONS[kind].format(kind=kind)}" for kind in sorted(set(kinds)) if kind in REASONS)
