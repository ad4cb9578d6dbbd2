"""From the description of a network, which is JSON-able, to the torch model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from torchq.formats import FixedPoint
from torchq.nn import LAYERS, QInput
from torchq.nn.base import QLayer

Spec = dict[str, Any]
"""``shape`` of a sample, ``input`` format, ``seed`` and ``scale`` of the weights, and ``steps``.

A step has an ``op``: the class of a layer (with ``args`` and ``slots``), or one of :data:`PLAIN` with
``args``. ``with`` is the number of an earlier tensor that a merging layer reads as well, or several of them.
Without an ``input`` format the input are whole numbers, which an embedding reads.
"""

RECURRENT = ("QRNN", "QLSTM", "QGRU")


class Network(nn.Module):
    """The steps of a description, one after the other; earlier tensors are there to be read again."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        whole = spec["input"] is None
        self.quantizer = nn.Identity() if whole else QInput(format_of(spec["input"]))
        self.steps = [dict(step) for step in spec["steps"]]
        self.layers = nn.ModuleDict(
            {f"s{i}": made for i, step in enumerate(self.steps) if (made := layer_of(step)) is not None}
        )

    def forward(self, x: Tensor) -> Tensor:
        """All steps."""
        made: list[Tensor] = [self.quantizer(x)]
        for i, step in enumerate(self.steps):
            layer = None if step["op"] in PLAIN else self.layers[f"s{i}"]
            made.append(taken(step, layer, made))
        return made[-1]


def taken(step: Mapping[str, Any], layer: Any, made: list[Tensor]) -> Tensor:
    """What a step makes.

    Args:
        step: of a description.
        layer: the module; None for one of :data:`PLAIN`.
        made: all tensors so far.
    """
    x = made[-1]
    if layer is None:
        return PLAIN[step["op"]](x, *step.get("args", ()))
    result: Tensor
    if "with" in step:
        others = step["with"] if isinstance(step["with"], list) else [step["with"]]
        result = layer(x, *(made[i] for i in others))
    elif step["op"] in RECURRENT:
        result = layer(x)[0]
    elif step["op"] == "QMultiheadAttention":
        result = layer(x, x, x, need_weights=False)[0]
    else:
        result = layer(x)
    return result


PLAIN: Mapping[str, Callable[..., Tensor]] = {
    "flatten": lambda x: x.flatten(1),
    "swap": lambda x: x.transpose(1, 2),
    "permute": lambda x, *axes: x.permute(0, *axes),
    "split": lambda x, first, second: x.reshape(-1, first, second),
    "part": lambda x, start, stop: x[:, start:stop],
    "one": lambda x, place: x[:, place],
    "contiguous": lambda x: x.contiguous(),
    "relu": torch.relu,
    "max_pool1d": torch.max_pool1d,
    "max_pool2d": torch.nn.functional.max_pool2d,
}
"""Steps without numbers of their own, by name."""


def build(spec: Spec) -> nn.Module:
    """The model of a description, in evaluation mode, with weights drawn from its seed.

    Raises:
        TorchqError: a quantizer that does not fit its place.

    Example:
        >>> spec = {"shape": [3], "input": "ap_fixed<4,2>", "seed": 0, "scale": 1.0}
        >>> spec["steps"] = [{"op": "relu"}]
        >>> build(spec)(torch.tensor([[0.3, -1.0, 9.0]])).tolist()
        [[0.25, 0.0, 1.0]]
    """
    torch.manual_seed(int(spec["seed"]))
    model = Network(spec)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.normal_()
            parameter.mul_(float(spec["scale"]))
        for name, buffer in model.named_buffers():
            if name.endswith("running_var"):
                buffer.uniform_(0.5, 2.0)
            elif name.endswith("running_mean"):
                buffer.normal_()
    return model.eval()


def layer_of(step: Mapping[str, Any]) -> QLayer | None:
    """The module of a step; None for one of :data:`PLAIN`."""
    if step["op"] in PLAIN:
        return None
    cls: Any = LAYERS.get(step["op"])
    slots = {f"{slot}_quantizer": format_of(text) for slot, text in step.get("slots", {}).items()}
    if step["op"] in ("QActivation", "QReLU"):
        return cls(slots["output_quantizer"])  # type: ignore[no-any-return]
    return cls(*step.get("args", ()), **step.get("options", {}), **slots)  # type: ignore[no-any-return]


def format_of(text: Any) -> Any:
    """A quantizer's text, a number format, or formats that differ by element.

    Example:
        >>> str(format_of("ap_fixed<4,2>")), format_of("ternary(alpha=1)")
        ('ap_fixed<4,2,TRN,WRAP>', 'ternary(alpha=1)')
    """
    if isinstance(text, Mapping):
        fields = (np.array(text[name]) for name in ("width", "integer", "signed"))
        width, integer, signed = fields
        return FixedPoint(width, integer, signed.astype(bool), text["rounding"], text["overflow"])
    return FixedPoint.parse(text) if text.startswith("ap_") else text
