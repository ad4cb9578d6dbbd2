"""``--layer NAME:OPTION=VALUE`` of the command line."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torchq.errors import BackendError


def layer_options(texts: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The options by layer; numbers are numbers.

    Raises:
        BackendError: a text that is none of the form.

    Example:
        >>> layer_options(["fc1:reuse_factor=4,strategy=resource", "fc2:reuse_factor=2"])
        {'fc1': {'reuse_factor': 4, 'strategy': 'resource'}, 'fc2': {'reuse_factor': 2}}
    """
    found: dict[str, dict[str, Any]] = {}
    for text in texts:
        name, colon, options = text.rpartition(":")
        pairs = [option.partition("=") for option in options.split(",")]
        if not colon or not name or any(not (key.strip() and value.strip()) for key, _, value in pairs):
            raise BackendError(f"--layer {text!r} is not understood", hint="write fc1:reuse_factor=4")
        for key, _, value in pairs:
            word = value.strip()
            found.setdefault(name, {})[key.strip()] = int(word) if word.lstrip("-").isdigit() else word
    return found
