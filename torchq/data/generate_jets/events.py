"""Events from Pythia 8: hard particles at 1 TeV first, then their decays, showers and hadrons.

W, Z and top leave the hard process undecayed and on-shell, through a Les Houches event file
(arXiv:hep-ph/0609017), so that Pythia decays them isotropically in the second step: the public jets were made
without spin correlations.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchq.data.generate_jets.needs import need
from torchq.errors import DataError

BEAM_GEV = 6500.0
HARD_PT_GEV = (990.0, 1010.0)
NEAR = 1.3
"""Particles further than this in pseudorapidity from both hard ones are no part of any jet kept."""

PROCESSES = {
    "g": ("HardQCD:gg2gg", "HardQCD:qqbar2gg"),
    "q": ("HardQCD:qq2qq", "HardQCD:gg2qqbar", "HardQCD:qqbar2qqbarNew"),
    "w": ("WeakDoubleBoson:ffbar2WW",),
    "z": ("WeakDoubleBoson:ffbar2gmZgmZ",),
    "t": ("Top:gg2ttbar", "Top:qqbar2ttbar"),
}
INCOMING, HARD = (3, 4), (5, 6)
"""Places in Pythia's record of the partons that collide and of the two particles that they make."""

TO_QUARKS = [line for kind in (23, 24) for line in (f"{kind}:onMode=off", f"{kind}:onIfAny=1 2 3 4 5")]


@dataclass(frozen=True)
class Event:
    """What is visible of a collision near the hard particles.

    Attributes:
        momenta: px, py, pz, E of each particle, GeV, ``[particles, 4]``.
        kinds: PDG numbers ``[particles]``.
        axes: pseudorapidity and azimuth of the hard particles ``[2, 2]``.
    """

    momenta: NDArray[np.float64]
    kinds: NDArray[np.int64]
    axes: NDArray[np.float64]


@dataclass(frozen=True)
class Generator:
    """Settings.

    Attributes:
        decay_all: let every unstable particle decay, also those that would leave a real detector first.
        several_collisions: simulate further collisions of the same two protons.
        initial_radiation: let the incoming partons radiate.
    """

    decay_all: bool = True
    several_collisions: bool = True
    initial_radiation: bool = True

    def events(self, name: str, number: int, seed: int, folder: Path) -> Iterator[Event]:
        """Events whose two hard particles are of a class.

        Args:
            name: class, a key of :data:`PROCESSES`.
            number: hard processes to make.
            seed: Pythia's seed, 1 to 900000000.
            folder: where to put the file between the two steps.
        """
        path = folder / f"{name}{seed}.lhe"
        _write_hard_processes(name, number, seed, path)
        pythia = _pythia(
            [
                "Beams:frameType=4",
                f"Beams:LHEF={path}",
                f"Random:seed={seed}",
                *([] if self.decay_all else ["ParticleDecays:limitTau0=on", "ParticleDecays:tau0Max=10"]),
                *([] if self.several_collisions else ["PartonLevel:MPI=off"]),
                *([] if self.initial_radiation else ["PartonLevel:ISR=off"]),
                *TO_QUARKS,
            ]
        )
        while True:
            if pythia.next():
                yield _event(pythia.event)
            elif pythia.infoPython().atEndOfFile():
                break
        path.unlink()


def _pythia(settings: list[str]) -> Any:
    pythia = need("pythia8mc").Pythia("", False)
    for setting in ["Print:quiet=on", "Random:setSeed=on", *settings]:
        if not pythia.readString(setting):
            raise DataError(f"Pythia does not take the setting {setting!r}")
    if not pythia.init():
        raise DataError(f"Pythia does not start with the settings {', '.join(settings)}")
    return pythia


def _write_hard_processes(name: str, number: int, seed: int, path: Path) -> None:
    low, high = HARD_PT_GEV
    pythia = _pythia(
        [
            f"Beams:eCM={2 * BEAM_GEV}",
            f"Random:seed={seed}",
            f"PhaseSpace:pTHatMin={low}",
            f"PhaseSpace:pTHatMax={high}",
            "PhaseSpace:useBreitWigners=off",
            "PartonLevel:all=off",
            "HadronLevel:all=off",
            "WeakZ0:gmZmode=2",
            # A Z that may not decay makes Pythia's decay-angle code read past its record; as the parton level
            # is off, it stays undecayed anyway.
            "6:mayDecay=off",
            "23:mayDecay=on",
            "24:mayDecay=off",
            *(f"{process}=on" for process in PROCESSES[name]),
        ]
    )
    with path.open("w", encoding="ascii") as file:
        file.write('<LesHouchesEvents version="1.0">\n<init>\n')
        file.write(f"2212 2212 {BEAM_GEV} {BEAM_GEV} -1 -1 -1 -1 3 1\n1. 0. 1. 9999\n</init>\n")
        done = 0
        while done < number:
            if pythia.next():
                file.write(_les_houches(pythia))
                done += 1
        file.write("</LesHouchesEvents>\n")


def _les_houches(pythia: Any) -> str:
    """One event: two incoming partons and two outgoing particles."""
    info, process = pythia.infoPython(), pythia.process
    lines = [f"4 9999 1. {process.scale():.8e} {info.alphaEM():.8e} {info.alphaS():.8e}"]
    for entry in INCOMING + HARD:
        p = process[entry]
        status, mothers = ("-1", "0 0") if entry in INCOMING else ("1", "1 2")
        numbers = " ".join(f"{value:.10e}" for value in (p.px(), p.py(), p.pz(), p.e(), p.m()))
        lines.append(f"{p.id()} {status} {mothers} {p.col()} {p.acol()} {numbers} 0. 9.")
    return "<event>\n" + "\n".join(lines) + "\n</event>\n"


def _event(record: Any) -> Event:
    axes = np.array([(record[entry].eta(), record[entry].phi()) for entry in HARD])
    momenta, kinds = [], []
    for entry in range(record.size()):
        p = record[entry]
        if p.isFinal() and p.isVisible() and np.abs(axes[:, 0] - p.eta()).min() <= NEAR:
            momenta.append((p.px(), p.py(), p.pz(), p.e()))
            kinds.append(p.id())
    return Event(np.array(momenta).reshape(-1, 4), np.array(kinds, dtype=np.int64), axes)
