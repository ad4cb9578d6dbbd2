"""The layers: one class or one :class:`Passive` in one file, one registration.

Tracing and conversion look here and know no layer by name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from torchq.formats import Format
from torchq.nn.base import QLayer
from torchq.registry import Registry
from torchq.workload import Operation, TensorSpec

LAYERS: Registry[type[QLayer]] = Registry("layer")
"""The quantized layers by class name."""


@dataclass(frozen=True)
class Passive:
    """Something that computes without numbers of its own: relu, dropout, flatten, softmax.

    Args:
        kind: the kind of its graph node.
        apply: what it does in evaluation; one tensor to one tensor.
        format: the format of its output for that of its input.
        modules: the modules that do it.
        functions: the functions that do it, for instance ``torch.relu``.
        methods: the names of the tensor methods that do it.
        module: makes a module for a call of one of the functions or methods; conversion puts it there. It
            gets the call's arguments without the tensors.
        last_only: whether it may only stand at the end of a model.
        moves: whether it only moves values (reshape, transpose, slice). Calls keep their arguments then;
            ``apply`` and ``format`` are not asked, formats go where the values go.
        operations: what one of the modules computes for a sample of what it reads and writes; None for
            nothing that has a price.
    """

    kind: str
    apply: Callable[[Tensor], Tensor]
    format: Callable[[Format | None], Format | None]
    modules: tuple[type[nn.Module], ...] = ()
    functions: tuple[Callable[..., Any], ...] = ()
    methods: tuple[str, ...] = ()
    module: Callable[..., nn.Module] | None = None
    last_only: bool = False
    moves: bool = False
    operations: Callable[[nn.Module, TensorSpec, TensorSpec], tuple[Operation, ...]] | None = None


PASSIVES: Registry[Passive] = Registry("passive layer")
"""The layers without parameters and quantizers, by name."""


@dataclass(frozen=True)
class Function:
    """Functions and tensor methods that do what a float module does, which some layer stands for.

    Args:
        module: makes that module from the call's arguments without the tensors. It raises ``TypeError`` for
            arguments that it does not know.
        functions: for instance ``torch.add`` and ``operator.add``.
        methods: names of tensor methods.
    """

    module: Callable[..., nn.Module]
    functions: tuple[Callable[..., Any], ...] = ()
    methods: tuple[str, ...] = ()


CALLS: Registry[Function] = Registry("function")
"""Functions that are traced as if they were modules, by name."""


def replacement(modules: Sequence[nn.Module]) -> type[QLayer] | None:
    """The quantized layer for float modules that stand one after the other, if there is one."""
    types = tuple(type(module) for module in modules)
    return next((layer for _, layer in LAYERS.items() if types and layer.replaces == types), None)


def is_float_layer(module: nn.Module) -> bool:
    """Whether a module is one that some quantized layer stands for."""
    return any(type(module) in layer.replaces for _, layer in LAYERS.items())


def is_known(module: nn.Module) -> bool:
    """Whether a module is a quantized layer, one that such a layer stands for, or a passive one."""
    return isinstance(module, QLayer) or is_float_layer(module) or passive_module(module) is not None


def passive_module(module: nn.Module) -> Passive | None:
    """The passive layer that a module is."""
    return next((passive for _, passive in PASSIVES.items() if type(module) in passive.modules), None)


def passive_function(target: Callable[..., Any] | str) -> Passive | None:
    """The passive layer that a function, or the tensor method of this name, is."""
    for _, passive in PASSIVES.items():
        if target in (passive.methods if isinstance(target, str) else passive.functions):
            return passive
    return None


def function_of(target: Callable[..., Any] | str) -> Function | None:
    """What stands in for a function, or for the tensor method of this name."""
    for _, function in CALLS.items():
        if target in (function.methods if isinstance(target, str) else function.functions):
            return function
    return None


def supported() -> str:
    """The names of all modules that can be traced, for messages."""
    floats = {cls.__name__ for _, layer in LAYERS.items() for cls in layer.replaces}
    floats |= {cls.__name__ for _, passive in PASSIVES.items() for cls in passive.modules}
    return ", ".join([*LAYERS, *sorted(floats)])
