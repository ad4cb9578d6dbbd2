"""Writing the report's files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torchq.files import atomic_write_bytes, atomic_write_text
from torchq.recipe.report.html import render_html
from torchq.recipe.report.markdown import render_markdown
from torchq.recipe.report.plots import overview_png
from torchq.recipe.report.values import ReportData


@dataclass(frozen=True)
class ReportFiles:
    """Where the pages were written."""

    html: Path
    markdown: Path


def write_report(data: ReportData, directory: str | Path) -> ReportFiles:
    """Write ``report.html`` and ``report.md`` into ``directory``.

    Raises:
        RunDirError: the directory cannot be written, or the disk is full.
    """
    directory = Path(directory)
    page, text = render_html(data), render_markdown(data)
    return ReportFiles(
        html=atomic_write_text(directory / "report.html", page),
        markdown=atomic_write_text(directory / "report.md", text),
    )


def save_overview_png(data: ReportData, path: str | Path) -> Path:
    """Write one picture of the run, the search beside the ROC curves, as PNG.

    Raises:
        RunDirError: the file cannot be written, or the disk is full.
    """
    return atomic_write_bytes(path, overview_png(data))
