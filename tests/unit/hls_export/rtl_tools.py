"""Which of the Verilog tools are here, and programs that stand in for those that fail."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path

import pytest

from hls_export.rtl import verilator

HAS_ALKAID = importlib.util.find_spec("alkaid") is not None
HAS_ICARUS = shutil.which("iverilog") is not None and shutil.which("vvp") is not None

needs_alkaid = pytest.mark.skipif(not HAS_ALKAID, reason="alkaid is not installed")
needs_icarus = pytest.mark.skipif(
    not (HAS_ALKAID and HAS_ICARUS), reason="alkaid or Icarus Verilog is not installed"
)
needs_verilator = pytest.mark.skipif(
    not (HAS_ALKAID and verilator.available()), reason="alkaid or a recent Verilator is not installed"
)
needs_yosys = pytest.mark.skipif(
    not (HAS_ALKAID and shutil.which("yosys")), reason="alkaid or yosys is not installed"
)


def fake(folder: Path, name: str, script: str) -> None:
    """A program of this name in a folder."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def first_on_path(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Programs of a folder are found before all others."""
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
