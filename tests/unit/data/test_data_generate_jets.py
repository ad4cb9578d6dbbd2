"""The generator's own physics and plumbing; Pythia and FastJet themselves are not needed here."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torchq.data import load
from torchq.data.generate_jets.__main__ import main
from torchq.data.generate_jets.clustering import Clustering, _groom
from torchq.data.generate_jets.correlators import jet_features
from torchq.data.generate_jets.detector import Detector
from torchq.data.generate_jets.events import Generator
from torchq.data.generate_jets.run import plan, write
from torchq.data.jets import CLASSES, FEATURES
from torchq.errors import DataError

Momenta = np.ndarray


def particles(number: int, seed: int) -> Momenta:
    """A jet around phi = pi, where azimuth jumps."""
    random = np.random.default_rng(seed)
    pt, eta = random.exponential(20, number) + 0.1, random.normal(0, 0.3, number)
    phi = random.normal(np.pi, 0.3, number)
    return np.stack(
        [pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta), np.hypot(pt * np.cosh(eta), 0.14)], axis=1
    )


def brute(groomed: Momenta, energies: np.ndarray) -> dict[str, float]:
    """The definitions, sum by sum."""
    pt = [np.hypot(p[0], p[1]) for p in groomed]
    z = [value / sum(pt) for value in pt]

    def angle(i: int, j: int) -> float:
        eta = [np.arcsinh(groomed[k][2] / pt[k]) for k in (i, j)]
        turn = np.angle(complex(*groomed[i][:2]) / complex(*groomed[j][:2]))
        return float(np.hypot(eta[0] - eta[1], turn))

    def e2(b: int) -> float:
        return sum(z[i] * z[j] * angle(i, j) ** b for i, j in itertools.combinations(range(len(z)), 2))

    def e3(b: int, kept: int, first: int = 0) -> float:
        total = 0.0
        for i, j, k in itertools.combinations(range(len(z)), 3):
            angles = sorted([angle(i, j), angle(i, k), angle(j, k)])[first:kept]
            total += z[i] * z[j] * z[k] * float(np.prod(angles)) ** b
        return total

    share = energies / energies.sum()
    total = groomed.sum(axis=0)
    found = {"zlogz": float((share * np.log(share)).sum()), "multiplicity": float(len(energies))}
    found["mass_mmdt"] = float(np.sqrt(total[3] ** 2 - (total[:3] ** 2).sum()))
    for b in (0, 1, 2):
        found[f"c1_b{b}_mmdt"] = e2(b)
    for b in (1, 2):
        found[f"c2_b{b}_mmdt"] = e3(b, 3) / e2(b) ** 2
        found[f"d2_b{b}_mmdt"] = e3(b, 3) / e2(b) ** 3
        found[f"d2_a1_b{b}_mmdt"] = e3(1, 3) / e2(b) ** (3 / b)
        found[f"m2_b{b}_mmdt"] = e3(b, 1) / e2(b)
        found[f"n2_b{b}_mmdt"] = e3(b, 2) / e2(b) ** 2
    return found


@settings(max_examples=25, deadline=None)
@given(st.integers(3, 8), st.integers(0, 10_000))
def test_features_are_their_definitions(number: int, seed: int) -> None:
    groomed = particles(number, seed)
    energies = np.random.default_rng(seed + 1).exponential(10, number + 3)
    expected = brute(groomed, energies)
    found = jet_features(groomed, energies)
    assert found is not None
    assert found == pytest.approx([expected[name] for name in FEATURES], rel=1e-9)


def test_features_that_have_no_value() -> None:
    energies = np.ones(5)
    assert jet_features(particles(2, 0), energies) is None
    assert jet_features(np.repeat(particles(1, 0), 4, axis=0), energies) is None


PION, PHOTON, NEUTRON, MUON = 211, 22, 2112, -13


def test_a_perfect_detector_sees_tracks_as_they_are() -> None:
    momenta = particles(6, 0)
    kinds = np.array([PION, -PION, MUON, PION, PION, MUON])
    seen = Detector(resolution=0.0).measure(momenta, kinds, np.random.default_rng(0))
    assert np.array_equal(seen, momenta)


@pytest.mark.parametrize(("kind", "size"), [(PHOTON, 0.0175), (NEUTRON, 0.022)])
def test_cells_keep_the_energy_and_point_at_their_middle(kind: int, size: float) -> None:
    momenta = particles(40, 1) * [-1, -1, 1, 1]  # around phi = 0
    seen = Detector(resolution=0.0, cell=4.0).measure(momenta, np.full(40, kind), np.random.default_rng(0))
    assert len(seen) < 40
    assert seen[:, 3].sum() == pytest.approx(momenta[:, 3].sum())
    pt = np.hypot(seen[:, 0], seen[:, 1])
    assert seen[:, 3] == pytest.approx(np.hypot(pt, seen[:, 2]))
    for place in (np.arctan2(seen[:, 1], seen[:, 0]), np.arcsinh(seen[:, 2] / pt)):
        steps = place / (4.0 * size) - 0.5
        assert np.abs(steps - np.rint(steps)).max() < 1e-9


def test_fast_charged_hadrons_are_seen_by_their_cells() -> None:
    momenta = np.array([[300.0, 0.01, 1.0, 300.1], [10.0, 0.01, 0.2, 10.1]])
    seen = Detector(track_max=220.0, resolution=0.0).measure(
        momenta, np.array([PION, PION]), np.random.default_rng(0)
    )
    assert np.array_equal(seen[0], momenta[1])
    assert not np.array_equal(seen[1, :3], momenta[0, :3])
    assert seen[1, 3] == momenta[0, 3]


def test_smearing_has_the_width_it_should() -> None:
    momenta = np.tile([100.0, 0.0, 0.0, 100.0], (20_000, 1))
    kinds = np.full(20_000, PION)
    seen = Detector(resolution=0.5).measure(momenta, kinds, np.random.default_rng(0))
    assert (seen[:, 0] / 100).mean() == pytest.approx(1.0, abs=1e-3)
    assert (seen[:, 0] / 100).std() == pytest.approx(0.5 * np.hypot(0.00025 * 100, 0.015), rel=0.03)


class Branch:
    """A jet in a made-up clustering history."""

    def __init__(self, pt: float = 0.0, parents: tuple[Branch, Branch] | None = None) -> None:
        self._pt, self.parents = pt, parents

    def pt(self) -> float:
        return self._pt

    def has_parents(self, one: Branch, other: Branch) -> bool:
        if self.parents is None:
            return False
        for blank, parent in zip((one, other), self.parents, strict=True):
            blank._pt, blank.parents = parent._pt, parent.parents
        return True

    def constituents(self) -> list[float]:
        if self.parents is None:
            return [self._pt]
        return [pt for parent in self.parents for pt in parent.constituents()]


def groomed(root: Branch) -> list[float] | None:
    class FakeFastJet:
        PseudoJet = Branch
        cambridge_algorithm = "cambridge"

        @staticmethod
        def JetDefinition(*_: object) -> None:  # noqa: N802
            return None

        @staticmethod
        def ClusterSequence(*_: object) -> type[FakeFastJet]:  # noqa: N802
            return FakeFastJet

        @staticmethod
        def inclusive_jets() -> list[Branch]:
            return [root]

        @staticmethod
        def sorted_by_pt(jets: list[Branch]) -> list[Branch]:
            return jets

    return _groom(FakeFastJet, [])


def test_grooming_drops_soft_branches_until_a_hard_splitting() -> None:
    hard = Branch(95, (Branch(40), Branch(55)))
    assert groomed(Branch(100, (Branch(5), hard))) == [40, 55]
    assert groomed(Branch(100, (hard, Branch(5)))) == [40, 55]
    assert groomed(Branch(110, (hard, Branch(15)))) == [40, 55, 15]


def test_grooming_without_a_hard_splitting() -> None:
    assert groomed(Branch(100, (Branch(5), Branch(95)))) is None


def test_the_plan_is_even_and_shares_no_seed() -> None:
    chunks = plan(1_502, CLASSES, 3, Generator(), Clustering())
    assert [sum(c.jets for c in chunks if c.name == name) for name in CLASSES] == [301, 301, 300, 300, 300]
    assert max(c.jets for c in chunks) == 250
    seeds = [c.seed for s in (2, 3) for c in plan(1_502, CLASSES, s, Generator(), Clustering())]
    assert len(set(seeds)) == len(seeds)
    assert max(c.seed for c in plan(10_000_000, CLASSES, 999, Generator(), Clustering())) < 900_000_000


def test_the_written_file_is_what_load_reads(tmp_path: Path) -> None:
    chunks = plan(400, CLASSES, 0, Generator(), Clustering())
    random = np.random.default_rng(0)
    found = [random.normal(CLASSES.index(c.name), 0.01, (c.jets, 16)).astype(np.float32) for c in chunks]
    path = write(tmp_path / "new.npz", chunks, found, CLASSES)
    data = load("jets", source="file", path=path)
    raw = data.test.x[:, 0] * data.scale[0] + data.mean[0]
    assert np.array_equal(np.rint(raw).astype(int), data.test.y)
    with np.load(path) as file:
        assert len(set(file["y"][:20].tolist())) > 2, "rows are shuffled"


@pytest.mark.parametrize("library", ["pythia8mc", "fastjet"])
def test_without_the_libraries(
    library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("pythia8mc", "fastjet"):
        monkeypatch.setitem(sys.modules, name, None if name == library else type(sys)(name))
    assert main([str(tmp_path / "out.npz"), "--jets", "10"]) == 2
    assert capsys.readouterr().err == (
        f"{library}, which generates jets, is not installed; pip install 'torchq[physics]'\n"
    )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--classes", "g,b"], "unknown class 'b'; it needs to be one of g, q, w, z, t"),
        (["--jets", "4"], "jets must be 5, one for each class, to 10000000, got 4"),
        (["--seed", "1000"], "seed must be 0 to 999, got 1000"),
        (["--processes", "0"], "processes must be at least 1, got 0"),
    ],
)
def test_options_out_of_range(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path / "out.npz"), *arguments]) == 2
    assert capsys.readouterr().err == f"{message}\n"


@pytest.mark.parametrize("path", ["file/out.npz", "folder"])
def test_a_place_that_cannot_be_written_is_told_before_the_work(
    path: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    assert main([str(tmp_path / path)]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"{tmp_path / path}: is a folder;" if path == "folder" else str(tmp_path / "file"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder"]


def test_plan_refuses_with_a_data_error() -> None:
    with pytest.raises(DataError):
        plan(10, ("x",), 0, Generator(), Clustering())
