"""``Beside``: modules that take seconds to import are imported while the first trials train."""

from __future__ import annotations

import gc
import os
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Beside:
    """Calls an importing function once: in a thread where that helps and harms nobody, or when waited for.

    A thread helps where there is a second core: training leaves Python's lock for the most part. Warnings
    belong to the whole process, so they cannot be silenced in a thread; where the warnings of other people's
    modules are shown or are errors, nothing is imported there. Whatever goes wrong in the thread goes wrong
    again, and is raised, when it is waited for.

    Args:
        load: imports; a second call must be harmless.

    Example:
        >>> import sys
        >>> colours = Beside(lambda: __import__("colorsys"))
        >>> colours.start()
        >>> colours.wait()
        >>> "colorsys" in sys.modules
        True
    """

    def __init__(self, load: Callable[[], object]) -> None:
        self._load = load
        self._thread: threading.Thread | None = None
        self._done = False

    @property
    def able(self) -> bool:
        """Whether a thread would help, and harm nobody."""
        return _cores() > 1 and _silent(DeprecationWarning)

    def start(self) -> None:
        """Begin where a thread helps, unless it is done or under way."""
        if self._thread is None and not self._done and self.able:
            self._thread = threading.Thread(target=self._try, name="import")
            self._thread.start()

    def wait(self) -> None:
        """Return when all is imported.

        Raises:
            Exception: whatever the imports raise.
        """
        if self._thread is not None:
            self._thread.join()
        with _uncollected():
            self._load()
        self._done = True

    def _try(self) -> None:
        try:
            with _uncollected():
                self._load()
            gc.collect()  # would come by itself, in the middle of somebody's work
        except Exception:  # noqa: S110 - wait() calls it again
            pass


def _cores() -> int:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _silent(category: type[Warning]) -> bool:
    """Whether a module's warning of this sort would be ignored: what the first filter that fits says."""
    for action, message, kind, module, line in warnings.filters:
        anywhere = message is None and module is None and not line
        if anywhere and issubclass(category, kind):
            return action == "ignore"
    return False


@contextmanager
def _uncollected() -> Iterator[None]:
    """No search for garbage: imports make little, and a quarter of their time would go into the search."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
