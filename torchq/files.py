"""Files written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from torchq.errors import RunDirError


def atomic_write_bytes(path: str | Path, data: bytes) -> Path:
    """Write ``data`` beside ``path``, flush it to the disk, and rename it into place.

    A reader sees the old file or the new one, never a part; a full disk leaves the old file as it was.

    Raises:
        RunDirError: the folder cannot be written, or the disk is full.
    """
    path = Path(path)
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except OSError as fault:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        raise RunDirError(
            f"{path}: cannot be written ({fault.strerror or fault})",
            hint="free some space or choose another folder; nothing was left half-written",
        ) from fault
    return path


def atomic_write_text(path: str | Path, text: str) -> Path:
    """As :func:`atomic_write_bytes`, for UTF-8 text."""
    return atomic_write_bytes(path, text.encode("utf-8"))
