"""From an event to the features of its jets: anti-kT (arXiv:0802.1189), matching, grooming."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchq.data.generate_jets.correlators import jet_features
from torchq.data.generate_jets.detector import Detector
from torchq.data.generate_jets.events import Event
from torchq.data.generate_jets.needs import need

Float64 = NDArray[np.float64]

JET_PT_GEV = (800.0, 1600.0)
JET_ETA = 2.5
MATCH = 0.4
FEWEST_PARTICLES = 10
CUT = 0.1
"""Smallest share of the softer branch that the modified mass drop tagger takes for a splitting."""


@dataclass(frozen=True)
class Clustering:
    """Settings.

    Attributes:
        radius: radius of the anti-kT jets.
        detector: what sees the particles; None leaves them as they are.
    """

    radius: float = 0.4
    detector: Detector | None = field(default_factory=Detector)

    def jets(self, event: Event, random: np.random.Generator) -> Iterator[Float64]:
        """Features ``[16]`` of the jets of an event, at most two.

        A jet counts if its transverse momentum and direction are in range, a hard particle is within 0.4 of
        its axis, and grooming leaves at least three constituents.
        """
        if len(event.momenta) < FEWEST_PARTICLES:
            return
        objects = event.momenta
        if self.detector is not None:
            objects = self.detector.measure(objects, event.kinds, random)
        fj = need("fastjet")
        around = fj.JetDefinition(fj.antikt_algorithm, self.radius)
        found = fj.ClusterSequence([fj.PseudoJet(*map(float, row)) for row in objects], around)
        for jet in fj.sorted_by_pt(found.inclusive_jets(500.0))[:2]:
            low, high = JET_PT_GEV
            if not low < jet.pt() < high or abs(jet.eta()) > JET_ETA or _distance(jet, event.axes) > MATCH:
                continue
            constituents = list(jet.constituents())
            groomed = _groom(fj, constituents)
            if groomed is None:
                continue
            features = jet_features(_momenta(groomed), _momenta(constituents)[:, 3])
            if features is not None:
                yield features


def _distance(jet: Any, axes: Float64) -> float:
    """From the jet to the nearest hard particle."""
    turn = (jet.phi_std() - axes[:, 1] + np.pi) % (2 * np.pi) - np.pi
    return float(np.hypot(jet.eta() - axes[:, 0], turn).min())


def _momenta(particles: list[Any]) -> Float64:
    return np.array([(p.px(), p.py(), p.pz(), p.e()) for p in particles])


def _groom(fj: Any, constituents: list[Any]) -> list[Any] | None:
    """Modified mass drop tagger, arXiv:1307.0007: what stays of the jet.

    The Cambridge/Aachen history is undone from its end, following the harder branch, until a splitting is
    found whose softer branch has more than a tenth of the momentum. None if there is none.
    """
    history = fj.ClusterSequence(constituents, fj.JetDefinition(fj.cambridge_algorithm, 100.0))
    branch = fj.sorted_by_pt(history.inclusive_jets())[0]
    while True:
        one, other = fj.PseudoJet(), fj.PseudoJet()
        if not branch.has_parents(one, other):
            return None
        softer, harder = sorted((one, other), key=lambda part: float(part.pt()))
        if softer.pt() / (softer.pt() + harder.pt()) > CUT:
            return list(branch.constituents())
        branch = harder
