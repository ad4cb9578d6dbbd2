"""The end of a message about a misspelt name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def advice(name: str, known: Iterable[str], title: str = "Known") -> str:
    """The nearest known name, if one is near, and all of them.

    Args:
        name: what was written.
        known: what could have been written.
        title: what stands before the list.

    Example:
        >>> advice("fc11", ["fc1", "relu1"], title="Layers")
        "did you mean 'fc1'? Layers: fc1, relu1"
        >>> advice("conv", ["fc1", "relu1"])
        'Known: fc1, relu1'
    """
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1)
    listed = f"{title}: {', '.join(names)}"
    return f"did you mean {near[0]!r}? {listed}" if near else listed
