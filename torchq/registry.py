"""One small registry: a name is bound once, and a misspelt one is answered with the nearest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from torchq.advice import advice
from torchq.errors import UnknownNameError

T = TypeVar("T")


class Registry(Generic[T]):
    """Names bound to things of one sort.

    Args:
        sort: what the things are called in messages, such as ``"quantizer"``.

    Example:
        >>> backends: Registry[int] = Registry("backend")
        >>> backends.add("hls4ml", 1); backends.add("rtl", 2)
        >>> backends.get("hls4m")
        Traceback (most recent call last):
        ...
        torchq.errors.UnknownNameError: unknown backend 'hls4m'; did you mean 'hls4ml'? Known: hls4ml, rtl
    """

    def __init__(self, sort: str) -> None:
        self.sort = sort
        self._things: dict[str, T] = {}

    def add(self, name: str, thing: T) -> None:
        """Bind ``name`` to ``thing``; a name can be bound once only."""
        if name in self._things:
            raise ValueError(f"{self.sort} {name!r} is registered already")
        self._things = dict(sorted([*self._things.items(), (name, thing)], key=lambda entry: entry[0]))

    def register(self, name: str) -> Callable[[T], T]:
        """Decorate a class or function to bind it to ``name``."""

        def bind(thing: T) -> T:
            self.add(name, thing)
            return thing

        return bind

    def get(self, name: str) -> T:
        """The thing bound to ``name``.

        Raises:
            UnknownNameError: no such name; the message proposes the nearest one.
        """
        try:
            return self._things[name]
        except KeyError:
            raise UnknownNameError(f"unknown {self.sort} {name!r}", hint=advice(name, self)) from None

    def __contains__(self, name: object) -> bool:
        return name in self._things

    def __iter__(self) -> Iterator[str]:
        return iter(self._things)

    def __len__(self) -> int:
        return len(self._things)

    def items(self) -> Iterator[tuple[str, T]]:
        """Names and things, sorted by name."""
        yield from self._things.items()
