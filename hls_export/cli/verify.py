"""``hls-export verify``: compare a file, the emulator, C++ and Verilog, as far as their tools are there."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from hls_export.backends import Project
    from hls_export.hardware import HardwareGraph

ICARUS_S = 60.0
"""How long Icarus may simulate about, where no Verilator is there; then it takes the first vectors only."""


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
@click.option("--quick", is_flag=True, help="The file and the emulator alone, without simulations.")
@click.option("--vectors", type=click.Path(path_type=Path), help="A .npy file of samples to compare as well.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the adversarial vectors.")
def command(
    model: Path,
    folders: tuple[Path, ...],
    backends: tuple[str, ...],
    quick: bool,
    vectors: Path | None,
    seed: int,
) -> int:
    """Say whether the readings of MODEL are equal: the file, the emulator, C++ and Verilog.

    Unless --project, --backend or --quick say otherwise, MODEL is lowered to C++ (vitis) and to Verilog (rtl)
    for the comparison; where a tool lacks or a backend refuses it, a line says so.

    Exit code 0: every value of every vector is equal. 1: it is not. 2: something to mend.
    """
    import tempfile

    from hls_export.backends import BACKENDS
    from hls_export.cli import samples, show
    from hls_export.lower import lower, open_project
    from hls_export.qonnx import execute, read
    from hls_export.rtl.project import RtlProject
    from hls_export.verify import verify

    console = show.console()
    graph = read(model)
    x = samples.vectors(graph, vectors, seed)
    projects = [open_project(folder) for folder in folders]
    for backend in backends:
        BACKENDS.get(backend)
    execute(model, x[:1])  # what cannot be executed is not worth a project
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hls-export-")))
        for backend in backends:
            with console.status(f"writing the project of {backend} ..."):
                projects.append(lower(graph, work / f"{len(projects)}", backend=backend))
        if not (folders or backends or quick):
            projects += _all_there(console, graph, work)
        slow = {}
        for project in projects:
            few = project.affordable(ICARUS_S) if isinstance(project, RtlProject) else None
            if few is not None and few < len(x):
                slow[project] = few
        with console.status("comparing ..."):
            verdicts = [verify(None, model, [one for one in projects if one not in slow], x)]
            verdicts += [verify(None, model, one, x[:few]) for one, few in slow.items()]
    for verdict in verdicts:
        show.show_verdict(console, verdict)
    return 0 if all(verdict.agree for verdict in verdicts) else 1


def _all_there(console: Console, graph: HardwareGraph, work: Path) -> Iterator[Project]:
    """The projects of all simulations that can be run here; a line for each one that cannot."""
    from hls_export.lower import lower
    from torchq.errors import BackendError

    for backend, name in (("vitis", "C++"), ("rtl", "Verilog")):
        with console.status(f"writing and compiling the {name} ..."):
            try:
                reason = lacking(backend)
                if not reason:
                    yield lower(graph, work / backend, backend=backend).compile()
            except BackendError as fault:
                reason = str(fault)
        if reason:
            console.print(f"without {name}: {reason}", highlight=False, markup=False)


def lacking(backend: str) -> str:
    """Which tools a simulation of that backend lacks here, in words; nothing where all are there."""
    import shutil

    from hls_export.rtl import installed

    if backend != "rtl":
        return "" if shutil.which("g++") else "g++ is not on the PATH; install g++ (Debian: apt install g++)"
    missing = installed.missing(installed.WRITE, installed.SIMULATE)
    word = "is" if len(missing) == 1 else "are"
    return f"{' and '.join(missing)} {word} not installed; {installed.HINT}" if missing else ""
