"""``torchq ls``: the shipped recipes."""

from __future__ import annotations

import click


@click.command("ls")
def command() -> None:
    """List the recipes that come with torchq."""
    from torchq.recipe.load import shipped
    from torchq.recipe.yaml import read_yaml

    rows = {
        name: read_yaml(path.read_text(encoding="utf-8"), name).value["title"]
        for name, path in shipped().items()
    }
    width = max(map(len, rows), default=0)
    for name, title in rows.items():
        click.echo(f"{name:<{width}}  {title}")
