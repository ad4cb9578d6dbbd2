"""What every test stands on: one thread a process (sums depend on their number), and the golden counts."""

from __future__ import annotations

import os
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported, and for the processes that tests start

import torch
from hypothesis import settings

# The same examples in every run of `make test`; `make explore` looks for new ones.
settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("explore", max_examples=2000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

torch.set_num_threads(1)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """How many recorded calls of QKeras were compared."""
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
