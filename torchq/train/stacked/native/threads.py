"""Parts of a call side by side: what C computes holds no lock of Python's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any


def shared(call: Callable[..., Any], parts: Sequence[Sequence[Any]]) -> list[Any]:
    """What a function says of each part, which are computed at once.

    Args:
        call: the function.
        parts: arguments.
    """
    if len(parts) == 1:
        return [call(*parts[0])]
    begun = [_pool(len(parts)).submit(call, *part) for part in parts]
    return [part.result() for part in begun]


@lru_cache(maxsize=1)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="torchq_kernels")
