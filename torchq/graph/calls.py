"""``Call``: how a step is computed from the tensors that it reads; constants stay where they were written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, fx, nn
from torch.fx.node import map_aggregate

from torchq.errors import GraphError


@dataclass(frozen=True)
class Operand:
    """The place of the ``number``-th tensor among the arguments of a call."""

    number: int


@dataclass(frozen=True)
class BatchSize:
    """The place of the batch's length (``x.size(0)``) among the arguments of a call."""


@dataclass(frozen=True)
class Call:
    """A call with places for its tensors.

    Args:
        target: None for a module, the name of a tensor's method, or a function.
        args: with :class:`Operand` in the place of tensors.
        kwargs: likewise.

    Example:
        >>> import torch
        >>> call = Call("reshape", (Operand(0), BatchSize(), -1), {})
        >>> call(None, [torch.zeros(5, 2, 3)]).shape
        torch.Size([5, 6])
    """

    target: str | Callable[..., Any] | None
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]

    def __call__(self, module: nn.Module | None, tensors: Sequence[Any], batch: int | None = None) -> Any:
        """What the call makes of these tensors.

        Args:
            module: what is called if ``target`` is None.
            tensors: one for each :class:`Operand`.
            batch: the length of the batch; that of the first tensor's first axis if left out.
        """

        def put(argument: Any) -> Any:
            if isinstance(argument, Operand):
                return tensors[argument.number]
            if isinstance(argument, BatchSize):
                return len(tensors[0]) if batch is None else batch
            return argument

        args: Any = map_aggregate(self.args, put)
        kwargs: Any = map_aggregate(dict(self.kwargs), put)
        if self.target is None:
            if module is None:
                raise TypeError("a module's call needs the module")
            return module(*args, **kwargs)
        if isinstance(self.target, str):
            owner, *rest = args
            return getattr(owner, self.target)(*rest, **kwargs)
        return self.target(*args, **kwargs)


def read_call(
    node: fx.Node, sizes: Mapping[fx.Node, BatchSize], *, as_module: bool = False
) -> tuple[Call, list[fx.Node]]:
    """The call of a ``torch.fx`` node, and the nodes whose results it reads, in order.

    Args:
        node: a call.
        sizes: the nodes that are the batch's length.
        as_module: a function's call is taken for that of a module, which gets the tensors alone.
    """
    sources: list[fx.Node] = []

    def place(argument: fx.Node) -> Any:
        if argument in sizes:
            return sizes[argument]
        sources.append(argument)
        return Operand(len(sources) - 1)

    args: Any = fx.map_arg(node.args, place)
    kwargs: Any = fx.map_arg(dict(node.kwargs), place)
    if as_module:
        return Call(None, tuple(map(Operand, range(len(sources)))), {}), sources
    target: Any = None if node.op == "call_module" else node.target
    return Call(target, tuple(args), dict(kwargs)), sources


def batch_sizes(graph: fx.Graph) -> dict[fx.Node, BatchSize]:
    """The nodes of ``x.size(0)``, ``x.shape[0]`` and ``len``-like calls: the batch's length."""
    found: dict[fx.Node, BatchSize] = {}
    for node in graph.nodes:
        if node.op == "call_method" and node.target == "size" and _rest(node) == [0]:
            found[node] = BatchSize()
        elif node.op == "call_function" and getattr(node.target, "__name__", "") == "getitem":
            owner, index = node.args
            if isinstance(owner, fx.Node) and is_shape(owner) and index == 0:
                found[node] = BatchSize()
    return found


def is_shape(node: fx.Node) -> bool:
    """Whether a node is ``x.shape`` or ``x.size()``."""
    if node.op == "call_function" and node.target is getattr:
        return node.args[1] == "shape"
    return node.op == "call_method" and node.target == "size" and _rest(node) == []


def _rest(node: fx.Node) -> list[Any]:
    return [*node.args[1:], *node.kwargs.values()]


def check_samples_apart(name: str, two: Tensor, three: Tensor) -> int:
    """The axis of a tensor that counts the samples, from what batches of 2 and 3 samples gave.

    Raises:
        GraphError: there is no such axis.
    """
    shapes = tuple(two.shape), tuple(three.shape)
    if len(shapes[0]) == len(shapes[1]):
        differing = [i for i, (a, b) in enumerate(zip(*shapes, strict=True)) if a != b]
        if len(differing) == 1 and (shapes[0][differing[0]], shapes[1][differing[0]]) == (2, 3):
            return differing[0]
    raise GraphError(
        f"{name} mixes the samples of a batch: 2 samples give {list(shapes[0])}, 3 give {list(shapes[1])}",
        hint="keep the batch an axis of its own",
    )
