"""Which of the open tools for Verilog are there: asked before the work, so that a lack is said at once."""

from __future__ import annotations

from collections.abc import Callable

from hls_export.rtl import alkaid, ecp5, icarus, verilator, yosys
from torchq.errors import BackendError

WRITE, SIMULATE, COUNT, PLACE = "alkaid", "a Verilog simulator", "yosys", ecp5.TOOL
"""What each step needs: writing Verilog, simulating it, counting its primitives, placing it on an ECP5."""

HINT = "make rtl-tools"


def tools() -> dict[str, str]:
    """Name and version of every tool that is there, by what it is for.

    Example:
        >>> set(tools()) <= {WRITE, SIMULATE, COUNT, PLACE}
        True
    """
    found = {
        WRITE: _version("alkaid", alkaid.version),
        SIMULATE: _version("Verilator", _verilator) or _version("Icarus", icarus.version),
        COUNT: _version("yosys", yosys.version),
        PLACE: ecp5.installed(),
    }
    return {step: version for step, version in found.items() if version}


def missing(*steps: str) -> tuple[str, ...]:
    """Those of the steps whose tool is not installed, as given."""
    there = tools()
    return tuple(step for step in steps if step not in there)


def _verilator() -> str:
    if not verilator.available():
        raise BackendError("verilator is not installed", hint=verilator.HINT)
    return verilator.find().version


def _version(name: str, ask: Callable[[], str]) -> str:
    try:
        return f"{name} {ask()}"
    except BackendError:
        return ""
