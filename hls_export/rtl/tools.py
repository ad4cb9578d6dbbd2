"""Programs of others: found on the PATH, run by argument lists, and ended with all that they started."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from torchq.errors import BackendError

LONGEST_S = 3600.0


def program(name: str, hint: str) -> str:
    """The path of a program.

    Raises:
        BackendError: it is not on the PATH.

    Example:
        >>> program("no-such-tool", "make rtl-tools")
        Traceback (most recent call last):
        ...
        torchq.errors.BackendError: no-such-tool is not on the PATH; make rtl-tools
    """
    found = shutil.which(name)
    if found is None:
        raise BackendError(f"{name} is not on the PATH", hint=hint)
    return found


def run(
    words: Sequence[str],
    folder: Path,
    where: str,
    *,
    timeout_s: float = LONGEST_S,
    environment: Mapping[str, str] | None = None,
) -> str:
    """Run a program in a folder; what it printed.

    Args:
        words: the program and its arguments.
        folder: where it runs.
        where: what it works on, for messages.
        timeout_s: when to give up, in seconds.
        environment: variables beside those of this process.

    Raises:
        BackendError: it fails, does not finish in time, or cannot be started.
    """
    name = Path(words[0]).name
    try:
        process = subprocess.Popen(  # noqa: S603 - a list, no shell
            list(words),
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
            start_new_session=True,
            env={**os.environ, **(environment or {})},
        )
    except OSError as fault:
        raise BackendError(f"{where}: {name} cannot be started ({fault.strerror or fault})") from fault
    try:
        out, err = process.communicate(timeout=timeout_s)
    except BaseException as fault:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        if isinstance(fault, subprocess.TimeoutExpired):
            raise BackendError(
                f"{where}: {name} did not finish in {timeout_s:g} s", hint="allow it more time"
            ) from None
        raise
    if process.returncode != 0:
        raise BackendError(f"{where}: {name} failed: {first_error(err + out)}")
    return out + err


def first_error(text: str) -> str:
    r"""The first line that speaks of an error, or the last one.

    Example:
        >>> first_error("a.v:3: warning: odd\na.v:4: syntax error\na.v:9: error: more")
        'a.v:4: syntax error'
        >>> first_error("%Warning-WIDTH: x\n%Error: a.v:1: no such module\n")
        '%Error: a.v:1: no such module'
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return next((line for line in lines if "error" in line.lower()), lines[-1] if lines else "no message")
