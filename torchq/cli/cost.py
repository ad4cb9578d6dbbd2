"""``torchq cost``: what a network costs, whatever says the network."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command("cost")
@click.argument("what")
@click.option("--targets", metavar="NAME,...", help="Targets or figures  [default: the cheap ones]")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="A setting of a target.")
@click.option("--parts", is_flag=True, help="What each figure is the sum of.")
@click.option("--types", is_flag=True, help="The type of every product, sum and tensor beside.")
@click.option("--shape", metavar="N,...", help="Shape of one sample, where it does not follow.")
@click.option("--trial", type=int, metavar="N", help="Another trial of a run than the picked one.")
@click.option("--float-as", type=click.Choice(["16", "32"]), help="Bits of what no quantizer of a file made.")
@click.option("--json", "json_file", metavar="FILE", help="Write all figures as JSON; - for the terminal.")
@click.option("--html", "html_file", type=click.Path(path_type=Path), help="Write the table as a page.")
def command(
    what: str,
    targets: str | None,
    settings: tuple[str, ...],
    parts: bool,
    types: bool,
    shape: str | None,
    trial: int | None,
    float_as: str | None,
    json_file: str | None,
    html_file: Path | None,
) -> None:
    """Print what the layers of WHAT cost.

    WHAT is a run directory (the picked network, beside its references), the name or file of a recipe (its
    reference network), a Python function or module of yours that returns a model (`package.module:function`),
    or any quantized ONNX file (QONNX or QCDQ).
    """
    from torchq.cli.cost_page import page, text, to_dict
    from torchq.cli.cost_prices import priced
    from torchq.cli.cost_what import Options, find
    from torchq.files import atomic_write_text

    subject = find(what, Options(shape, trial, None if float_as is None else int(float_as)))
    found = priced(subject, targets, settings, types=types)
    if json_file is not None:
        plain = json.dumps(to_dict(found), indent=1, allow_nan=False)
        if json_file == "-":
            click.echo(plain)
        else:
            atomic_write_text(json_file, plain + "\n")
    if html_file is not None:
        atomic_write_text(html_file, page(found))
    if json_file != "-":
        click.echo(text(found, parts=parts))
