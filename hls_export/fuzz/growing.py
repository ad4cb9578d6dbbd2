"""A network that grows layer by layer, as long as torch takes it and its tensors stay small."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from hls_export.fuzz.network import PLAIN, RECURRENT, Spec, layer_of, taken
from hls_export.fuzz.quantizers import Draw
from torchq.errors import TorchqError

MOST_VALUES = 96
"""A tensor larger than this is not drawn: the network should be small, and there should be many."""


class Growing(Draw):
    """A network that grows; its shapes are those that torch finds.

    Args:
        random: the generator.
        seed: kept in the description: the weights follow from it.
    """

    def __init__(self, random: np.random.Generator, seed: int) -> None:
        super().__init__(random)
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

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a sample of the last tensor."""
        return self.shapes[-1]

    def embed(self) -> None:
        """Begin with an embedding: whole numbers come in, rows go on."""
        slots = {"weight": self.weight(), **({"output": self.activation()} if self.chance(0.5) else {})}
        self.spec["shape"] = [self.upto(5)]
        self.spec["input"] = None
        self.shapes = [tuple(self.spec["shape"])]
        args = [self.upto(9, 2), self.upto(4)]
        if not self.add(op="QEmbedding", args=args, slots=slots):
            self.add(op="QEmbedding", args=args, slots={"weight": self.plain()})
        self.on_grid[:] = [False, True]  # nothing else may read the numbers of rows

    def add(self, **step: Any) -> bool:
        """One more step, if torch takes it and the tensor stays small."""
        before = [torch.zeros(2, *shape) for shape in self.shapes]
        if step["op"] == "QEmbedding":
            before[0] = before[0].long()
        try:
            layer = layer_of(step)
            with torch.no_grad():
                made = taken(step, None if layer is None else layer.eval(), before)
        except (TorchqError, RuntimeError, ValueError, TypeError):
            return False
        if not 1 <= made[0].numel() <= MOST_VALUES:
            return False
        self.spec = {**self.spec, "steps": [*self.spec["steps"], step]}
        self.shapes.append(tuple(made.shape[1:]))
        quantized = "output" in step.get("slots", {}) or step["op"] in RECURRENT
        self.on_grid.append(quantized or (step["op"] in PLAIN and self.on_grid[-1]))
        return True

    def grounded(self, op: str, slots: dict[str, Any], **fields: Any) -> None:
        """A layer with an output quantizer of its own, or with an activation behind it."""
        if self.chance(0.4):
            self.add(op=op, slots={**slots, "output": self.activation()}, **fields)
        elif self.add(op=op, slots=slots, **fields):
            if self.chance(0.2):
                self.add(op="relu")
            self.quantized()

    def quantized(self) -> None:
        """An activation, with a relu or without."""
        op = self.any(["QActivation", "QReLU"])
        self.add(op=op, slots={"output": self.activation(shape=self.shape)})

    def constants(self, *, bias: bool = True) -> dict[str, Any]:
        """Quantizers of weight and bias."""
        return {"weight": self.weight(), **({"bias": self.bias()} if bias else {})}

    def some(self, **texts: str) -> dict[str, str]:
        """Each of some slots now and then; else the layer's default stands."""
        return {slot: text for slot, text in texts.items() if self.chance(0.3)}
