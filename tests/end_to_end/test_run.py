"""The main job, small: every stage on real jets, stopped, killed, gone on with, and reported."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from torchq.cli.main import cli, guarded

SMALL = (
    "data.limit=6000",
    "train.epochs=8",
    "references.train.epochs=2",
    "search.trials=6",
    "search.searcher=random",
    "search.train.epochs=2",
    "pick.times_lower={energy_pj: 4}",
    "pick.candidates=1",
    "pick.train.epochs=8",
    "verify.jets=600",
    "verify.adversarial=400",
    "synthesis=null",  # it has tests of its own
)
KEYS = {
    "accuracy_float",
    "accuracy_q6",
    "accuracy_picked",
    "energy_pj_bf",
    "energy_pj_picked",
    "bits_bf",
    "bits_picked",
    "vectors",
    "mismatches",
    "wall_s",
}


def torchq(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-c", "from torchq.cli import main; main()", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        **options,  # type: ignore[call-overload]
    )


def journal(run: Path) -> list[dict[str, object]]:
    lines = (run / "trials.jsonl").read_text().splitlines()
    return [record for line in lines[1:] if "status" in (record := json.loads(line))]


def test_jets_to_verified_firmware(tmp_path: Path) -> None:
    run = tmp_path / "run"
    done = torchq("run", "jets/autoq_energy", *SMALL, "--out", str(run))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == str(run)
    figures = json.loads((run / "summary.json").read_text())
    assert set(figures) == KEYS
    assert figures["vectors"] == 1000
    assert figures["mismatches"] == 0
    assert figures["bits_bf"] == 61446
    assert 0.3 < figures["accuracy_picked"] < 1
    assert figures["energy_pj_picked"] < figures["energy_pj_bf"] / 4
    page = (run / "report.html").read_text()
    assert "bit-exact: 1,000 vectors, 0 mismatches" in page
    assert "source=estimate" in page  # what no tool has synthesised says so
    assert (run / "report.md").is_file()
    assert (run / "hls" / "firmware" / "myproject.cpp").is_file()
    interface = json.loads((run / "hls" / "interface.json").read_text())
    assert "standardisation" in json.dumps(interface)

    again = torchq("run", "jets/autoq_energy", *SMALL, "--out", str(run))
    assert again.returncode == 0, again.stderr
    assert again.stdout.count("done before") == 8
    assert len(journal(run)) == 6

    other = torchq("run", "jets/autoq_energy", *SMALL, "seed=5", "--out", str(run))
    assert other.returncode == 2
    assert other.stderr == (
        f"error: {run}: holds a run of another recipe (seed: 1 there, 5 here); "
        "choose another folder with --out, or remove this one\n"
    )


def test_a_firmware_that_differs_is_reported_and_fails(tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert torchq("run", "jets/autoq_energy", *SMALL, "--until", "lower", "--out", str(run)).returncode == 0
    folder = run / "hls" / "firmware" / "weights"
    for text in folder.glob("w*.txt"):  # the first weight of every layer, in both places it stands
        first, comma, rest = text.read_text().partition(",")
        other = "0.25" if float(first) == 0 else "0.0"
        header = folder / f"{text.stem}.h"
        head, brace, values = header.read_text().partition("{")
        text.write_text(other + comma + rest)
        header.write_text(head + brace + other + "," + values.partition(",")[2])
    for library in (run / "hls").rglob("*.so"):
        library.unlink()
    done = torchq("run", "jets/autoq_energy", *SMALL, "--out", str(run))
    assert done.returncode == 1, done.stdout + done.stderr
    assert "C simulation differs from torch in " in done.stderr
    assert ", first at fc1, sample " in done.stderr
    assert "NOT bit-exact" in (run / "report.html").read_text()


def test_until_and_report_of_a_run_half_done(tmp_path: Path) -> None:
    run = tmp_path / "run"
    done = torchq("run", "jets/autoq_energy", *SMALL, "--until", "float", "--out", str(run))
    assert done.returncode == 0, done.stderr
    assert not (run / "references.json").exists()
    report = torchq("report", str(run))
    assert report.returncode == 0, report.stderr
    assert "not run yet" in (run / "report.md").read_text()
    summary = json.loads((run / "summary.json").read_text())
    assert summary["accuracy_float"] is not None
    assert summary["mismatches"] is None


def test_killed_runs_lose_nothing_and_end_the_same(tmp_path: Path) -> None:
    options = [
        *(o for o in SMALL if not o.startswith("search.trials")),
        "search.trials=8",
        "--until",
        "train",
    ]
    whole = tmp_path / "whole"
    assert torchq("run", "jets/autoq_energy", *options, "--out", str(whole)).returncode == 0
    killed = tmp_path / "killed"
    command = [sys.executable, "-c", "from torchq.cli import main; main()"]
    command += ["run", "jets/autoq_energy", *options, "--out", str(killed)]
    seen: dict[object, str] = {}
    for pause_s in (3.0, 4.5, 5.5, 6.5):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(pause_s)
        process.send_signal(signal.SIGKILL)
        process.wait()
        if (killed / "trials.jsonl").exists():
            now = {t["number"]: json.dumps(t) for t in _whole_lines(killed)}
            assert all(now[number] == line for number, line in seen.items()), "a finished trial was lost"
            seen = now
    assert torchq("run", "jets/autoq_energy", *options, "--out", str(killed)).returncode == 0
    mine, reference = journal(killed), journal(whole)
    assert [t["number"] for t in mine] == list(range(8))
    assert [(t["point"], t["metrics"]) for t in mine] == [(t["point"], t["metrics"]) for t in reference]
    picked = json.loads((killed / "train.json").read_text())
    expected = json.loads((whole / "train.json").read_text())
    assert picked["accuracy"] == expected["accuracy"]
    assert picked["number"] == expected["number"]


def _whole_lines(run: Path) -> list[dict[str, object]]:
    found = []
    for line in (run / "trials.jsonl").read_text().splitlines()[1:]:
        try:
            record = json.loads(line)
        except ValueError:
            break
        if "status" in record:  # not what was only asked
            found.append(record)
    return found


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("report", "nowhere"), "error: nowhere: holds no run; give the folder that `torchq run` printed"),
        (
            ("run", "jets/nothing"),
            "error: jets/nothing: no such recipe file, and no recipe of that name is shipped",
        ),
        (
            ("run", "jets/autoq_energy", "search.trials=0"),
            "error: command line: search.trials: must be greater than 0",
        ),
        (("run", "jets/autoq_energy", "--resume", "--out", "x"), "error: x: there is no run to go on with"),
        (("run", "jets/autoq_energy", "data.source=file", "data.path=no.csv"), "error: no.csv: no such file"),
        (("cat", "x"), "error: x: no such recipe file"),
        (("nonsense",), "Usage: "),
    ],
)
def test_bad_commands_end_in_a_sentence(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    sentence: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert guarded(cli, list(arguments)) == 2
    assert capsys.readouterr().err.startswith(sentence)


def test_ls_cat_cp_validate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def said(*arguments: str, code: int = 0) -> str:
        assert guarded(cli, list(arguments)) == code
        captured = capsys.readouterr()
        return captured.out if code == 0 else captured.err

    named = [line.split("  ")[0] for line in said("ls").splitlines()]
    assert {"jets/autoq_energy", "jets/autoq_bits", "paper/autoq_qe", "paper/table_energy"} <= set(named)
    text = said("cat", "jets/autoq_energy")
    path = tmp_path / "autoq_energy.yaml"
    assert said("cp", "jets/autoq_energy", str(tmp_path)) == f"{path}\n"
    assert path.read_text() == text
    assert said("cp", "jets/autoq_energy", str(tmp_path), code=2) == (
        f"error: {path}: exists already; give another name, or --force\n"
    )
    assert said("validate", str(path)) == f"{path}: good\n"
    path.write_text(text.replace("trials:", "trails:"))
    wrong = said("validate", str(path), code=2)
    assert "search.trails: unknown key; did you mean 'trials'?" in wrong
    assert "search.trials: this key is missing" in wrong
