"""``Journal``: what was asked and what came out as JSON lines, each on the disk before the search goes on."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from torchq.errors import RunDirError, SearchError
from torchq.search.trial import Asked, Trial, versions

KIND = "torchq search journal"
LAYOUT = 2
READABLE = (1, 2)
"""Layouts that are read; the first one had no lines of what was asked."""


class Journal:
    """A file of JSON lines: first what is searched, then a line for every ask and for every trial that ended.

    What is appended is written with one ``write``, flushed to the disk, and only then counts: a process that
    is killed at any moment loses at most the trials it was in, and knows which they were. A last line that
    was cut short is taken away, with a note. One process at a time may hold a journal.

    Args:
        path: the file; it is made if it does not exist.
        identity: plain data that says what is searched (space, goal, data, ...); a journal of another
            identity is refused.

    Raises:
        SearchError: a journal of another search, a line that is no record, or a journal that another process
            holds.
        RunDirError: the file cannot be written.

    Attributes:
        events: what the file holds, in the order of the file.
        trials: the trials among them.
        notes: sentences about what was mended on opening.
    """

    def __init__(self, path: str | Path, identity: Mapping[str, Any]) -> None:
        self.path = Path(path)
        self.notes: list[str] = []
        self.events: list[Asked | Trial] = []
        self.trials: list[Trial] = []
        self._handle = -1
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._handle = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
            _lock(self._handle, self.path)
            self._load(_header(identity))
        except OSError as fault:
            self.close()
            raise _unwritable(self.path, fault) from fault
        except BaseException:
            self.close()
            raise

    def append(self, *events: Asked | Trial) -> None:
        """Write trials, or what was asked, with one flush; when this returns, all of it is on the disk.

        Raises:
            RunDirError: the disk is full or gone; the file is left as it was before.
        """
        if not events:
            return
        try:
            before = os.fstat(self._handle).st_size
            try:
                self._write("".join(_line(event.to_dict()) for event in events).encode())
            except OSError:
                os.ftruncate(self._handle, before)
                raise
        except OSError as fault:
            raise _unwritable(self.path, fault) from fault
        for event in events:
            self._keep(event)

    def _keep(self, event: Asked | Trial) -> None:
        self.events.append(event)
        if isinstance(event, Trial):
            self.trials.append(event)

    def close(self) -> None:
        """Let go of the file; another process may open it."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write(self, data: bytes) -> None:
        written = os.write(self._handle, data)
        if written != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(self._handle)

    def _load(self, header: Mapping[str, Any]) -> None:
        data = self.path.read_bytes()
        first = _line(header).encode()
        if first.startswith(data) and data != first:  # new, or killed while the head was written
            os.ftruncate(self._handle, 0)
            self._write(first)
            _sync_folder(self.path.parent)
            return
        found, events, sound = _parse(self.path, data)
        _compare(self.path, found, header)
        if sound < len(data):
            os.ftruncate(self._handle, sound)
            os.fsync(self._handle)
            self.notes.append(f"{self.path}: the last line was cut short and taken away")
        elif not data.endswith(b"\n"):
            self._write(b"\n")
        if found.get("versions") != header["versions"]:
            self.notes.append(f"{self.path}: was begun with {_said(found.get('versions', {}))}")
        for event in events:
            self._keep(event)


def read_journal(path: str | Path) -> tuple[dict[str, Any], tuple[Trial, ...]]:
    """The identity and the trials of a journal, without holding or mending it.

    Raises:
        SearchError: no such file, or a line that is no record.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as fault:
        raise SearchError(f"{path}: cannot be read ({fault.strerror or fault})") from fault
    header, events, _ = _parse(path, data)
    return dict(header["identity"]), tuple(event for event in events if isinstance(event, Trial))


def _header(identity: Mapping[str, Any]) -> dict[str, Any]:
    plain = json.loads(json.dumps(identity, sort_keys=True, allow_nan=False))
    text = json.dumps(plain, sort_keys=True)
    return {
        "kind": KIND,
        "layout": LAYOUT,
        "fingerprint": hashlib.sha256(text.encode()).hexdigest(),
        "identity": plain,
        "versions": dict(versions()),
    }


def _line(record: Mapping[str, Any]) -> str:
    return json.dumps(record, sort_keys=True, default=_plain) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{value!r} has no place in a journal")


def _parse(path: Path, data: bytes) -> tuple[dict[str, Any], list[Asked | Trial], int]:
    """Header, events, and how many bytes are sound: fewer than there are if the last line was cut short."""
    header: dict[str, Any] | None = None
    events: list[Asked | Trial] = []
    seen: dict[int, int] = {}
    sound = 0
    for number, line in enumerate(data.splitlines(keepends=True), 1):
        try:
            record = json.loads(line.rstrip(b"\n"))
            if header is None:
                header = _checked_header(record)
            elif "asked" in record:
                events.append(Asked.from_dict(record))
            else:
                trial = Trial.from_dict(record)
                if trial.number in seen:
                    raise ValueError(f"trial {trial.number} stands on line {seen[trial.number]} already")
                seen[trial.number] = number
                events.append(trial)
        except (ValueError, TypeError, AttributeError) as fault:
            if header is not None and not line.endswith(b"\n"):
                break
            what = "not the head of a journal" if header is None else "not a trial"
            raise SearchError(
                f"{path}:{number}: {what} ({fault})",
                hint="restore the file from a copy, or move it away to search from the start",
            ) from fault
        sound += len(line)
    if header is None:
        raise SearchError(f"{path}: is empty", hint="move it away and start the search again")
    return header, events, sound


def _checked_header(record: Any) -> dict[str, Any]:
    if not isinstance(record, dict) or record.get("kind") != KIND:
        raise ValueError(f"no {KIND}")
    if record.get("layout") not in READABLE:
        raise ValueError(f"layout {record.get('layout')!r} is not known, up to {LAYOUT} are")
    if not isinstance(record.get("identity"), dict):
        raise ValueError("it says nothing about what is searched")
    return record


def _compare(path: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    if found.get("fingerprint") == wanted["fingerprint"]:
        return
    there, here = found["identity"], wanted["identity"]
    other = sorted(key for key in there.keys() | here.keys() if there.get(key) != here.get(key))
    raise SearchError(
        f"{path}: belongs to another search (other: {', '.join(other)})",
        hint="choose another folder, or move the file away to search from the start",
    )


def _said(found: Mapping[str, str]) -> str:
    now = versions()
    other = sorted(name for name in found.keys() | now.keys() if found.get(name) != now.get(name))
    return ", ".join(f"{name} {found.get(name, 'none')} (now {now.get(name, 'none')})" for name in other)


def _lock(handle: int, path: Path) -> None:
    try:
        import fcntl
    except ImportError:  # a system without file locks
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise SearchError(
            f"{path}: another process is searching with it", hint="wait for it, or choose another folder"
        ) from None


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _unwritable(path: Path, fault: OSError) -> RunDirError:
    return RunDirError(
        f"{path}: cannot be written ({fault.strerror or fault})",
        hint="free some space or choose another folder; the trials so far are safe",
    )
