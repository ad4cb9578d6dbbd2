"""Drawing networks: layers, quantizers, formats, widths, roundings, overflow, branches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from hls_export.fuzz.network import PLAIN, Spec, build
from torchq.errors import TorchqError
from torchq.formats import Overflow, Rounding

MOST_VALUES = 96
"""A tensor larger than this is not drawn: the network should be small, and there should be many."""

_TABLES = (
    "QTanh",
    "QSigmoid",
    "QSiLU",
    "QGELU",
    "QELU",
    "QSoftplus",
    "QHardsigmoid",
    "QHardswish",
    "QHardtanh",
)


def draw(seed: int, *, most_steps: int = 5) -> Spec:
    """A random network.

    Args:
        seed: the same one gives the same network.
        most_steps: layers with numbers of their own, at most.

    Example:
        >>> draw(5) == draw(5), draw(5) == draw(6)
        (True, False)
    """
    return _Draw(np.random.default_rng([seed, 20]), seed).network(most_steps)


class _Draw:
    """A network that grows; its shapes are those that torch finds."""

    def __init__(self, random: np.random.Generator, seed: int) -> None:
        self.random = random
        shape = self.any(
            [[self.upto(8)], [self.upto(4), self.upto(6)], [self.upto(3), self.upto(5), self.upto(5)]]
        )
        self.spec: Spec = {
            "shape": shape,
            "input": self.activation(shape=shape, plain=True),
            "seed": seed,
            "scale": float(self.any([0.5, 1.0, 2.0, 4.0])),
            "steps": [],
        }
        self.shapes: list[tuple[int, ...]] = [tuple(shape)]
        self.on_grid = [True]

    # ------------------------------------------------------------------ choices

    def any(self, options: Any) -> Any:
        return options[int(self.random.integers(len(options)))]

    def upto(self, most: int, least: int = 1) -> int:
        return int(self.random.integers(least, most + 1))

    def chance(self, share: float) -> bool:
        return bool(self.random.random() < share)

    # ------------------------------------------------------------------ formats

    def activation(self, *, shape: Any = None, most: int = 9, plain: bool = False) -> Any:
        """A format of any width, rounding and overflow; now and then one that differs by element."""
        width = self.upto(most) if self.chance(0.95) else self.upto(16)
        signed = self.chance(0.6)
        if shape is not None and self.chance(0.08):
            fields = {
                "width": self.random.integers(0, most, size=shape).tolist(),
                "integer": self.random.integers(-1, 4, size=shape).tolist(),
                "signed": self.random.integers(0, 2, size=shape).tolist(),
            }
            return {
                **fields,
                "rounding": str(self.any(list(Rounding))),
                "overflow": str(self.any(list(Overflow))),
            }
        if self.chance(0.04):
            return self.any(["binary(alpha=1)", "binary(alpha=0.5)"])
        if not plain and self.chance(0.06):
            return (
                f"quantized_relu({self.upto(6, 2)},{self.upto(3, 0)},negative_slope={self.any([0.5, 0.125])})"
            )
        if self.chance(0.35):
            return f"quantized_bits({max(width, 2)},{self.upto(4, 0)},{self.upto(1, 0)},alpha=1)"
        if self.chance(0.2):
            return f"quantized_relu({width},{self.upto(4, 0)})"
        rounding, overflow = self.any(list(Rounding)), self.any(list(Overflow))
        return f"ap_{'' if signed else 'u'}fixed<{width},{self.upto(5, -1)},{rounding},{overflow}>"

    def plain(self, most: int = 8) -> str:
        """A format that keeps most of what comes."""
        return f"quantized_bits({self.upto(most, 3)},{self.upto(3, 1)},alpha=1)"

    def weight(self) -> str:
        kinds = [
            f"quantized_bits({self.upto(8, 2)},{self.upto(2, 0)},{self.upto(1, 0)},alpha=1)",
            f"quantized_bits({self.upto(5, 2)},0,1,alpha='auto_po2')",
            "ternary(alpha=1)",
            "binary(alpha=1)",
            f"quantized_po2({self.upto(4, 2)},2)",
            f"ap_fixed<{self.upto(16)},{self.upto(2, 0)},{self.any(list(Rounding))},SAT>",
            f"ap_fixed<{self.upto(8)},{self.upto(2, 0)},RND,{self.any(list(Overflow))}>",
        ]
        return str(self.any(kinds))

    def bias(self) -> str:
        return f"quantized_bits({self.upto(9, 2)},{self.upto(3, 0)},alpha=1)"

    # ------------------------------------------------------------------ growing

    @property
    def shape(self) -> tuple[int, ...]:
        return self.shapes[-1]

    def add(self, **step: Any) -> bool:
        """One more step, if torch takes it and the tensor stays small."""
        trial = {**self.spec, "steps": [*self.spec["steps"], step]}
        try:
            with torch.no_grad():
                made = build(trial)(torch.zeros(2, *self.spec["shape"]))
        except (TorchqError, RuntimeError, ValueError, TypeError):
            return False
        if not 1 <= made[0].numel() <= MOST_VALUES:
            return False
        self.spec = trial
        self.shapes.append(tuple(made.shape[1:]))
        made_by_quantizer = "output" in step.get("slots", {}) or step["op"] in ("QRNN", "QLSTM", "QGRU")
        self.on_grid.append(made_by_quantizer or (step["op"] in PLAIN and self.on_grid[-1]))
        return True

    def network(self, most_steps: int) -> Spec:
        for _ in range(self.upto(most_steps)):
            rank = len(self.shape)
            self.any([*_ANYWHERE, *_OF_RANK[rank] * 2])(self)
            if self.chance(0.3):
                self.any(_MOVES)(self)
        if self.chance(0.4):
            self.head()
        return self.spec

    def head(self) -> None:
        """A last layer whose exact sums leave."""
        args = [self.shape[-1], self.upto(4)]
        slots = {"weight": self.weight(), "bias": self.bias()}
        self.add(op="QLinear", args=args, slots=slots)

    def grounded(self, op: str, slots: dict[str, Any], **fields: Any) -> None:
        """A layer with an output quantizer of its own, or with an activation behind it."""
        if self.chance(0.4):
            self.add(op=op, slots={**slots, "output": self.activation()}, **fields)
        elif self.add(op=op, slots=slots, **fields):
            if self.chance(0.2):
                self.add(op="relu")
            self.add(
                op=self.any(["QActivation", "QReLU"]), slots={"output": self.activation(shape=self.shape)}
            )

    # ------------------------------------------------------------------ layers

    def linear(self) -> None:
        bias = self.chance(0.7)
        slots = {"weight": self.weight(), **({"bias": self.bias()} if bias else {})}
        self.grounded("QLinear", slots, args=[self.shape[-1], self.upto(6), bias])

    def conv(self) -> None:
        channels, axes = self.shape[0], len(self.shape) - 1
        groups = self.any([g for g in range(1, channels + 1) if channels % g == 0])
        bias = self.chance(0.7)
        padding: Any = self.any([0, 1, [self.upto(2, 0) for _ in range(axes)]])
        stride: Any = self.any([1, 1, 2, [self.upto(2) for _ in range(axes)]])
        dilation = self.any([1, 1, 2])
        mode = self.any(["zeros"] * 4 + ["reflect", "replicate", "circular"])
        kernel = [self.upto(3) for _ in range(axes)]
        out = groups * self.upto(3)
        args = [channels, out, kernel, stride, padding, dilation, groups, bias, mode]
        slots = {"weight": self.weight(), **({"bias": self.bias()} if bias else {})}
        self.grounded(f"QConv{axes}d", slots, args=args)

    def conv_transpose(self) -> None:
        channels, axes = self.shape[0], len(self.shape) - 1
        groups = self.any([g for g in range(1, channels + 1) if channels % g == 0])
        bias, stride = self.chance(0.7), self.upto(2)
        more, padding = self.upto(stride - 1, 0) if stride > 1 else 0, self.upto(1, 0)
        args = [
            channels,
            groups * self.upto(2),
            self.upto(3),
            stride,
            padding,
            more,
            groups,
            bias,
            self.upto(2),
        ]
        slots = {"weight": self.weight(), **({"bias": self.bias()} if bias else {})}
        self.grounded(f"QConvTranspose{axes}d", slots, args=args)

    def batch_norm(self) -> None:
        axes = max(len(self.shape) - 1, 1)
        slots = {"inverse": self.plain(), "mean": self.plain(), "shift": self.plain()}
        self.grounded(f"QBatchNorm{axes}d", slots, args=[self.shape[0]])

    def scale_shift(self) -> None:
        channels = self.any([1, self.shape[0]])
        self.grounded("QScaleShift", {"weight": self.weight(), "bias": self.bias()}, args=[channels])

    def max_pool(self) -> None:
        axes = len(self.shape) - 1
        kernel = self.upto(3)
        self.add(
            op=f"max_pool{axes}d",
            args=[kernel, self.upto(2), self.upto(kernel // 2, 0), self.upto(2), self.chance(0.3)],
        )

    def average_pool(self) -> None:
        axes = len(self.shape) - 1
        average = {"average": f"quantized_bits({self.upto(9, 4)},0,alpha=1)"}
        kind = self.any(["window", "adaptive", "global"])
        if kind == "window":
            kernel = self.upto(3)
            self.grounded(f"QAvgPool{axes}d", average, args=[kernel, self.upto(2), self.upto(kernel // 2, 0)])
        elif kind == "adaptive":
            sizes = [self.any([k for k in range(1, n + 1) if n % k == 0]) for n in self.shape[1:]]
            self.grounded(f"QAdaptiveAvgPool{axes}d", average, args=[sizes if axes > 1 else sizes[0]])
        else:
            self.grounded(f"QGlobalAvgPool{axes}d", average)

    def table(self) -> None:
        address = f"fixed({self.upto(8, 2)},{self.upto(4, 0)},signed={self.chance(0.7)})"
        slots = {"input": address, "output": self.activation()}
        self.add(op=self.any(_TABLES), slots=slots)

    def softmax(self) -> None:
        slots = {"output": "quantized_relu(8,0)", "input": f"fixed({self.upto(8, 3)},{self.upto(4, 1)})"}
        self.add(op="QSoftmax", args=[self.upto(len(self.shape))], slots=slots)

    def merge(self) -> None:
        places = [i for i, s in enumerate(self.shapes) if s == self.shape and self.on_grid[i]]
        fields = {"with": self.any(places)}
        op = self.any(["QAdd", "QMul", "QConcat"])
        args = [self.upto(len(self.shape))] if op == "QConcat" else []
        self.grounded(op, {}, args=args, **fields)

    def layer_norm(self) -> None:
        slots = {"weight": self.plain(), "bias": self.plain(), "output": self.plain()}
        inner = {"input": "fixed(8,4)", "mean": "fixed(8,4)"} if self.chance(0.5) else {}
        self.add(op="QLayerNorm", args=[self.shape[-1]], slots={**slots, **inner})

    def recurrent(self) -> None:
        op = self.any(["QRNN", "QLSTM", "QGRU"])
        bias = self.chance(0.7)
        options = {"batch_first": True, "bidirectional": self.chance(0.3), "bias": bias}
        if op == "QRNN":
            options["nonlinearity"] = self.any(["tanh", "relu"])
        slots = {
            "weight": self.plain(6),
            "recurrent": self.plain(6),
            **({"bias": self.plain()} if bias else {}),
        }
        slots["preactivation"] = f"fixed({self.upto(8, 4)},3)"
        if self.chance(0.5):
            slots["output"] = self.activation()
        self.add(op=op, args=[self.shape[1], self.upto(3)], options=options, slots=slots)

    def attention(self) -> None:
        heads = self.any([h for h in range(1, self.shape[1] + 1) if self.shape[1] % h == 0])
        bias = self.chance(0.7)
        slots = {"weight": self.plain(6), "out_weight": self.plain(6), "output": self.plain()}
        slots |= {"bias": self.plain(6), "out_bias": self.plain(6)} if bias else {}
        slots |= {"scores": f"fixed({self.upto(8, 4)},4)"}
        options = {"batch_first": True, "bias": bias}
        self.add(op="QMultiheadAttention", args=[self.shape[1], heads], options=options, slots=slots)

    def quantize(self) -> None:
        self.add(op=self.any(["QActivation", "QReLU"]), slots={"output": self.activation(shape=self.shape)})

    # ------------------------------------------------------------------ moves

    def flatten(self) -> None:
        if len(self.shape) > 1:
            self.add(op="flatten")

    def permute(self) -> None:
        axes = [int(axis) + 1 for axis in self.random.permutation(len(self.shape))]
        self.add(op="permute", args=axes)

    def split(self) -> None:
        if len(self.shape) == 1:
            size = self.shape[0]
            first = self.any([n for n in range(1, size + 1) if size % n == 0])
            self.add(op="split", args=[first, size // first])

    def part(self) -> None:
        start = self.upto(self.shape[0], 1) - 1
        self.add(op="part", args=[start, self.upto(self.shape[0], start + 1)])

    def one(self) -> None:
        if len(self.shape) > 1:
            self.add(op="one", args=[self.upto(self.shape[0]) - 1])


_Step = Callable[[_Draw], None]
_ANYWHERE: list[_Step] = [
    _Draw.linear,
    _Draw.scale_shift,
    _Draw.table,
    _Draw.softmax,
    _Draw.merge,
    _Draw.merge,
    _Draw.layer_norm,
    _Draw.quantize,
]
_OF_RANK: dict[int, list[_Step]] = {
    1: [_Draw.linear, _Draw.batch_norm, _Draw.merge],
    2: [
        _Draw.conv,
        _Draw.conv_transpose,
        _Draw.batch_norm,
        _Draw.max_pool,
        _Draw.average_pool,
        _Draw.recurrent,
        _Draw.attention,
    ],
    3: [_Draw.conv, _Draw.conv_transpose, _Draw.batch_norm, _Draw.max_pool, _Draw.average_pool],
}
_MOVES: list[_Step] = [_Draw.flatten, _Draw.permute, _Draw.split, _Draw.part, _Draw.one]
