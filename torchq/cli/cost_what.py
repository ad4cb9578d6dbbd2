"""What ``torchq cost`` is asked about: a run, a recipe, a function of the user's, or an ONNX file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torchq.advice import advice
from torchq.errors import CostError, RecipeError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from torchq.workload import Workload

MOST_VALUES = 2**24
"""A sample larger than this is a slip of the pen."""


@dataclass(frozen=True)
class Options:
    """What can be said beside the name.

    Args:
        shape: of one sample, as text.
        trial: the number of a trial of a run.
        float_as: the bits of what no quantizer of an ONNX file made.
    """

    shape: str | None = None
    trial: int | None = None
    float_as: int | None = None


@dataclass(frozen=True, eq=False)
class Network:
    """One network to be priced.

    Args:
        name: what it is called in tables.
        model: a quantized model, or the workloads of its layers.
        example: what to trace a model with.
        settings: of targets, where the recipe says them for this network alone.
        floats: whether its numbers are floats, of which estimates for hardware say nothing.
    """

    name: str
    model: nn.Module | Sequence[Workload]
    example: Tensor | tuple[int, ...] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    floats: bool = False


@dataclass(frozen=True, eq=False)
class Subject:
    """What was asked about.

    Args:
        what: as it was written.
        main: the network whose layers are shown.
        beside: networks that it is compared with.
        settings: of targets, where the recipe says them.
        notes: what to know of the figures.
    """

    what: str
    main: Network
    beside: tuple[Network, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def find(what: str, options: Options) -> Subject:
    """The networks that a text names.

    Raises:
        TorchqError: nothing has this name, or it cannot be read, or an option has no meaning for it.
    """
    path = Path(what)
    if path.is_dir():
        from torchq.cli.cost_run import of_run

        _without(what, shape=options.shape, float_as=options.float_as)
        return of_run(what, options.trial)
    _without(what, trial=options.trial)
    if path.suffix.lower() == ".onnx":
        _without(what, shape=options.shape)
        return _of_onnx(what, options.float_as)
    _without(what, float_as=options.float_as)
    if ":" in what and not path.exists():
        from torchq.cli.cost_factory import made_by

        shape = None if options.shape is None else read_shape(options.shape)
        return Subject(what, Network(what, made_by(what), shape))
    if path.suffix == ".py":
        raise CostError(f"{what}: name what returns the model, as in {path.stem}:function")
    _without(what, shape=options.shape)
    return _of_recipe(what)


def read_shape(text: str) -> tuple[int, ...]:
    """The shape of one sample.

    Raises:
        CostError: no sizes, or absurd ones.

    Example:
        >>> read_shape("3,32,32"), read_shape("16")
        ((3, 32, 32), (16,))
    """
    parts = [part.strip() for part in text.replace("x", ",").split(",") if part.strip()]
    if not parts or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise CostError(f"--shape: {text!r} is no shape of a sample", hint="as in --shape 3,32,32")
    shape = tuple(int(part) for part in parts)
    if math.prod(shape) > MOST_VALUES:
        raise CostError(f"--shape: a sample of {math.prod(shape):,} values is larger than any network reads")
    return shape


_OPTIONS = {"shape": "--shape", "trial": "--trial", "float_as": "--float-as"}
_MEANING = {
    "shape": "a function that returns a model",
    "trial": "a run directory",
    "float_as": "an ONNX file",
}


def _without(what: str, **given: Any) -> None:
    for name, value in given.items():
        if value is not None:
            raise CostError(f"{what}: {_OPTIONS[name]} has a meaning for {_MEANING[name]} only")


def _of_onnx(what: str, float_as: int | None) -> Subject:
    import hls_export

    work = hls_export.read_work(what, float_as=float_as)
    return Subject(what, Network(what, work.workloads), notes=work.notes)


def _of_recipe(what: str) -> Subject:
    from torchq.cli.cost_run import of_recipe
    from torchq.recipe.load import find as find_recipe
    from torchq.recipe.load import shipped

    try:
        find_recipe(what)
    except RecipeError:
        raise CostError(
            f"{what}: there is no run directory, recipe or ONNX file of this name",
            hint=f"a function that returns a model is named package.module:function; "
            f"{advice(what, shipped(), title='Recipes')}",
        ) from None
    return of_recipe(what)
