"""Icarus Verilog: compiles in a second, simulates slowly, and is in every distribution."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from hls_export.rtl.bench import driver
from hls_export.rtl.codes import Bytes, from_hex, to_hex
from hls_export.rtl.tools import program, run
from torchq.errors import BackendError

HINT = "make rtl-tools, or install iverilog (Debian: apt install iverilog)"


def available() -> bool:
    """Whether it is installed."""
    return shutil.which("iverilog") is not None and shutil.which("vvp") is not None


@lru_cache
def version() -> str:
    """The version of the Icarus on the PATH.

    Raises:
        BackendError: there is none.
    """
    words = [program("iverilog", HINT), "-V"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603
    found = re.search(r"version (\S+)", done.stdout)
    return found[1] if found else "of unknown version"


def build(files: Sequence[Path], top: str, inputs: int, outputs: int, folder: Path) -> Path:
    """Compile a design with a driver around it.

    Args:
        files: its Verilog.
        top: the module at the top.
        inputs: bits of ``x``.
        outputs: bits of ``y``.
        folder: where the result goes.

    Returns:
        What :func:`simulate` runs; named after the sources, so an old one of the same sources is taken.

    Raises:
        BackendError: Icarus is missing, or does not take the Verilog.
    """
    return _build(files, top, driver(top, inputs, outputs), folder)


def build_traced(
    files: Sequence[Path], top: str, inputs: int, outputs: int, wires: Sequence[tuple[str, int]], folder: Path
) -> Path:
    """As :func:`build`, and inner wires are written as well."""
    return _build(files, top, driver(top, inputs, outputs, wires), folder)


def _build(files: Sequence[Path], top: str, bench: str, folder: Path) -> Path:
    compiler = program("iverilog", HINT)
    hasher = hashlib.sha256(f"{version()} {bench}".encode())
    for file in files:
        hasher.update(file.name.encode() + file.read_bytes())
    target = folder.resolve() / f"{top}-{hasher.hexdigest()[:12]}.vvp"
    if target.exists():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="icarus-", dir=folder.resolve()) as work:
        source = Path(work) / "driver.v"
        source.write_text(bench, encoding="utf-8")
        out = Path(work) / "out.vvp"
        words = [compiler, "-g2005-sv", "-s", "driver", "-o", str(out), str(source)]
        run([*words, *(str(file.resolve()) for file in files)], Path(work), top)
        out.replace(target)
    return target


def simulate(built: Path, samples: Bytes, tail: int, sizes: Sequence[int]) -> list[Bytes]:
    """Feed samples, one a clock cycle, and read what stands in the wires after every clock edge.

    Args:
        built: of :func:`build`.
        samples: rows of bytes of ``x``.
        tail: clock edges behind the last sample.
        sizes: bits of ``y`` and of the inner wires.

    Returns:
        For each wire rows of bytes: one for every clock edge from the first sample's on; a row of bits
        without a value is zero in the first ``tail`` edges, where nothing has arrived.

    Raises:
        BackendError: the simulation fails, or leaves bits of a result without a value.
    """
    with tempfile.TemporaryDirectory(prefix="icarus-") as work:
        (Path(work) / "in.hex").write_text(to_hex(samples, 8 * samples.shape[1]), encoding="ascii")
        words = [program("vvp", HINT), "-n", str(built), f"+count={len(samples)}", f"+tail={tail}"]
        printed = run(words, Path(work), built.stem)
        out = Path(work) / "out.hex"
        lines = (
            [line.split() for line in out.read_text(encoding="ascii").splitlines()] if out.exists() else []
        )
    if len(lines) != len(samples) + tail or any(len(line) != len(sizes) for line in lines):
        message = printed.strip().splitlines()
        raise BackendError(f"vvp ended early: {message[0] if message else 'no message'}")
    found = []
    for i, size in enumerate(sizes):
        column = [line[i] for line in lines]
        early = ["0" if "x" in text.lower() else text for text in column[:tail]]
        found.append(from_hex([*early, *column[tail:]], -(-size // 8)))
    return found
