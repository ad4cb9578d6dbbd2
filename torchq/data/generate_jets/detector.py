"""A small parametric detector: tracks, electromagnetic cells and hadronic cells.

Charged hadrons below a largest momentum, and charged leptons, are tracks with their exact direction. Photons
go to electromagnetic cells, all else to hadronic cells; a cell replaces the particles in it and points from
the origin to its middle. Then every object's momentum is smeared, with resolutions like those of CMS.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]

CHARGED_HADRONS = (211, 321, 2212, 3112, 3222, 3312, 3334)
PHOTONS = (22, 111)
LEPTONS = (11, 13, 15)
ELECTROMAGNETIC_CELL = 0.0175
HADRONIC_CELL = 0.022


@dataclass(frozen=True)
class Detector:
    """Settings.

    Attributes:
        track_max: largest transverse momentum of a track, GeV; above it a charged hadron is seen by its cell.
        resolution: factor of all momentum resolutions.
        cell: factor of the sizes of all cells.
    """

    track_max: float = 1e9
    resolution: float = 0.3
    cell: float = 0.3

    def measure(self, momenta: Float64, kinds: NDArray[np.int64], random: np.random.Generator) -> Float64:
        """What the detector sees of particles.

        Args:
            momenta: px, py, pz, E of each particle, GeV, ``[particles, 4]``.
            kinds: their PDG numbers ``[particles]``.
            random: source of the smearing.

        Returns:
            px, py, pz, E of tracks and cells ``[objects, 4]``.
        """
        kinds = np.abs(kinds)
        pt = np.hypot(momenta[:, 0], momenta[:, 1])
        track = np.isin(kinds, LEPTONS) | (np.isin(kinds, CHARGED_HADRONS) & (pt < self.track_max))
        photon = ~track & np.isin(kinds, PHOTONS)
        tracks = momenta[track]
        electromagnetic = _cells(momenta[photon], ELECTROMAGNETIC_CELL * self.cell)
        hadronic = _cells(momenta[~track & ~photon], HADRONIC_CELL * self.cell)
        return np.concatenate(
            [
                self._smear(tracks, np.hypot(0.00025 * pt[track], 0.015), random),
                self._smear(electromagnetic, _electromagnetic_resolution(electromagnetic[:, 3]), random),
                self._smear(hadronic, _hadronic_resolution(hadronic[:, 3]), random),
            ]
        )

    def _smear(self, momenta: Float64, relative: Float64, random: np.random.Generator) -> Float64:
        factor = 1 + self.resolution * relative * random.standard_normal(len(momenta))
        return momenta * np.maximum(factor, 1e-10)[:, None]


def _electromagnetic_resolution(energy: Float64) -> Float64:
    return np.sqrt(0.027**2 * 1.6 / energy + (0.15 * 1.6 / energy) ** 2 + 0.005**2)


def _hadronic_resolution(energy: Float64) -> Float64:
    return np.sqrt(1.2**2 * 7 / energy + 0.05**2)


def _cells(momenta: Float64, size: float) -> Float64:
    """One massless object for each cell that is hit, with the energy of all particles in it."""
    if len(momenta) == 0:
        return np.empty((0, 4))
    pt = np.maximum(np.hypot(momenta[:, 0], momenta[:, 1]), 1e-9)
    eta = np.arcsinh(momenta[:, 2] / pt)
    phi = np.arctan2(momenta[:, 1], momenta[:, 0])
    places = np.stack([np.floor(eta / size), np.floor(phi / size)], axis=1)
    hit, members = np.unique(places, axis=0, return_inverse=True)
    energy = np.bincount(members.reshape(-1), weights=momenta[:, 3])
    eta, phi = ((hit + 0.5) * size).T
    pt = energy / np.cosh(eta)
    return np.stack([pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta), energy], axis=1)
