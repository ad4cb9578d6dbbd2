"""``dequantize``: back from a quantized model to a float one."""

from __future__ import annotations

import copy
from typing import TypeVar

from torch import nn

from torchq.errors import GraphError, TorchqError
from torchq.nn import QLayer

M = TypeVar("M", bound=nn.Module)


def dequantize(model: M) -> M:
    """A float copy of a quantized model: the same names, the float parameters, no quantizers.

    Every layer becomes the float layer that it stands for. A folded batch norm is multiplied into weight and
    bias with its running statistics, so that ``fc1`` is one float layer; quantizers alone become
    ``nn.Identity``. The copy computes what the model computes in evaluation without its quantizers. From a
    frozen model come the quantized weights, as floats.

    Args:
        model: a quantized model; it stays as it is.

    Raises:
        GraphError: layers that stand for no float layer; all are named.

    Example:
        >>> from torchq.nn import QLinear, QReLU
        >>> dequantize(nn.Sequential(QLinear(2, 1, weight_quantizer="ternary()"), QReLU()))
        Sequential(
          (0): Linear(in_features=2, out_features=1, bias=True)
          (1): ReLU()
        )
    """
    problems: list[str] = []
    result = _float(copy.deepcopy(model), "", {}, problems)
    if problems:
        raise GraphError("\n".join(problems))
    return result  # type: ignore[return-value]


def _float(module: nn.Module, name: str, done: dict[nn.Module, nn.Module], problems: list[str]) -> nn.Module:
    if module in done:
        return done[module]
    result = module
    if isinstance(module, QLayer):
        try:
            result = module.dequantized()
        except TorchqError as fault:
            problems.append(f"{name or 'the model'}: {fault.message}")
    else:
        for child_name, child in list(module.named_children()):
            path = f"{name}.{child_name}" if name else child_name
            setattr(result, child_name, _float(child, path, done, problems))
    done[module] = result
    return result
