"""The folder of one run: everything a stage needs from the stages before it stands here."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from torchq.errors import RunDirError
from torchq.files import atomic_write_text
from torchq.recipe.load import LoadedRecipe

_ABOUT = "run.json"


class RunDir:
    """A run's folder, held by one process at a time.

    ``run.json`` says which recipe made it. A stage is finished when its JSON file stands; a killed run goes
    on behind the last finished stage. Use as a context manager: the lock is given back at the end, and by the
    system when the process is killed.

    Raises:
        RunDirError: the folder holds something else, another recipe's run, or is in use.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._lock: int | None = None
        self._since = time.monotonic()

    # ------------------------------------------------------------------ opening

    @classmethod
    def open(cls, path: str | Path, loaded: LoadedRecipe, *, resume: bool = False) -> RunDir:
        """Open the run of a recipe, new or half done.

        Args:
            path: the folder; made when it is missing.
            loaded: the recipe.
            resume: refuse to begin anew.
        """
        run = cls(path)
        about = run.about()
        if about is None:
            if resume:
                raise RunDirError(f"{run.path}: there is no run to go on with", hint="leave out --resume")
            if run.path.exists() and (not run.path.is_dir() or _holds_something(run.path)):
                raise RunDirError(
                    f"{run.path}: is not empty and holds no run", hint="choose another folder with --out"
                )
        else:
            differing = _differences(about.get("fingerprint", {}), loaded.fingerprint())
            if differing:
                raise RunDirError(
                    f"{run.path}: holds a run of another recipe ({'; '.join(differing[:3])})",
                    hint="choose another folder with --out, or remove this one",
                )
        run._make()
        run._take_lock()
        if about is None:
            run.write(
                _ABOUT,
                {
                    "recipe": loaded.name,
                    "overrides": list(loaded.overrides),
                    "fingerprint": loaded.fingerprint(),
                    "elapsed_s": 0.0,
                },
            )
        elif loaded.name == about.get("recipe") and list(loaded.overrides) != about.get("overrides"):
            run.write(_ABOUT, {**about, "overrides": list(loaded.overrides)})  # the synthesis may be another
        if not run.file("recipe.yaml").is_file():  # new, or killed right here
            atomic_write_text(run.file("recipe.yaml"), loaded.text)
        return run

    def _make(self) -> None:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as fault:
            raise RunDirError(f"{self.path}: cannot be made ({fault.strerror})") from None

    def _take_lock(self) -> None:
        try:
            self._lock = os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunDirError(
                f"{self.path}: another process is working on this run", hint="wait for it, or stop it first"
            ) from None
        except OSError as fault:
            raise RunDirError(f"{self.path}: cannot be written ({fault.strerror})") from None

    def __enter__(self) -> RunDir:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    # ------------------------------------------------------------------ files

    def about(self) -> dict[str, Any] | None:
        """What ``run.json`` says, or None when there is no run here."""
        return self.read(_ABOUT) if self.file(_ABOUT).is_file() else None

    def file(self, name: str) -> Path:
        """The path of a file of this run."""
        return self.path / name

    def write(self, name: str, value: Mapping[str, Any]) -> None:
        """Write a JSON file, whole or not at all."""
        atomic_write_text(self.file(name), json.dumps(value, indent=1, allow_nan=False) + "\n")

    def read(self, name: str) -> dict[str, Any]:
        """Read a JSON file of this run.

        Raises:
            RunDirError: it is missing or damaged.
        """
        try:
            value: dict[str, Any] = json.loads(self.file(name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise RunDirError(f"{self.file(name)}: is missing", hint="run the recipe again") from None
        except (OSError, ValueError) as fault:
            raise RunDirError(f"{self.file(name)}: cannot be read ({fault})", hint="remove it") from None
        return value

    # ------------------------------------------------------------------ stages and time

    def done(self, stage: str) -> bool:
        """Whether a stage has finished."""
        return self.file(f"{stage}.json").is_file()

    def finish(self, stage: str, facts: Mapping[str, Any]) -> None:
        """Write what a stage found; from here on it is done."""
        self.write(f"{stage}.json", facts)
        self.tick()

    def tick(self) -> float:
        """Add the time since the last tick to the run's wall time, and give the sum in seconds."""
        now = time.monotonic()
        about = self.about() or {}
        about["elapsed_s"] = round(float(about.get("elapsed_s", 0.0)) + now - self._since, 3)
        self._since = now
        self.write(_ABOUT, about)
        return float(about["elapsed_s"])


def _holds_something(folder: Path) -> bool:
    """Whether there is more than what a run leaves that was killed before its first file was whole."""
    return any(not path.name.startswith((".lock", f".{_ABOUT}.")) for path in folder.iterdir())


def _differences(there: Any, here: Any, key: str = "") -> list[str]:
    """The first keys in which two recipes differ, in words."""
    if isinstance(there, dict) and isinstance(here, dict):
        found = []
        for name in sorted({*there, *here}):
            dotted = f"{key}.{name}" if key else name
            found += _differences(there.get(name), here.get(name), dotted)
        return found
    return [] if there == here else [f"{key}: {there!r} there, {here!r} here"]
