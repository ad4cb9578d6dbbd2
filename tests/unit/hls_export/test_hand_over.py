"""What the FPGA engineer gets: complete, right, and the same bytes for the same model."""

from __future__ import annotations

import filecmp
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hls_networks import onnx_of, random_graph
from rtl_tools import HAS_ALKAID, needs_icarus

from hls_export import execute, lower, read
from hls_export.backends.bench import VECTORS

needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")
LOWER = """
import sys
from hls_export import lower
for word in sys.argv[3:]:
    backend, strategy = word.split(":")
    lower(sys.argv[1], f"{sys.argv[2]}/{backend}", backend=backend, strategy=strategy)
"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    pytest.importorskip("hls4ml")
    return onnx_of(random_graph(5, layers=2), tmp_path / "m.onnx")


def files(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_the_same_model_gives_the_same_bytes(model: Path, tmp_path: Path) -> None:
    """In two processes that order their sets differently, in folders of different names."""
    backends = ["vitis:latency", "quartus:resource", "oneapi:resource", *(["rtl:latency"] * HAS_ALKAID)]
    running = [
        subprocess.Popen(
            [sys.executable, "-c", LOWER, str(model), str(tmp_path / name), *backends],
            env={**os.environ, "PYTHONHASHSEED": seed},
            stdout=subprocess.DEVNULL,
        )
        for seed, name in (("1", "a"), ("2", "another"))
    ]
    assert [process.wait() for process in running] == [0, 0]
    here = files(tmp_path / "a")
    assert here == files(tmp_path / "another")
    for word in backends:
        folder = word.partition(":")[0]
        assert {f"{folder}/{n}" for n in ("README.md", "interface.json", "hls_export.json")} <= set(here)
    same, different, missing = filecmp.cmpfiles(tmp_path / "a", tmp_path / "another", here, shallow=False)
    assert (different, missing) == ([], [])
    assert len(same) == len(here)


def test_vectors_and_results_are_those_of_the_model(model: Path, tmp_path: Path) -> None:
    project = lower(model, tmp_path / "p")
    data = project.path / "tb_data"
    x, y = (np.loadtxt(data / f"tb_{name}.dat") for name in ("input_features", "output_predictions"))
    assert len(x) == len(y) == VECTORS
    assert np.array_equal(x, x.astype(np.float32))  # the vendor's test bench reads floats
    assert np.array_equal(
        execute(model, x.reshape(VECTORS, *read(model).input_shape)).reshape(VECTORS, -1), y
    )
    text = (project.path / "README.md").read_text()
    interface = json.loads((project.path / "interface.json").read_text())
    for end in ("input", "output"):
        assert f"`{interface[end]['format']['type']}`" in text
    assert interface["digest"] in text
    assert str(tmp_path) not in text


@needs_compiler
@pytest.mark.parametrize(
    ("backend", "strategy"),
    [
        ("vitis", "latency"),
        pytest.param("vivado", "latency", marks=pytest.mark.slow),
        pytest.param("quartus", "resource", marks=pytest.mark.slow),
        pytest.param("catapult", "resource", marks=pytest.mark.slow),
    ],
)
def test_the_commands_of_the_readme_pass_and_notice_a_difference(
    model: Path, tmp_path: Path, backend: str, strategy: str
) -> None:
    project = lower(model, tmp_path / "p", backend=backend, strategy=strategy)
    command = re.search(r"^    (g\+\+ .*) && (\./tb/bench)$", (project.path / "README.md").read_text(), re.M)
    assert command is not None
    subprocess.run(command[1].split(), cwd=project.path, check=True)
    good = subprocess.run(command[2], cwd=project.path, capture_output=True, text=True, check=False)
    assert (good.returncode, good.stdout) == (0, f"PASS: {VECTORS} samples, 0 mismatches\n")
    path = project.path / "tb_data" / "tb_output_predictions.dat"
    lines = path.read_text().splitlines()
    row = lines[7].split()
    lines[7] = " ".join([row[0], repr(float(row[1]) + 0.5), *row[2:]])
    path.write_text("\n".join(lines) + "\n")
    bad = subprocess.run(command[2], cwd=project.path, capture_output=True, text=True, check=False)
    assert bad.returncode == 1
    values = VECTORS * len(row)
    assert bad.stdout.startswith(f"FAIL: 1 of {values} values differ, first sample 7, output 1: ")
    path.write_text("\n".join(lines[:20]) + "\n")
    cut = subprocess.run(command[2], cwd=project.path, capture_output=True, text=True, check=False)
    assert cut.returncode == 1
    assert cut.stdout.startswith("FAIL: the vectors in tb_data cannot be read")


@needs_icarus
def test_the_verilog_bench_of_the_readme_passes(model: Path, tmp_path: Path) -> None:
    project = lower(model, tmp_path / "p", backend="rtl")
    found = re.search(r"^    (cd tb && iverilog .*)$", (project.path / "README.md").read_text(), re.M)
    assert found is not None
    done = subprocess.run(
        ["sh", "-c", found[1]], cwd=project.path, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1].startswith("PASS: 128 samples, 0 mismatches, latency ")
