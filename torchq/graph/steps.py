"""The steps of a traced model: every call must be one that torchq knows."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from torch import fx, nn

from torchq.errors import GraphError
from torchq.nn.registry import (
    Passive,
    is_float_layer,
    is_known,
    passive_function,
    passive_module,
    supported,
)


@dataclass(frozen=True)
class Step:
    """One call in a model.

    Args:
        name: the module's name in the model, or the name that tracing gave to a function's call.
        source: the name of the step (or of the input) that it reads.
        module: the module that is called, if it is one.
        passive: what it is if it has no quantizer: relu, dropout, ...
        node: the call in the ``torch.fx`` graph.
    """

    name: str
    source: str
    module: nn.Module | None
    passive: Passive | None
    node: fx.Node


@dataclass(frozen=True)
class Symbolic:
    """A traced model: its steps in order, and the ``torch.fx`` graph that they were found in.

    Args:
        root: the model.
        graph: its calls.
        input: the name of its input.
        steps: the calls, each after the one that it reads.
        output: the name of the step whose result the model returns.
    """

    root: nn.Module
    graph: fx.Graph
    input: str
    steps: tuple[Step, ...]
    output: str

    def readers(self, name: str) -> tuple[Step, ...]:
        """The steps that read what this step (or the input) writes."""
        return tuple(step for step in self.steps if step.source == name)

    def step(self, name: str) -> Step | None:
        """The step of this name; None for the input."""
        return next((step for step in self.steps if step.name == name), None)


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
    problems: list[str] = []
    steps: list[Step] = []
    for node in graph.nodes:
        if node.op not in ("placeholder", "output"):
            fault = _fault(root, node, names[node])
            problems += [fault] if fault else []
            steps += [] if fault else [_step(root, node, names)]
    problems += [*_repeated(steps), *_misplaced(steps, names[result])]
    if problems:
        hint = f"supported: {supported()}" if any("not supported" in text for text in problems) else None
        raise GraphError("\n".join(problems), hint)
    return Symbolic(root, graph, names[placeholders[0]], tuple(steps), names[result])


def _names(graph: fx.Graph, placeholder: fx.Node) -> dict[fx.Node, str]:
    """Modules keep their names; the input's name gives way where another call has it."""
    names: dict[fx.Node, str] = {}
    calls: Counter[str] = Counter()
    for node in graph.nodes:
        name = str(node.target) if node.op in ("call_module", "placeholder") else node.name
        if node.op == "call_module":
            calls[name] += 1
            name = name if calls[name] == 1 else f"{name}_{calls[name]}"
        names[node] = name
    taken = {name for node, name in names.items() if node is not placeholder}
    while names[placeholder] in taken:
        names[placeholder] += "_0"
    return names


def _step(root: nn.Module, node: fx.Node, names: dict[fx.Node, str]) -> Step:
    module = root.get_submodule(str(node.target)) if node.op == "call_module" else None
    passive = passive_function(node.target) if module is None else passive_module(module)
    (source,) = node.all_input_nodes
    return Step(names[node], names[source], module, passive, node)


def _fault(root: nn.Module, node: fx.Node, name: str) -> str | None:
    """Why a call cannot stay in a model, or None."""
    if node.op == "get_attr":
        return f"{node.target} is read by forward itself; only layers may have parameters"
    if node.op == "call_module":
        module = root.get_submodule(str(node.target))
        what, known = type(module).__name__, is_known(module)
    else:
        target = node.target
        what = target if isinstance(target, str) else getattr(target, "__name__", str(target))
        known = passive_function(target) is not None
    title = name if what == name else f"{name} ({what})"
    if not known:
        return f"{title} is not supported"
    if len(node.all_input_nodes) != 1:
        return f"{title} must read exactly one tensor, got {len(node.all_input_nodes)}"
    return None


def _repeated(steps: list[Step]) -> list[str]:
    """Modules that have numbers or a quantizer, or will have one, and are called more than once."""
    places: dict[int, list[Step]] = {}
    for step in steps:
        if step.module is not None and (step.passive is None or is_float_layer(step.module)):
            places.setdefault(id(step.module), []).append(step)
    return [
        f"{uses[0].name} is called {len(uses)} times; "
        f"give each place a {type(uses[0].module).__name__} of its own"
        for uses in places.values()
        if len(uses) > 1
    ]


def _misplaced(steps: list[Step], output: str) -> list[str]:
    """What may stand at the end only and does not."""
    return [
        f"{step.name} ({type(step.module).__name__}) may only be the last step of a model"
        for step in steps
        if step.passive is not None and step.passive.last_only and step.name != output
    ]
