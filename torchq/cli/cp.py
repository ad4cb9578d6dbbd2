"""``torchq cp``: copy a recipe, to change it."""

from __future__ import annotations

from pathlib import Path

import click

from torchq.errors import RecipeError


@click.command("cp")
@click.argument("name")
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Overwrite the target.")
def command(name: str, target: Path, force: bool) -> None:
    """Copy the recipe NAME to the file or folder TARGET."""
    from torchq.files import atomic_write_text
    from torchq.recipe.load import find, read_text

    source = find(name)
    path = target / source.name if target.is_dir() else target
    if path.exists() and not force:
        raise RecipeError(f"{path}: exists already", hint="give another name, or --force")
    atomic_write_text(path, read_text(source))
    click.echo(str(path))
