"""``hls-export lower``: write the project, compile it, and compare it with the file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from hls_export.backends.base import DEFAULT_PART, IO_TYPES, PIPELINES
from torchq.errors import TorchqError
from torchq.files import atomic_write_text

VERDICT = "verify.json"
"""Stands in every project that this command writes, and says whether it is verified."""


@click.command("lower")
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the project.")
@click.option("--backend", default="vitis", show_default=True, help="What is written.")
@click.option("--io-type", type=click.Choice(IO_TYPES), default=IO_TYPES[0], show_default=True)
@click.option("--part", default=DEFAULT_PART, show_default=True, help="The FPGA.")
@click.option("--clock-ns", type=float, default=5.0, show_default=True, help="Clock period in nanoseconds.")
@click.option(
    "--reuse-factor", type=int, default=1, show_default=True, help="Uses of one multiplier a sample."
)
@click.option("--strategy", default="latency", show_default=True, help="How matrix products are built.")
@click.option(
    "--layer",
    "layer",
    multiple=True,
    metavar="NAME:OPTION=VALUE",
    help="What differs for one layer: fc1:reuse_factor=4,strategy=resource. May be given many times.",
)
@click.option("--pipeline", type=click.Choice(PIPELINES), default=PIPELINES[0], show_default=True)
@click.option("--top", default="myproject", show_default=True, help="Name of the top function.")
@click.option(
    "--latency-cutoff",
    type=float,
    default=5.0,
    show_default=True,
    help="Backend rtl: delay of a pipeline stage, in adders.",
)
@click.option(
    "--synthesize", is_flag=True, help="Count LUT, FF and DSP: rtl with yosys, HLS with the vendor's tool."
)
@click.option("--vectors", type=click.Path(path_type=Path), help="A .npy file of samples to compare as well.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the adversarial vectors.")
def command(
    model: Path,
    out: Path,
    backend: str,
    io_type: str,
    part: str,
    clock_ns: float,
    reuse_factor: int,
    strategy: str,
    layer: tuple[str, ...],
    pipeline: str,
    top: str,
    latency_cutoff: float,
    synthesize: bool,
    vectors: Path | None,
    seed: int,
) -> int:
    """Write the HLS or Verilog project of MODEL, simulate it, and say whether it equals the file.

    What came out stands in the project's verify.json; where nothing was compared yet, it says so.

    Exit code 0: every value of every vector is equal. 1: it is not. 2: something to mend.
    """
    from hls_export.cli import samples, show
    from hls_export.cli.layers import layer_options
    from hls_export.lower import lower
    from hls_export.qonnx import execute, read
    from hls_export.rtl import yosys
    from hls_export.verify import verify

    console = show.console()
    graph = read(model)
    x = samples.vectors(graph, vectors, seed)
    if synthesize and backend == "rtl":
        yosys.version()  # what is missing is said before the work
    execute(model, x[:1])  # a file that cannot be executed cannot be compared: nothing is written of it
    with console.status("writing the project ..."):
        project = lower(
            graph,
            out,
            backend=backend,
            part=part,
            clock_ns=clock_ns,
            io_type=io_type,
            reuse_factor=reuse_factor,
            strategy=strategy,
            top=top,
            latency_cutoff=latency_cutoff,
            layers=layer_options(layer),
            pipeline=pipeline,
        )
    _write_verdict(out, {"agree": False, "verdict": "not verified yet"})
    show.show_report(console, project.report())
    if not project.runs_here:
        state = project.to_dict()["state"]
        _write_verdict(out, {"agree": False, "verdict": f"not verified: {state}"})
        console.print(f"{out}: {state}", highlight=False, markup=False)
        if synthesize:
            project.synthesize()  # says why it cannot
        return 0
    try:
        with console.status("compiling and comparing ..."):
            project.compile()
            verdict = verify(None, model, project, x)
    except TorchqError as fault:
        _write_verdict(out, {"agree": False, "verdict": f"not verified: {fault}"})
        raise
    _write_verdict(out, verdict.to_dict())
    show.show_verdict(console, verdict)
    if synthesize:
        with console.status("synthesising (minutes for a large network) ..."):
            project.synthesize()
    if project.report().resources:
        show.show_resources(console, project.report())
    console.print(str(out), highlight=False, markup=False)
    return 0 if verdict.agree else 1


def _write_verdict(out: Path, facts: Mapping[str, Any]) -> None:
    atomic_write_text(out / VERDICT, json.dumps(dict(facts), indent=1) + "\n")
