"""``torchq verify``: all readings of a run's network, compared once more."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("verify")
@click.argument("run_dir", type=click.Path(path_type=Path))
@click.option("--jets", type=click.IntRange(min=1), help="So many test samples  [default: as in the recipe]")
@click.option(
    "--adversarial", type=click.IntRange(min=1), help="So many made vectors  [default: as in the recipe]"
)
@click.option("--rtl/--no-rtl", default=True, show_default=True, help="Verilog too, where its tools are.")
def command(run_dir: Path, jets: int | None, adversarial: int | None, rtl: bool) -> None:
    """Compare torch, the ONNX file, the emulator, the C++ and the Verilog of RUN_DIR, value by value.

    Writes verify.json and the report anew. Exit code 0: all are equal. 1: the first difference is named, with
    its layer, sample and element. 2: something to mend.
    """
    from rich.console import Console

    from torchq.recipe import verify_run
    from torchq.recipe.show import Show

    verify_run(run_dir, Show(Console(soft_wrap=True)), jets=jets, adversarial=adversarial, with_verilog=rtl)
    click.echo(str(run_dir))
