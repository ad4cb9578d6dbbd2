"""``hls-export rescale``: a file whose scales are powers of two, and what that costs."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("rescale")
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The new ONNX file.")
@click.option("--bits", type=int, default=16, show_default=True, help="Of every multiplier that is rounded.")
@click.option("--vectors", type=click.Path(path_type=Path), help="A .npy file of samples to compare as well.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the adversarial vectors.")
def command(model: Path, out: Path, bits: int, vectors: Path | None, seed: int) -> int:
    """Rewrite MODEL so that all its scales are powers of two, which hardware can shift by.

    This changes the network: what was rounded, and by how much the outputs differ from those of MODEL, is
    printed and stands in the new file. Everything after it (lower, verify) is bit for bit the new file.
    """
    from hls_export.cli import samples, show
    from hls_export.qonnx.load import load
    from hls_export.qonnx.rescale import rescale

    console = show.console()
    given = None if vectors is None else samples.of_file(vectors, load(model).input_shape)
    with console.status("rescaling and comparing ..."):
        made = rescale(model, out, bits=bits, vectors=given, seed=seed)
    for place in made.rounded:
        console.print(
            f"{place.node}: {place.what}, relative error {place.error:.2g}", highlight=False, markup=False
        )
    console.print(str(made), highlight=False, markup=False)
    console.print(str(out), highlight=False, markup=False)
    return 0
