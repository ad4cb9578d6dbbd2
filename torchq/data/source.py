"""``Source``: where a data set is to be read from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torchq.data.download import TIMEOUT_S, Progress
from torchq.data.openml import URL

KINDS = ("embedded", "openml", "file")


@dataclass(frozen=True)
class Source:
    """Where to read from.

    Attributes:
        kind: one of :data:`KINDS`.
        path: the user's file, for ``file``.
        label: name of the column of classes in it, if it is not ``class``, ``y`` or ``label``.
        cache: folder for fetched data; by default ``$TORCHQ_CACHE`` or ``~/.cache/torchq``.
        url: address of the OpenML server.
        timeout_s: seconds without an answer after which to give up.
        progress: called with bytes done and bytes in all while a file comes.
    """

    kind: str = "embedded"
    path: Path | None = None
    label: str | None = None
    cache: Path | None = None
    url: str = URL
    timeout_s: float = TIMEOUT_S
    progress: Progress | None = None
