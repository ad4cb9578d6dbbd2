"""A searcher by its name, with options that are checked before anything is trained."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torchq.advice import advice
from torchq.errors import SearchError
from torchq.search.base import SEARCHERS, Searcher
from torchq.search.goal import Goal
from torchq.search.space import Point, Space

COMMON = ("space", "goal", "seed", "start")
"""What every searcher takes; all else is an option of its own."""

_SORTS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "bool": (lambda value: isinstance(value, bool), "true or false"),
    "int": (lambda value: type(value) is int, "a whole number"),
    "float": (lambda value: type(value) in (int, float), "a number"),
    "str": (lambda value: isinstance(value, str), "a text"),
    "Sequence[str]": (
        lambda value: isinstance(value, list | tuple) and all(isinstance(one, str) for one in value),
        "a list of texts",
    ),
}
"""How values of an annotated sort are told, and what that sort is called."""


def options_of(name: str) -> dict[str, inspect.Parameter]:
    """The options of a searcher's own.

    Raises:
        UnknownNameError: no such searcher.

    Example:
        >>> [*options_of("halving")]
        ['eta', 'rungs']
    """
    taken = inspect.signature(SEARCHERS.get(name)).parameters.values()
    return {one.name: one for one in taken if one.name not in COMMON}


def check_options(name: str, options: Mapping[str, Any]) -> None:
    """Whether a searcher has these options, and each is of the sort that it is annotated with.

    Raises:
        UnknownNameError: no such searcher.
        SearchError: an option that it does not have, or of another sort.
    """
    known = options_of(name)
    for option, value in options.items():
        if option not in known:
            raise SearchError(
                f"options: the searcher {name} has no {option!r}",
                hint=advice(option, known) if known else "it has no options; leave them out",
            )
        annotation = inspect.formatannotation(known[option].annotation).strip("'")
        sort = annotation.removesuffix(" | None")
        if sort in _SORTS and not (value is None and sort != annotation):
            right, called = _SORTS[sort]
            if not right(value):
                raise SearchError(f"options: {option} of the searcher {name} must be {called}, got {value!r}")


def searcher_of(
    name: str,
    space: Space,
    goal: Goal,
    *,
    seed: int = 0,
    start: Sequence[Point] = (),
    options: Mapping[str, Any] | None = None,
) -> Searcher:
    """A searcher by its name.

    Raises:
        UnknownNameError: no such searcher.
        SearchError: options that it does not take, or out of range.

    Example:
        >>> from torchq.search import Knob, MultiObjective
        >>> space = Space((Knob.units("fc1", [16, 32]),))
        >>> searcher_of("evolution", space, MultiObjective("bits"), options={"popullation": 3})
        Traceback (most recent call last):
        ...
        torchq.errors.SearchError: options: the searcher evolution has no 'popullation'; did you mean \
'population'? Known: initial, population, crossing
    """
    options = dict(options or {})
    check_options(name, options)
    return SEARCHERS.get(name)(space, goal, seed=seed, start=start, **options)
