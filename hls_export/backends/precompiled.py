"""Headers that every project has, compiled once for many projects.

``g++`` takes a second to read the types of fixed-point numbers, and they are the same files in every project
of a tool. Whoever compiles hundreds of projects keeps them compiled in a folder. Nothing else changes: the
same flags, the same code, and every project is compiled with the headers as they stand in its own folder.
"""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

HEADERS = ("ap_fixed.h", "ap_int.h", "ac_fixed.h", "ac_int.h", "ac_channel.h", "hls_stream.h", "hls_math.h")
STANDARD = (
    "algorithm",
    "array",
    "cmath",
    "fstream",
    "iostream",
    "map",
    "sstream",
    "tuple",
    "vector",
)
TYPES = "firmware/nnet_utils/nnet_types.h"


def precompiled(folder: Path, project: Path, command: Sequence[str], include: Sequence[str]) -> Path | None:
    """The header to include first, with its compiled form beside it; made if it is not there.

    Args:
        folder: where compiled headers are kept; nobody else should write there.
        project: the project whose headers are compiled.
        command: the compiler with all flags that go before a source.
        include: folders of the project with its tool's headers.

    Returns:
        The header for ``g++ -include``; None where the compiler takes none of the headers.
    """
    found = [name for name in HEADERS if any((project / place / name).is_file() for place in include)]
    lines = [f"#include <{name}>" for name in STANDARD] + [f'#include "{name}"' for name in found]
    if (project / TYPES).is_file():
        lines.append(f'#include "{TYPES}"')
    text = "\n".join(lines) + "\n"
    hasher = hashlib.sha256("\n".join([*command, *include, text]).encode())
    for place in (*include, TYPES):
        for file in sorted((project / place).rglob("*") if (project / place).is_dir() else [project / place]):
            if file.is_file():
                hasher.update(file.relative_to(project).as_posix().encode() + file.read_bytes())
    header = folder.resolve() / hasher.hexdigest()[:16] / "headers.hpp"
    if not header.with_suffix(".hpp.gch").exists():
        _make(header, text, project, command)
    return header if header.with_suffix(".hpp.gch").stat().st_size else None


def _make(header: Path, text: str, project: Path, command: Sequence[str]) -> None:
    header.parent.mkdir(parents=True, exist_ok=True)
    header.write_text(text, encoding="utf-8")
    with tempfile.TemporaryDirectory(dir=header.parent) as work:
        made = Path(work) / "headers.hpp.gch"
        words = [*command, "-x", "c++-header", str(header), "-o", str(made)]
        done = subprocess.run(words, cwd=project, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode != 0:
            made.write_bytes(b"")  # an empty file says that there is none
        made.replace(header.with_suffix(".hpp.gch"))
