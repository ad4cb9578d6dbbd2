"""Command line of the generator; the defaults are those of the jets that ship with the package."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from torchq.data.generate_jets.clustering import Clustering
from torchq.data.generate_jets.detector import Detector
from torchq.data.generate_jets.events import Generator
from torchq.data.generate_jets.run import check_writable, generate, plan, write
from torchq.data.jets import CLASSES
from torchq.errors import TorchqError


def main(arguments: Sequence[str] | None = None) -> int:
    """Generate jets; answers with the exit code."""
    told = _parser().parse_args(arguments)
    began = time.monotonic()

    def progress(done: int, total: int) -> None:
        speed = done / (time.monotonic() - began)
        print(f"\r{done:,} of {total:,} jets, {speed:.0f} a second ", end="", file=sys.stderr, flush=True)

    classes = tuple(told.classes.split(","))
    detector = None if told.particle else Detector(told.trk, told.res, told.cell)
    generator = Generator(told.decay_all, told.mpi, told.isr)
    try:
        chunks = plan(told.jets, classes, told.seed, generator, Clustering(told.radius, detector))
        check_writable(told.out)
        found = generate(chunks, told.processes, progress)
        print(file=sys.stderr)
        print(write(told.out, chunks, found, classes))
    except TorchqError as fault:
        print(fault, file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m torchq.data.generate_jets",
        description="Simulate jets with Pythia 8 and FastJet and write them to a .npz file.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    switch = argparse.BooleanOptionalAction
    add("out", type=Path, help="file to write")
    add("--jets", type=int, default=10_000, help="jets of all classes together")
    add("--classes", default=",".join(CLASSES), help="classes, apart by commas")
    add("--seed", type=int, default=0, help="0 to 999; other seeds give other jets")
    add("--processes", type=int, default=os.cpu_count() or 1, help="processes at a time")
    add("--radius", type=float, default=0.4, help="radius of the jets")
    add("--decay-all", action=switch, default=True, help="let every unstable particle decay")
    add("--mpi", action=switch, default=True, help="further collisions of the same protons")
    add("--isr", action=switch, default=True, help="radiation of the incoming partons")
    add("--particle", action="store_true", help="particles as they are, without a detector")
    add("--trk", type=float, default=1e9, help="largest transverse momentum of a track, GeV")
    add("--res", type=float, default=0.3, help="factor of the detector's momentum resolutions")
    add("--cell", type=float, default=0.3, help="factor of the sizes of the detector's cells")
    return parser


if __name__ == "__main__":
    sys.exit(main())
