"""``torchq cat``: print a recipe."""

from __future__ import annotations

import click


@click.command("cat")
@click.argument("name")
def command(name: str) -> None:
    """Print the recipe NAME."""
    from torchq.recipe.load import find

    click.echo(find(name).read_text(encoding="utf-8"), nl=False)
