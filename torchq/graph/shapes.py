"""The shape of every tensor in a model, found by computing a few samples."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from torchq.errors import GraphError
from torchq.graph.calls import check_samples_apart
from torchq.graph.moves import Indices, origins
from torchq.graph.steps import Step, Symbolic
from torchq.nn import QLayer
from torchq.nn.registry import passive_module

Sized = dict[str, "Size"]


@dataclass(frozen=True)
class Size:
    """What is known of the value that leaves a step.

    Args:
        shape: of one sample, without the batch axis; that of the first tensor if it is a tuple.
        axis: the axis of the whole tensor that counts the samples.
        is_tuple: whether it is a tuple of tensors.
        indices: where its values come from, if the step only moves them.
    """

    shape: tuple[int, ...]
    axis: int = 0
    is_tuple: bool = False
    indices: Indices | None = None


def sample_shape(found: Symbolic, example: Tensor | tuple[int, ...] | None) -> tuple[int, ...]:
    """The shape of one sample that the model reads.

    Args:
        found: the traced model.
        example: a batch ``[n, ...]``, the shape of one sample, or None: the shape follows from the first
            linear layer then, if nothing before it changes shapes.

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
            if _keeps_flat(step):
                names.append(step.name)
    raise GraphError("the shape of the input does not follow from the model", hint="give an example")


def _keeps_flat(step: Step) -> bool:
    if isinstance(step.module, QLayer):
        return not step.module.needs_grid
    if step.passive is not None and step.passive.moves:
        return isinstance(step.module, nn.Flatten) or step.node.target in (torch.flatten, "flatten")
    return step.passive is not None or isinstance(step.module, nn.BatchNorm1d)


def shapes(found: Symbolic, shape: tuple[int, ...]) -> Sized:
    """The shape of one sample after every step, and where the batch axis is.

    Args:
        found: the traced model; it stays as it is.
        shape: of one sample that the model reads.

    Returns:
        Sizes by step name, the input's included.

    Raises:
        GraphError: a step cannot read what the step before it writes, or mixes samples.
    """
    dtype = torch.long if reads_integers(found) else _dtype(found.root)
    device = _device(found.root)
    values: dict[str, tuple[Any, Any]] = {
        found.input: (
            torch.zeros(2, *shape, dtype=dtype, device=device),
            torch.zeros(3, *shape, dtype=dtype, device=device),
        )
    }
    sizes: Sized = {found.input: Size(shape)}
    for step in found.steps:
        _check_refusal(step, sizes)
        module = copy.deepcopy(step.module).eval() if step.module else None
        two, three = (
            _called(step, module, [values[source][i] for source in step.sources], batch, sizes)
            for i, batch in enumerate((2, 3))
        )
        values[step.name] = two, three
        first = (_first(two), _first(three))
        axis = check_samples_apart(step.name, *first)
        size = tuple(length for i, length in enumerate(first[0].shape) if i != axis)
        sizes[step.name] = Size(size, axis, not isinstance(two, Tensor), _indices(step, sizes, axis))
        if axis != 0 and step.name in found.measured:
            raise GraphError(f"forward takes axis 0 of {step.name} for the batch, which is axis {axis}")
    return sizes


def reads_integers(found: Symbolic) -> bool:
    """Whether the model's input is whole numbers: an embedding reads it."""
    names = [found.input]
    for name in names:
        for step in found.readers(name):
            module = step.module
            if isinstance(module, nn.Embedding) or getattr(module, "reads_integers", False):
                return True
            if step.passive is not None and (step.passive.moves or step.passive.kind == "identity"):
                names.append(step.name)
    return False


def _check_refusal(step: Step, sizes: Mapping[str, Size]) -> None:
    module = step.module
    if not isinstance(module, QLayer):
        return
    read = [sizes[source] for source in step.sources]
    refusal = module.refusal_of([size.shape for size in read])
    if refusal is not None:
        raise GraphError(f"{step.name} {refusal} from {' and '.join(step.sources)}")
    for source, size in zip(step.sources, read, strict=True):
        if size.axis != module.batch_axis and len(size.shape) > 0:
            raise GraphError(
                f"{step.name} reads the samples along axis {module.batch_axis}, "
                f"and {source} has them along axis {size.axis}"
            )


def _called(
    step: Step, module: nn.Module | None, values: list[Any], batch: int, sizes: Mapping[str, Size]
) -> Any:
    """What a step makes of its tensors with a copy of its module."""
    given = [value.clone() if isinstance(value, Tensor) else value for value in values]
    try:
        with torch.no_grad():
            return step.compute(module, given, batch)
    except (RuntimeError, ValueError, IndexError, TypeError) as fault:
        reason = str(fault).splitlines()[0]
        read = " and ".join(f"{sizes[source].shape} from {source}" for source in step.sources)
        raise GraphError(f"{step.name} cannot read samples of shape {read}: {reason}") from fault


def _indices(step: Step, sizes: Mapping[str, Size], axis: int) -> Indices | None:
    passive = step.passive if step.module is None else passive_module(step.module)
    source = sizes[step.source]
    if passive is None or not passive.moves or source.is_tuple:
        return None
    return origins(step.name, lambda x: step.compute(step.module, [x], 3), source.shape, source.axis, axis)


def _first(value: Any) -> Tensor:
    """The tensor, or the first one of a (nested) tuple."""
    while not isinstance(value, Tensor):
        value = value[0]
    return value


def _dtype(model: nn.Module) -> torch.dtype:
    return next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)


def _device(model: nn.Module) -> torch.device:
    return next((p.device for p in model.parameters()), torch.device("cpu"))
