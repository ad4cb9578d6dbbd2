"""A tiny OpenML on this machine: the description of data set 42468 and its ARFF file."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

from torchq.data.jets import FEATURES

OPENML_CLASSES = ("g", "q", "t", "w", "z")
ROWS = 60
X = np.random.default_rng(1).normal(size=(ROWS, 16)).astype(np.float32)
NAMES = np.array(["t", "z", "g", "w", "q"])[np.arange(ROWS) % 5]


def arff() -> bytes:
    """The structure of the public file: quoted names, a nominal class in OpenML's order, a comment."""
    lines = ["% jets", "@RELATION 'hls4ml_lhc_jets_hlf'", ""]
    lines += [f'@ATTRIBUTE "{name}" REAL' for name in FEATURES]
    lines += [f"@attribute class {{{', '.join(OPENML_CLASSES)}}}", "", "@DATA"]
    for row, (values, name) in enumerate(zip(X, NAMES, strict=True)):
        text = name if row % 2 else f"'{name}'"
        lines.append(", ".join([*(repr(float(v)) for v in values), text]))
    return ("\n".join(lines) + "\n").encode()


class Answers:
    """What the server says; a test may change it."""

    def __init__(self) -> None:
        self.file = arff()
        self.md5 = hashlib.md5(self.file, usedforsecurity=False).hexdigest()
        self.description: bytes | None = None
        self.claimed_length: int | None = None
        self.asked: list[str] = []


@contextmanager
def server() -> Iterator[tuple[str, Answers]]:
    """A running server's address, and its answers."""
    answers = Answers()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answers.asked.append(self.path)
            if self.path == "/api/v1/json/data/42468":
                held = {"id": "42468", "url": f"{address}/file.arff", "md5_checksum": answers.md5}
                self.say(answers.description or json.dumps({"data_set_description": held}).encode())
            elif self.path == "/file.arff":
                self.say(answers.file, answers.claimed_length)
            else:
                self.send_error(404)

        def say(self, body: bytes, length: int | None = None) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body) if length is None else length))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Be quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        address = f"http://127.0.0.1:{running.server_address[1]}"
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield address, answers
        finally:
            running.shutdown()
            thread.join()
