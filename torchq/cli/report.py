"""``torchq report``: write a run's report anew."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("report")
@click.argument("run_dir", type=click.Path(path_type=Path))
def command(run_dir: Path) -> None:
    """Write report.html, report.md and summary.json of RUN_DIR from what stands in it, finished or not."""
    from rich.console import Console

    from torchq.recipe import report_run
    from torchq.recipe.show import Show

    report_run(run_dir, Show(Console(soft_wrap=True)))
    click.echo(str(run_dir))
