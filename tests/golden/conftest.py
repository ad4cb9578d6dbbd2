"""Prints how many recorded calls were compared."""

from __future__ import annotations

from typing import Any


def pytest_terminal_summary(terminalreporter: Any) -> None:
    lines = [
        value
        for report in terminalreporter.getreports("passed")
        for key, value in report.user_properties
        if key == "golden" and report.when == "call"
    ]
    if lines:
        terminalreporter.section("recorded calls of QKeras")
        for line in sorted(lines):
            terminalreporter.write_line(line)
