"""The example of a search in a script of one's own, made small: it ends in a trained network and its file."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from torchq.search import read_journal

EXAMPLE = Path(__file__).parents[2] / "examples" / "autoq.py"


def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("autoq_example", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_example_is_short() -> None:
    assert len(EXAMPLE.read_text(encoding="utf-8").splitlines()) < 80


@pytest.mark.slow
def test_the_example_runs_and_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    module = example()
    found = module.main(tmp_path, trials=4, jets=2000, epochs=1)
    shown = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in shown[:4]] == ["network", "float", "BF", "Q6"]
    assert shown[5].startswith("asking took ")
    assert (tmp_path / "model.onnx").is_file()
    assert found.metrics["energy_pj"] < found.references["Q6"].metrics["energy_pj"]
    again = module.main(tmp_path, trials=5, jets=2000, epochs=1)
    assert again.search.restored == 4
    assert len(read_journal(tmp_path / "trials.jsonl")[1]) == 5
