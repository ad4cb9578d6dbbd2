"""The 16 features of a jet from its constituents.

Energy correlation functions and their ratios: arXiv:1305.0007 (C), arXiv:1409.6298 (D), arXiv:1609.07483
(M, N). With momentum fractions ``z_i = pT_i / sum pT`` and angles ``r_ij = sqrt(d_eta^2 + d_phi^2)``, and the
angular exponent ``b``::

    e2   = sum_{i<j}   z_i z_j r_ij^b
    e3   = sum_{i<j<k} z_i z_j z_k (product of all three angles)^b
    1e3  = ...                     (smallest angle)^b
    2e3  = ...                     (product of the two smallest angles)^b
    C1 = e2   C2 = e3 / e2^2   D2 = e3 / e2^3   M2 = 1e3 / e2   N2 = 2e3 / e2^2
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]


def jet_features(groomed: Float64, energies: Float64) -> Float64 | None:
    """Features in the order of :data:`torchq.data.jets.FEATURES`.

    Args:
        groomed: px, py, pz, E of the constituents after grooming, GeV, ``[constituents, 4]``.
        energies: energies of all constituents of the jet, before grooming, GeV.

    Returns:
        float64 ``[16]``, or None where a ratio has no value (below three constituents, or all in one place).
    """
    if len(groomed) < 3:
        return None
    z, angles = _fractions_and_angles(groomed)
    pairs = np.outer(z, z)
    c1_b0, e2, e2_wide = (float(np.triu(pairs * angles**b, 1).sum()) for b in (0, 1, 2))
    if min(e2, e2_wide) <= 0:
        return None
    (e3, m3, n3), (e3_wide, m3_wide, n3_wide) = _triples(z, angles)
    px, py, pz, energy = groomed.sum(axis=0)
    mass = np.sqrt(max(energy**2 - px**2 - py**2 - pz**2, 0.0))
    share = energies / energies.sum()
    share = share[share > 0]
    return np.array(
        [
            (share * np.log(share)).sum(),
            c1_b0,
            e2,
            e2_wide,
            e3 / e2**2,
            e3_wide / e2_wide**2,
            e3 / e2**3,
            e3_wide / e2_wide**3,
            e3 / e2**3,
            e3 / e2_wide**1.5,
            m3 / e2,
            m3_wide / e2_wide,
            n3 / e2**2,
            n3_wide / e2_wide**2,
            mass,
            float(len(energies)),
        ]
    )


def _fractions_and_angles(momenta: Float64) -> tuple[Float64, Float64]:
    """Fractions of the transverse momentum ``[n]`` and angles between constituents ``[n, n]``."""
    pt = np.hypot(momenta[:, 0], momenta[:, 1])
    eta = np.arcsinh(momenta[:, 2] / pt)
    phi = np.arctan2(momenta[:, 1], momenta[:, 0])
    turn = np.abs(phi[:, None] - phi)
    angles = np.hypot(eta[:, None] - eta, np.minimum(turn, 2 * np.pi - turn))
    return pt / pt.sum(), angles


def _triples(z: Float64, angles: Float64) -> tuple[Float64, Float64]:
    """``e3, 1e3, 2e3`` for the angular exponents 1 and 2.

    One constituent at a time with all pairs of later ones, so memory grows with the square of their number.
    """
    sums = np.zeros((2, 3))
    for first in range(len(z) - 2):
        later = slice(first + 1, None)
        near = angles[first, later]
        a, b, c = near[:, None], near[None, :], angles[later, later]
        smallest = np.minimum(np.minimum(a, b), c)
        largest = np.maximum(np.maximum(a, b), c)
        product = a * b * c
        two = np.divide(product, largest, out=np.zeros_like(product), where=largest > 0)
        weight = np.triu(z[first] * np.outer(z[later], z[later]), 1)
        for column, angle in enumerate((product, smallest, two)):
            weighted = weight * angle
            sums[0, column] += weighted.sum()
            sums[1, column] += np.vdot(weighted, angle)
    return sums[0], sums[1]
