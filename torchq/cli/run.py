"""``torchq run``: a recipe, from data to verified firmware, or designs and their prices."""

from __future__ import annotations

from pathlib import Path

import click

from torchq.recipe import PRICE_STAGES, STAGES

_STAGES = tuple(dict.fromkeys((*STAGES[:-1], *PRICE_STAGES)))


@click.command("run")
@click.argument("name")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--out", type=click.Path(path_type=Path), help="Run directory  [default: runs/NAME]")
@click.option("--until", type=click.Choice(_STAGES), default=_STAGES[-1], help="Stop after this stage.")
@click.option("--resume", is_flag=True, help="Go on with an existing run; refuse to begin a new one.")
@click.option("--quiet", is_flag=True, help="Print only the run directory.")
def command(
    name: str, overrides: tuple[str, ...], out: Path | None, until: str, resume: bool, quiet: bool
) -> None:
    """Run the recipe NAME (a file, or a name that `torchq ls` shows).

    Values can be set from here, as in `torchq run jets/autoq_energy search.trials=10`. Stopped or killed,
    the same command goes on where it ended.
    """
    from rich.console import Console

    from torchq.recipe import load, run_recipe
    from torchq.recipe.show import Show

    loaded = load(name, overrides)
    folder = out or Path("runs") / loaded.name.replace("/", "_")
    run_recipe(
        loaded, folder, until=until, resume=resume, show=Show(None if quiet else Console(soft_wrap=True))
    )
    click.echo(str(folder))
