"""``torchq cost`` of run directories, finished and not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from torchq.cli.main import cli, guarded

pytestmark = pytest.mark.slow

SMALL = (
    "data.limit=3000",
    "train.epochs=2",
    "references.train.epochs=1",
    "search.trials=3",
    "search.searcher=random",
    "search.train.epochs=1",
    "pick.times_lower={energy_pj: 2}",
    "pick.candidates=1",
    "pick.train.epochs=1",
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    arguments = ["run", "jets/autoq_energy", *SMALL, "--until", "train", "--out", str(out), "--quiet"]
    assert guarded(cli, arguments) == 0
    return out


@pytest.fixture
def run(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "run"))


def cost(run: Path, capsys: pytest.CaptureFixture[str], *more: str) -> dict[str, object]:
    capsys.readouterr()
    assert guarded(cli, ["cost", str(run), "--targets", "bits,energy_pj", "--json", "-", *more]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_picked_network_costs_what_the_run_says(run, capsys) -> None:
    said = json.loads((run / "train.json").read_text())
    references = json.loads((run / "references.json").read_text())
    found = cost(run, capsys)
    assert found["network"] == f"picked (trial {said['number']})"
    for name in ("bits", "energy_pj"):
        assert found["total"][name] == pytest.approx(said["cost"]["total"][name])
        assert found["beside"]["Q6 (uniform 6-bit)"][name] == pytest.approx(
            references["q6"]["cost"]["total"][name]
        )
        assert found["beside"]["BF (16-bit reference)"][name] == pytest.approx(
            references["bf"]["cost"]["total"][name]
        )
    assert found["beside"]["float32"]["bits"] == 32 * 4389
    assert found["remarks"] == []


def test_another_trial_is_priced_by_its_number(run, capsys) -> None:
    picked = json.loads((run / "train.json").read_text())["number"]
    other = next(number for number in range(3) if number != picked)
    lines = [json.loads(line) for line in (run / "trials.jsonl").read_text().splitlines()]
    metrics = next(line["metrics"] for line in lines if line.get("number") == other)
    found = cost(run, capsys, "--trial", str(other))
    assert found["network"] == f"trial {other}"
    assert found["total"]["bits"] == metrics["bits"]
    assert "keeps no weights" in found["remarks"][0]
    assert cost(run, capsys, "--trial", str(picked))["remarks"] == []


def test_a_trial_that_is_not_there_is_refused(run, capsys) -> None:
    assert guarded(cli, ["cost", str(run), "--trial", "9"]) == 2
    assert capsys.readouterr().err == f"error: {run}: has no trial 9; Trials: 0, 1, 2\n"


def test_a_run_is_priced_as_far_as_it_has_come(run, capsys) -> None:
    (run / "train.json").unlink()
    found = cost(run, capsys)
    assert str(found["network"]).startswith("trial ")
    assert "has the best score so far" in found["remarks"][0]
    (run / "trials.jsonl").unlink()
    assert cost(run, capsys)["network"] == "Q6 (uniform 6-bit)"
    (run / "references.json").unlink()
    assert cost(run, capsys)["network"] == "BF (16-bit reference)"
    (run / "float.json").unlink()
    assert guarded(cli, ["cost", str(run)]) == 2
    assert "the run has no trained network yet; let `torchq run` go on" in capsys.readouterr().err


def test_settings_of_the_recipe_hold_unless_others_are_given(run, capsys) -> None:
    recipe = run / "recipe.yaml"
    recipe.write_text(recipe.read_text() + "\n")
    fixed = cost(run, capsys, "--set", "weights_on_memory=fixed")
    assert fixed["total"]["energy_pj_parameters"] == 0
    assert cost(run, capsys)["total"]["energy_pj_parameters"] > 0


def test_damaged_runs_end_in_a_sentence(run, capsys) -> None:
    (run / "picked.pt").write_bytes(b"nothing")
    assert guarded(cli, ["cost", str(run)]) == 2
    assert "Traceback" not in capsys.readouterr().err
    (run / "run.json").write_text("{")
    assert guarded(cli, ["cost", str(run)]) == 2
    assert "cannot be read" in capsys.readouterr().err
