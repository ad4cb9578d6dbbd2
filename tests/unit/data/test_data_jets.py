"""The embedded jets as a user gets them."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from torchq.data import DATASETS, Dataset, load


@pytest.fixture(scope="module")
def jets() -> Dataset:
    return load("jets")


def test_sizes_types_and_names(jets: Dataset) -> None:
    assert [len(part) for part in (jets.train, jets.valid, jets.test)] == [38_400, 9_600, 12_000]
    assert jets.train.x.shape == (38_400, 16)
    assert (jets.train.x.dtype, jets.train.y.dtype) == (np.float32, np.int64)
    assert jets.classes == ("g", "q", "w", "z", "t")
    assert (jets.features[0], jets.features[-2:]) == ("zlogz", ("mass_mmdt", "multiplicity"))


def test_it_says_that_it_is_simulated(jets: Dataset) -> None:
    assert "SIMULATED" in jets.source
    assert "not the public OpenML data" in jets.source
    assert jets.source in jets.summary()


def test_classes_are_what_their_names_say(jets: Dataset) -> None:
    """Heavy particles make heavy jets: the median mass of w, z and t is near 80, 91 and 170 GeV."""
    column = jets.features.index("mass_mmdt")
    mass = jets.train.x[:, column] * jets.scale[column] + jets.mean[column]
    median = {name: float(np.median(mass[jets.train.y == i])) for i, name in enumerate(jets.classes)}
    assert abs(median["w"] - 80.4) < 6
    assert abs(median["z"] - 91.2) < 6
    assert 110 < median["t"] < 190
    assert max(median["g"], median["q"]) < 50


def test_the_doubled_feature_is_doubled(jets: Dataset) -> None:
    one, other = (jets.features.index(name) for name in ("d2_b1_mmdt", "d2_a1_b1_mmdt"))
    assert np.array_equal(jets.test.x[:, one], jets.test.x[:, other])


def test_the_same_arguments_give_the_same_arrays(jets: Dataset) -> None:
    code = (
        "import hashlib; from torchq.data import load; d = load('jets');"
        "print(hashlib.sha256(d.train.x.tobytes() + d.test.y.tobytes()).hexdigest())"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    import hashlib

    here = hashlib.sha256(jets.train.x.tobytes() + jets.test.y.tobytes()).hexdigest()
    assert other.stdout.strip() == here


def test_summary_and_dict(jets: Dataset) -> None:
    assert jets.summary().splitlines()[0] == (
        "jets: 60,000 samples of 5 classes (g, q, w, z, t), 16 features; 38,400 to train, 9,600 to validate, "
        "12,000 to test (seed 0)"
    )
    held = json.loads(json.dumps(jets.to_dict()))
    assert held["samples"] == {"train": 38_400, "valid": 9_600, "test": 12_000}
    assert held["mean"] == jets.mean.tolist()
    assert held["scale"] == jets.scale.tolist()


def test_the_registry_knows_it() -> None:
    assert list(DATASETS) == ["jets"]
