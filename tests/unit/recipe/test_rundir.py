"""The run directory: locked, tied to its recipe, written whole or not at all."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from torchq.errors import RunDirError
from torchq.files import atomic_write_bytes
from torchq.recipe import load
from torchq.recipe.rundir import RunDir
from torchq.recipe.stages.searching import trials_of


def test_a_run_of_another_recipe_is_refused_and_names_the_key(tmp_path: Path) -> None:
    with RunDir.open(tmp_path / "run", load("jets/autoq_energy")):
        pass
    with pytest.raises(RunDirError) as caught:
        RunDir.open(tmp_path / "run", load("jets/autoq_energy", ["search.trials=7"]))
    assert f"{tmp_path / 'run'}: holds a run of another recipe (search.trials: " in str(caught.value)
    assert str(caught.value).endswith("there, 7 here); choose another folder with --out, or remove this one")


def test_a_foreign_folder_is_refused_and_untouched(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(RunDirError, match="is not empty and holds no run; choose another folder with --out"):
        RunDir.open(tmp_path, load("jets/autoq_energy"))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_resume_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunDirError, match="there is no run to go on with; leave out --resume"):
        RunDir.open(tmp_path / "run", load("jets/autoq_energy"), resume=True)
    assert not (tmp_path / "run").exists()


def test_a_run_is_held_by_one_process(tmp_path: Path) -> None:
    with RunDir.open(tmp_path / "run", load("jets/autoq_energy")):
        code = (
            "import sys; from torchq.recipe import load; from torchq.recipe.rundir import RunDir\n"
            "from torchq.errors import RunDirError\n"
            "try: RunDir.open(sys.argv[1], load('jets/autoq_energy'))\n"
            "except RunDirError as fault: print(fault)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "run")], capture_output=True, text=True, check=True
        )
        assert "another process is working on this run; wait for it, or stop it first" in done.stdout
    with RunDir.open(tmp_path / "run", load("jets/autoq_energy")):
        pass


def test_a_full_disk_leaves_the_old_file_and_no_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file.json"
    atomic_write_bytes(path, b"old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunDirError) as caught:
        atomic_write_bytes(path, b"new")
    assert str(caught.value) == (
        f"{path}: cannot be written (No space left on device); "
        "free some space or choose another folder; nothing was left half-written"
    )
    assert path.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["file.json"]


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    with RunDir.open(tmp_path / "run", load("jets/autoq_energy")) as run:
        run.file("data.json").write_text('{"classes": ["g", ')
        with pytest.raises(RunDirError, match=r"data\.json: cannot be read"):
            run.read("data.json")


def test_a_run_killed_before_its_first_file_goes_on(tmp_path: Path) -> None:
    (tmp_path / ".lock").touch()
    (tmp_path / ".run.json.x1").write_text('{"rec')
    with RunDir.open(tmp_path, load("jets/autoq_energy")) as run:
        run.file("recipe.yaml").unlink()  # killed between the two
    with RunDir.open(tmp_path, load("jets/autoq_energy")) as run:
        assert run.file("recipe.yaml").is_file()


@pytest.mark.parametrize("data", [b"", b'{"kind": "torchq se'])
def test_a_search_killed_before_its_first_line_goes_on(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "trials.jsonl").write_bytes(data)
    assert trials_of(RunDir(tmp_path)) == []


def test_somebody_elses_run_json_is_no_run_of_this_recipe(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(RunDirError, match="holds a run of another recipe"):
        RunDir.open(tmp_path, load("jets/autoq_energy"))
