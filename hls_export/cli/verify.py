"""``hls-export verify``: compare a file, the emulator and, if there is one, a project."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("verify")
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "--project", "folder", type=click.Path(path_type=Path), help="A project that was written before."
)
@click.option("--vectors", type=click.Path(path_type=Path), help="A .npy file of samples to compare as well.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the adversarial vectors.")
def command(model: Path, folder: Path | None, vectors: Path | None, seed: int) -> int:
    """Say whether the readings of MODEL are equal: the file, the emulator, the C++ of a project.

    Exit code 0: every value of every vector is equal. 1: it is not. 2: something to mend.
    """
    from hls_export.cli import samples, show
    from hls_export.lower import open_project
    from hls_export.qonnx import read
    from hls_export.verify import verify

    console = show.console()
    x = samples.vectors(read(model), vectors, seed)
    project = None if folder is None else open_project(folder)
    with console.status("comparing ..."):
        verdict = verify(None, model, project, x)
    show.show_verdict(console, verdict)
    return 0 if verdict.agree else 1
