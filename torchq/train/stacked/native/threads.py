"""Parts of a call side by side: what C computes holds no lock of Python's."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
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
    try:
        return [part.result() for part in begun]
    finally:
        wait(begun)  # after Ctrl-C too: they still write into memory that would be given back


@lru_cache(maxsize=1)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="torchq_kernels")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # threads do not come along
