"""The shape of every tensor in a model, found by computing one sample."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, fx, nn

from torchq.errors import GraphError
from torchq.graph.steps import Step, Symbolic
from torchq.nn import QLayer


def sample_shape(found: Symbolic, example: Tensor | tuple[int, ...] | None) -> tuple[int, ...]:
    """The shape of one sample that the model reads.

    Args:
        found: the traced model.
        example: a batch ``[n, ...]``, the shape of one sample, or None: the shape follows from the first
            linear layer then.

    Raises:
        GraphError: the example has no batch axis, or there is none and no linear layer tells.
    """
    if isinstance(example, Tensor):
        if example.ndim < 2:
            raise GraphError(
                f"the example must be a batch [n, ...], got a tensor of shape {tuple(example.shape)}",
                hint="add the batch axis with example.unsqueeze(0)",
            )
        return tuple(example.shape[1:])
    if example is not None:
        return tuple(int(length) for length in example)
    names = [found.input]
    for name in names:
        for step in found.readers(name):
            features = getattr(step.module, "in_features", None)
            if isinstance(features, int):
                return (features,)
            names.append(step.name)
    raise GraphError("the shape of the input does not follow from the model", hint="give an example")


def shapes(found: Symbolic, shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """The shape of one sample after every step.

    Args:
        found: the traced model; it stays as it is.
        shape: of one sample that the model reads.

    Returns:
        Shapes without the batch axis by step name, the input's included.

    Raises:
        GraphError: a step cannot read what the step before it writes.
    """
    values = {found.input: torch.zeros(1, *shape, dtype=_dtype(found.root), device=_device(found.root))}
    for step in found.steps:
        value = values[step.source]
        size = tuple(value.shape[1:])
        if isinstance(step.module, QLayer):
            refusal = step.module.refusal(size)
            if refusal is not None:
                raise GraphError(f"{step.name} {refusal} from {step.source}")
        try:
            with torch.no_grad():
                values[step.name] = _called(step, value)
        except (RuntimeError, ValueError, IndexError, TypeError) as fault:
            reason = str(fault).splitlines()[0]
            raise GraphError(
                f"{step.name} cannot read samples of shape {size} from {step.source}: {reason}"
            ) from fault
    return {name: tuple(value.shape[1:]) for name, value in values.items()}


def _called(step: Step, value: Tensor) -> Tensor:
    """What a step makes of a tensor, in evaluation mode, leaving the model as it is."""
    node = step.node
    (given,) = node.all_input_nodes

    def put(argument: Any) -> Any:
        return value.clone() if argument is given else argument

    args, kwargs = fx.map_arg(node.args, put), fx.map_arg(node.kwargs, put)
    result: Tensor
    if step.module is not None:
        result = copy.deepcopy(step.module).eval()(*args, **kwargs)
    elif node.op == "call_method":
        owner, *rest = args
        result = getattr(owner, str(node.target))(*rest, **kwargs)
    else:
        assert callable(node.target)  # noqa: S101 - told to the type checker
        result = node.target(*args, **kwargs)
    return result


def _dtype(model: nn.Module) -> torch.dtype:
    return next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)


def _device(model: nn.Module) -> torch.device:
    return next((p.device for p in model.parameters()), torch.device("cpu"))
