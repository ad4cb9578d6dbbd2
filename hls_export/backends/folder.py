"""Project folders: written whole or not at all, marked as ours, and never over somebody else's."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torchq.errors import BackendError

MARKER = "hls_export.json"
LAYOUT = 2
"""The version of the marker's fields."""


@contextmanager
def new_folder(out: Path, digest: str) -> Iterator[Path]:
    """A folder beside ``out`` to write into, which takes its place when the block ends without an error.

    Args:
        out: where the project goes: nothing, an empty folder, or a project of ours of the same model.
        digest: of the model.

    Raises:
        BackendError: ``out`` is something else, or the disk is full.
    """
    check_target(out, digest)
    work: Path | None = None
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
        work.chmod(0o755)
        yield work
        _swap(work, out)
    except OSError as fault:
        raise BackendError(
            f"{out}: the project cannot be written ({_reason(fault)})",
            hint="free some space or choose another folder; nothing was left half-written",
        ) from fault
    finally:
        if work is not None and work.exists() and work != out:
            shutil.rmtree(work, ignore_errors=True)


def _reason(fault: OSError) -> str:
    """In a few words; copying a folder collects what went wrong with each file, and the first will do."""
    if isinstance(fault, shutil.Error) and fault.args and fault.args[0]:
        _, _, text = fault.args[0][0]
        return re.sub(r"^\[Errno \d+\] |: '.*$", "", str(text))
    return fault.strerror or str(fault)


def _swap(work: Path, out: Path) -> None:
    """Put ``work`` in the place of ``out``; on a failure ``out`` is what it was."""
    if not out.exists():
        work.rename(out)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{out.name}.old.", dir=out.parent))
    out.rename(old / out.name)
    try:
        work.rename(out)
    except OSError:
        (old / out.name).rename(out)
        raise
    finally:
        shutil.rmtree(old, ignore_errors=True)


def check_target(out: Path, digest: str) -> None:
    """Refuse to write over anything but a project of the same model.

    Raises:
        BackendError: a file, a folder of other things, or the project of another model.
    """
    if not out.exists():
        return
    if not out.is_dir():
        raise BackendError(f"{out} is a file", hint="choose another folder")
    if not any(out.iterdir()):
        return
    if not (out / MARKER).is_file():
        raise BackendError(
            f"{out} holds files that are no project of hls_export", hint="choose another folder"
        )
    if read_marker(out)["model"]["digest"] != digest:
        raise BackendError(
            f"{out} holds the project of another model", hint="choose another folder or remove it"
        )


def write_marker(folder: Path, facts: dict[str, Any]) -> None:
    """Write the marker, the last file of a project."""
    text = json.dumps({"layout": LAYOUT, **facts}, indent=1, sort_keys=True)
    (folder / MARKER).write_text(text + "\n", encoding="utf-8")


def read_marker(folder: Path) -> dict[str, Any]:
    """The marker of a project.

    Raises:
        BackendError: there is none, or it is damaged or of another version.
    """
    path = folder / MARKER
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        layout, _ = facts["layout"], facts["model"]["digest"]
    except FileNotFoundError:
        raise BackendError(f"{folder} is no project of hls_export (it has no {MARKER})") from None
    except (OSError, ValueError, KeyError, TypeError):
        raise BackendError(f"{path} is damaged", hint="write the project again") from None
    if layout != LAYOUT:
        raise BackendError(f"{folder} was written by another version of hls_export", hint="write it again")
    result: dict[str, Any] = facts
    return result
