"""Changes to the ``torch.fx`` graph of a model: a call replaced, left out, or put in."""

from __future__ import annotations

from torch import fx, nn

from torchq.graph import Step, Symbolic
from torchq.nn import QLayer
from torchq.nn.registry import is_float_layer, replacement

Chain = tuple[list[Step], type[QLayer]]
"""Float modules that follow each other, and the quantized layer that stands for them."""


def functions_to_modules(result: fx.GraphModule, found: Symbolic) -> None:
    """Turn functions that a layer stands for (``F.relu``, ``+``) into modules of the call's name.

    A quantizer needs a place to live in, and a function call has none. A call of ``F.dropout`` becomes a
    module too, which follows the mode of the model.
    """
    for step in found.steps:
        if step.target is None and step.module is not None:
            put_before(result, step.node, step.name, step.module)


def put_before(result: fx.GraphModule, node: fx.Node, name: str, module: nn.Module) -> None:
    """Replace a call by one of ``module``, which becomes the submodule ``name`` and gets tensors alone."""
    sources: list[fx.Node] = []
    fx.map_arg((node.args, dict(node.kwargs)), sources.append)
    name = free_name(result, name)
    result.add_submodule(name, module)
    with result.graph.inserting_before(node):
        call = result.graph.call_module(name, tuple(sources))
    node.replace_all_uses_with(call)
    result.graph.erase_node(node)


def put_first(result: fx.GraphModule, name: str, module: nn.Module) -> None:
    """Send the model's input through ``module``, which becomes the submodule ``name``."""
    placeholder = next(node for node in result.graph.nodes if node.op == "placeholder")
    name = free_name(result, name)
    result.add_submodule(name, module)
    with result.graph.inserting_after(placeholder):
        call = result.graph.call_module(name, (placeholder,))
    placeholder.replace_all_uses_with(call, delete_user_cb=lambda user: user is not call)


def leave_out(result: fx.GraphModule, step: Step) -> None:
    """Take a call and its module away: who read its result reads its source."""
    (source,) = step.node.all_input_nodes
    step.node.replace_all_uses_with(source)
    step.node.graph.erase_node(step.node)
    result.delete_submodule(str(step.target))


def free_name(result: nn.Module, name: str) -> str:
    """``name``, or with ``_0`` behind it where something of the module has that name."""
    while hasattr(result, name):
        name += "_0"
    return name


def chains(found: Symbolic, *, alone: bool = False) -> list[Chain]:
    """The float modules, alone or several in a row, that quantized layers stand for; long rows first.

    A module that is called several times is there once, and alone; with ``alone`` all of them are.
    """
    matched: list[Chain] = []
    taken: set[str] = set()
    done: set[int] = set()
    for step in found.steps:
        if step.name in taken or id(step.module) in done:
            continue
        longest: Chain | None = None
        row: list[Step] = []
        following: Step | None = step
        while following is not None and is_float(following) and (not row or _alone(found, row, following)):
            row.append(following)
            layer = replacement([module_of(s) for s in row])
            longest = longest if layer is None else (list(row), layer)
            following = None if alone else _only_reader(found, following)
        if longest is not None:
            matched.append(longest)
            taken |= {s.name for s in longest[0]}
            done |= {id(s.module) for s in longest[0]}
    return matched


def _alone(found: Symbolic, row: list[Step], step: Step) -> bool:
    """Whether a step can be folded into those before it: it reads these alone, and all are called once."""
    return len(step.sources) == 1 and all(found.calls(s) == 1 for s in (*row, step))


def _only_reader(found: Symbolic, step: Step) -> Step | None:
    readers = found.readers(step.name)
    return readers[0] if len(readers) == 1 and step.name != found.output else None


def is_float(step: Step) -> bool:
    """Whether a step is a module that some quantized layer stands for."""
    return step.module is not None and is_float_layer(step.module)


def layer_of(step: Step) -> type[QLayer] | None:
    """The quantized layer that a step is, or that stands for its module alone."""
    if isinstance(step.module, QLayer):
        return type(step.module)
    return None if step.module is None else replacement([step.module])


def module_of(step: Step) -> nn.Module:
    """The module of a step that has one."""
    if step.module is None:
        raise TypeError(f"{step.name} is a function")
    return step.module


def class_names(found: Symbolic, step: Step) -> tuple[str, ...]:
    """The classes that a scheme can call a layer by: the quantized layer's, nearest first, and the float one.

    A layer with a batch norm behind it counts as the folded pair as well.
    """
    module = module_of(step)
    layers = [layer_of(step)]
    after = [reader.module for reader in found.readers(step.name) if reader.module is not None]
    if len(after) == 1:
        layers.insert(0, replacement([module, after[0]]))
    classes = [cls for layer in layers if layer is not None for cls in layer.__mro__]
    names = [cls.__name__ for cls in [*classes, type(module)] if issubclass(cls, nn.Module)]
    return tuple(dict.fromkeys(names))
