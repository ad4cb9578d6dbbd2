"""``hls-export verify``: compare a file, the emulator and, where they are asked for, C++ and Verilog."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import click


@click.command("verify")
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "--project",
    "folders",
    type=click.Path(path_type=Path),
    multiple=True,
    help="A project that was written before; may be given several times.",
)
@click.option(
    "--backend",
    "backends",
    multiple=True,
    help="Write a project with this backend for the comparison alone; may be given several times.",
)
@click.option("--vectors", type=click.Path(path_type=Path), help="A .npy file of samples to compare as well.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the adversarial vectors.")
def command(
    model: Path, folders: tuple[Path, ...], backends: tuple[str, ...], vectors: Path | None, seed: int
) -> int:
    """Say whether the readings of MODEL are equal: the file, the emulator, C++ and Verilog.

    Exit code 0: every value of every vector is equal. 1: it is not. 2: something to mend.
    """
    import tempfile

    from hls_export.backends import BACKENDS
    from hls_export.cli import samples, show
    from hls_export.lower import lower, open_project
    from hls_export.qonnx import read
    from hls_export.verify import verify

    console = show.console()
    graph = read(model)
    x = samples.vectors(graph, vectors, seed)
    projects = [open_project(folder) for folder in folders]
    for backend in backends:
        BACKENDS.get(backend)
    with ExitStack() as stack:
        for backend in backends:
            work = stack.enter_context(tempfile.TemporaryDirectory(prefix="hls-export-"))
            with console.status(f"writing the project of {backend} ..."):
                projects.append(lower(graph, Path(work) / "project", backend=backend))
        with console.status("comparing ..."):
            verdict = verify(None, model, projects, x)
    show.show_verdict(console, verdict)
    return 0 if verdict.agree else 1
