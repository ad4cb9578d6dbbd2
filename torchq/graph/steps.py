"""The steps of a traced model: every call must be one that torchq knows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import fx, nn

from torchq.errors import GraphError, TorchqError
from torchq.graph.calls import BatchSize, Call, batch_sizes, is_shape, read_call
from torchq.nn.registry import (
    Passive,
    function_of,
    is_known,
    passive_function,
    passive_module,
    supported,
)


@dataclass(frozen=True)
class Step:
    """One call in a model.

    Args:
        name: the module's name in the model, or the name that tracing gave to a function's call. A module
            that is called again has ``_1``, ``_2``, ... behind its name.
        sources: the names of the steps (or of the input) that it reads, in the order of its arguments.
        module: the module that is called, or that stands in for the function.
        passive: what it is if it has no quantizer: relu, dropout, ...
        node: the call in the ``torch.fx`` graph.
        call: how it is computed.
        target: the name of the module in the model; None for functions.
    """

    name: str
    sources: tuple[str, ...]
    module: nn.Module | None
    passive: Passive | None
    node: fx.Node
    call: Call
    target: str | None = None

    @property
    def source(self) -> str:
        """The first step that it reads."""
        return self.sources[0]

    def compute(self, module: nn.Module | None, values: Sequence[Any], batch: int) -> Any:
        """What it makes of the values that it reads.

        Args:
            module: its module, or a copy of it.
            values: one for each of :attr:`sources`.
            batch: the number of samples.
        """
        if module is None and self.passive is not None and not self.passive.moves:
            return self.passive.apply(values[0])
        return self.call(module, values, batch)


@dataclass(frozen=True)
class Symbolic:
    """A traced model: its steps in order, and the ``torch.fx`` graph that they were found in.

    Args:
        root: the model.
        graph: its calls.
        input: the name of its input.
        steps: the calls, each after those that it reads.
        output: the name of the step whose result the model returns.
        measured: the steps whose first axis the model takes for the number of samples (``x.size(0)``).
    """

    root: nn.Module
    graph: fx.Graph
    input: str
    steps: tuple[Step, ...]
    output: str
    measured: tuple[str, ...] = ()

    def readers(self, name: str) -> tuple[Step, ...]:
        """The steps that read what this step (or the input) writes."""
        return tuple(step for step in self.steps if name in step.sources)

    def step(self, name: str) -> Step | None:
        """The step of this name; None for the input."""
        return next((step for step in self.steps if step.name == name), None)

    def calls(self, step: Step) -> int:
        """How often the step's module is called."""
        return sum(other.module is step.module for other in self.steps)


def read_steps(root: nn.Module, graph: fx.Graph) -> Symbolic:
    """The steps of a ``torch.fx`` graph, checked.

    Raises:
        GraphError: not exactly one input and one output, or calls that are not supported; all are named.
    """
    title = type(root).__name__
    placeholders = [node for node in graph.nodes if node.op == "placeholder"]
    if len(placeholders) != 1:
        listed = ", ".join(str(node.target) for node in placeholders) or "none"
        raise GraphError(f"{title} must have exactly one input, got {len(placeholders)} ({listed})")
    (result,) = next(node for node in graph.nodes if node.op == "output").args
    if not isinstance(result, fx.Node):
        raise GraphError(f"{title} must return one tensor, got a {type(result).__name__}")
    names = _names(graph, placeholders[0])
    sizes = batch_sizes(graph)
    measured: list[str] = []
    problems: list[str] = []
    steps: list[Step] = []
    for node in graph.nodes:
        if node.op in ("placeholder", "output"):
            continue
        if node in sizes or (is_shape(node) and all(user in sizes for user in node.users)):
            measured += [names[source] for source in node.all_input_nodes if not is_shape(source)]
            continue
        made = _step(root, node, names, sizes)
        if isinstance(made, str):
            problems.append(made)
        else:
            steps.append(made)
    if problems:
        hint = f"supported: {supported()}" if any("not supported" in text for text in problems) else None
        raise GraphError("\n".join(problems), hint)
    return Symbolic(root, graph, names[placeholders[0]], tuple(steps), names[result], tuple(measured))


def _names(graph: fx.Graph, placeholder: fx.Node) -> dict[fx.Node, str]:
    """Modules keep their names; the input's name gives way where another call has it."""
    modules = {str(node.target) for node in graph.nodes if node.op == "call_module"}
    taken = set(modules)
    first: set[str] = set()
    names: dict[fx.Node, str] = {}
    for node in graph.nodes:
        if node is placeholder or node.op == "output":
            names[node] = str(node.target)
            continue
        name = str(node.target) if node.op == "call_module" else node.name
        if node.op == "call_module" and name not in first:
            first.add(name)
        else:
            name = _free(name, taken)
        taken.add(name)
        names[node] = name
    taken = {name for node, name in names.items() if node is not placeholder}
    while names[placeholder] in taken:
        names[placeholder] += "_0"
    return names


def _free(name: str, taken: set[str]) -> str:
    """``name`` itself, or with the first free number behind it."""
    number, free = 0, name
    while free in taken:
        number += 1
        free = f"{name}_{number}"
    return free


def _step(
    root: nn.Module, node: fx.Node, names: dict[fx.Node, str], sizes: dict[fx.Node, BatchSize]
) -> Step | str:
    """The step that a call is, or why it cannot stay in a model."""
    if node.op == "get_attr":
        return f"{node.target} is read by forward itself; only layers may have parameters"
    name, target = names[node], node.target
    module: nn.Module | None = None
    stands_in = False
    if node.op == "call_module":
        module = root.get_submodule(str(target))
        what, passive = type(module).__name__, passive_module(module)
        known = is_known(module)
    else:
        what = target if isinstance(target, str) else getattr(target, "__name__", str(target))
        passive = passive_function(target)
        known = passive is not None
    title = name if what == name else f"{name} ({what})"
    if (node.op == "call_method" and target == "size") or target is getattr:
        return f"{title} asks for a length that is not the batch's; write the number"
    factory = None if node.op == "call_module" else _factory(target, passive)
    if factory is not None:
        args, kwargs = constants(node)
        try:
            module = factory(*args, **kwargs)
        except (TypeError, TorchqError) as fault:
            return f"{title} is not supported with these arguments: {fault}"
        stands_in, known, passive = True, is_known(module), passive_module(module)
    if not known:
        return f"{title} is not supported"
    call, sources = read_call(node, sizes, as_module=stands_in)
    if not sources:
        return f"{title} must read a tensor"
    if passive is not None and len(sources) != 1:
        return f"{title} must read exactly one tensor, got {len(sources)}"
    read = tuple(names[source] for source in sources)
    return Step(name, read, module, passive, node, call, str(target) if node.op == "call_module" else None)


def _factory(target: Any, passive: Passive | None) -> Callable[..., nn.Module] | None:
    """What makes the module that stands in for a function."""
    if passive is not None:
        return passive.module
    function = function_of(target)
    return None if function is None else function.module


def constants(node: fx.Node) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of a call that hold no tensor."""
    args = tuple(a for a in node.args if not _holds_node(a))
    return args, {key: value for key, value in node.kwargs.items() if not _holds_node(value)}


def _holds_node(argument: Any) -> bool:
    found: list[fx.Node] = []
    fx.map_arg(argument, found.append)
    return bool(found)
