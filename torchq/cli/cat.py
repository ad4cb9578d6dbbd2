"""``torchq cat``: print a recipe."""

from __future__ import annotations

import click


@click.command("cat")
@click.argument("name")
def command(name: str) -> None:
    """Print the recipe NAME."""
    from torchq.recipe.load import find, read_text

    click.echo(read_text(find(name)), nl=False)
