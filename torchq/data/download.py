"""Fetch a file over HTTP: with a timeout, with progress, whole or not at all."""

from __future__ import annotations

import hashlib
import http.client
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path

from torchq._version import __version__
from torchq.errors import DataError

Progress = Callable[[int, int | None], None]
"""Called with the bytes that have come and the bytes that will, None if the server does not say."""

TIMEOUT_S = 30.0
BLOCK = 1 << 18


def fetch(
    url: str,
    path: Path,
    *,
    md5: str | None = None,
    progress: Progress | None = None,
    timeout_s: float = TIMEOUT_S,
) -> Path:
    """Download ``url`` to ``path``; nothing stands there unless all of it came.

    Args:
        url: an ``http`` or ``https`` address.
        path: where to put the file.
        md5: checksum that the file needs to have, as hexadecimal text.
        progress: called after each block.
        timeout_s: seconds without an answer after which to give up.

    Raises:
        DataError: no network, no such file there, the connection broke, the checksum differs, or the file
            cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.md5(usedforsecurity=False)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as part:
        try:
            with _open(url, timeout_s) as answer:
                size = answer.headers.get("Content-Length")
                total, done = int(size) if size and size.isdigit() else None, 0
                while block := answer.read(BLOCK):
                    part.write(block)
                    digest.update(block)
                    done += len(block)
                    if progress is not None:
                        progress(done, total)
            if total is not None and done != total:
                raise DataError(
                    f"{url}: the connection broke after {done} of {total} bytes", hint="try again"
                )
            if md5 is not None and digest.hexdigest() != md5.lower():
                raise DataError(
                    f"{url}: the file has the checksum {digest.hexdigest()} and needs {md5.lower()}",
                    hint="try again; if it stays, the file was changed on the server",
                )
            part.close()
            Path(part.name).replace(path)
        except (OSError, http.client.HTTPException) as fault:
            raise DataError(f"{url}: cannot be fetched ({reason(fault)})") from fault
        finally:
            Path(part.name).unlink(missing_ok=True)
    return path


def fetch_text(url: str, *, timeout_s: float = TIMEOUT_S) -> str:
    """The text at ``url``.

    Raises:
        DataError: no network, or no such page there.
    """
    try:
        with _open(url, timeout_s) as answer:
            return str(answer.read().decode("utf-8", "replace"))
    except (OSError, http.client.HTTPException) as fault:
        raise DataError(f"{url}: cannot be fetched ({reason(fault)})") from fault


def reason(fault: BaseException) -> str:
    """What went wrong with a connection, in a few words."""
    if isinstance(fault, urllib.error.HTTPError):
        return f"the server answers {fault.code} {fault.reason}"
    if isinstance(fault, urllib.error.URLError) and isinstance(fault.reason, BaseException):
        return reason(fault.reason)
    if isinstance(fault, TimeoutError):
        return "no answer in time"
    return getattr(fault, "strerror", None) or str(fault) or type(fault).__name__


def _open(url: str, timeout_s: float) -> http.client.HTTPResponse:
    scheme = urllib.parse.urlsplit(url).scheme
    if scheme not in ("http", "https"):
        raise DataError(
            f"{url}: is no address to fetch from", hint="it needs to begin with https:// or http://"
        )
    request = urllib.request.Request(url, headers={"User-Agent": f"torchq/{__version__}"})  # noqa: S310
    try:
        answer = urllib.request.urlopen(request, timeout=timeout_s)  # noqa: S310
    except urllib.error.HTTPError as fault:
        fault.close()  # it holds the connection
        raise
    assert isinstance(answer, http.client.HTTPResponse)  # noqa: S101 (holds for both schemes)
    return answer
