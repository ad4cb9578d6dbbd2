"""The versions that a run's figures depend on."""

from __future__ import annotations

import platform
import shutil
import subprocess
from importlib import metadata

PACKAGES = ("torchq", "torch", "numpy", "ax-platform", "botorch", "onnx", "hls4ml")


def versions() -> dict[str, str]:
    """Version by name: Python, the packages that matter, and the C++ compiler."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    compiler = shutil.which("g++")
    if compiler is None:
        found["g++"] = "not installed"
    else:
        told = subprocess.run([compiler, "-dumpfullversion"], capture_output=True, text=True, check=False)  # noqa: S603
        found["g++"] = told.stdout.strip() or "unknown"
    return found
