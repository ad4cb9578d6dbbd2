"""``torchq validate``: every fault of a recipe, without running it."""

from __future__ import annotations

import click


@click.command("validate")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
def command(names: tuple[str, ...]) -> int:
    """Check recipes (files or shipped names) and show all faults at once."""
    from torchq.errors import RecipeError
    from torchq.recipe.load import load

    failed = 0
    for name in names:
        try:
            load(name)
        except RecipeError as fault:
            failed += 1
            click.echo(str(fault), err=True)
        else:
            click.echo(f"{name}: good")
    return 2 if failed else 0
