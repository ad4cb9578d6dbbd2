"""Nodes that read several inputs and make new values of them."""

from __future__ import annotations

from dataclasses import dataclass

from hls_export.nodes.base import Node


@dataclass(frozen=True, eq=False, kw_only=True)
class Add(Node):
    """The exact sum of two or more inputs, whose shapes have as many axes and broadcast."""

    kind = "add"


@dataclass(frozen=True, eq=False, kw_only=True)
class Sub(Node):
    """The first input minus the second, exactly; shapes broadcast as in :class:`Add`."""

    kind = "sub"


@dataclass(frozen=True, eq=False, kw_only=True)
class Mul(Node):
    """The exact product of two inputs, value by value; shapes broadcast as in :class:`Add`."""

    kind = "mul"


@dataclass(frozen=True, eq=False, kw_only=True)
class Matmul(Node):
    """The exact matrix product of two inputs along their last two axes: ``[..., m, k] @ [..., k, n]``.

    The axes in front have equal lengths in both.
    """

    kind = "matmul"
