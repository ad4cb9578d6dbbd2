"""How wrong the FPGA estimates are: ``python -m benchmarks.fpga_error``.

First the designs that the fit did not see, then results of others that nothing was fitted to. With ``--write
docs/fpga-estimates.md`` the page gets the tables of today.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.fpga.checks import checks
from benchmarks.fpga.compare import KNOWLEDGE, RELATIVE, all_errors, measured
from benchmarks.fpga.designs import designs
from torchq.cost.fpga.coefficients import coefficients
from torchq.files import atomic_write_text

_KNOWN = {"values": "weights", "formats": "formats"}


def held_out_lines() -> list[str]:
    """Estimate against measurement on the held-out designs, computed here and now."""
    rows = measured()
    found = all_errors(rows, coefficients().fitted)
    seen = sum(not row.design.held_out for row in rows)
    title = (
        f"estimate against {_tools()} on held-out designs: median error (worst)\n"
        f"{len(rows)} of {len(designs())} drawn designs are measured, {seen} of them fitted"
    )
    head = f"{'strategy':24} {'known':8} {'designs':>7} {'LUT':>14} {'FF':>14} {'DSP':>8} {'cycles':>8}"
    lines = [title, head]
    for strategy, known in found.items():
        for knowledge in KNOWLEDGE:
            if knowledge not in known:
                continue
            error = known[knowledge]
            words = [_percent(error[name]) for name in RELATIVE]
            counts = [f"{error[name]['median']:g} ({error[name]['worst']:g})" for name in ("dsp", "cycles")]
            count = int(error["lut"]["designs"])
            lines.append(
                f"{strategy:24} {_KNOWN[knowledge]:8} {count:7} {words[0]:>14} {words[1]:>14} "
                f"{counts[0]:>8} {counts[1]:>8}"
            )
    return lines


def check_lines() -> list[str]:
    """Results of others beside the estimate."""
    figures = ("lut", "ff", "dsp", "latency_cycles")
    head = " ".join(f"{name:>17}" for name in ("LUT", "FF", "DSP", "cycles"))
    lines = ["external checks, not fitted: reported -> estimated", f"{'':24} {head}"]
    source = ""
    for check in checks():
        if check.source != source:
            source = check.source
            lines.append(f"({source})")
        guess = check.estimated()
        words = " ".join(f"{f'{check.reported[name]:.0f} -> {guess[name]:.0f}':>17}" for name in figures)
        lines.append(f"{check.name:24} {words}")
    return lines


def _percent(error: dict[str, float]) -> str:
    return f"{100 * error['median']:.1f} ({100 * error['worst']:.0f}) %"


def _tools() -> str:
    return ", ".join(f"{name} {version}" for name, version in coefficients().tools.items())


def all_lines() -> list[str]:
    """Both tables."""
    return [*held_out_lines(), "", *check_lines()]


def with_tables(page: str) -> str:
    """A page with the tables of today in its first block of code."""
    before, _, rest = page.partition("```text\n")
    _, _, after = rest.partition("```\n")
    return "\n".join([f"{before}```text", *all_lines(), f"```\n{after}"])


def main() -> None:
    parser = argparse.ArgumentParser(description="How wrong the FPGA estimates are.")
    parser.add_argument("--write", type=Path, help="put the tables into this page")
    page = parser.parse_args().write
    print("\n".join(all_lines()))
    if page is not None:
        atomic_write_text(page, with_tables(page.read_text(encoding="utf-8")))


if __name__ == "__main__":
    main()
