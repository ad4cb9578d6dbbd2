"""What must hold of the house itself: cheap imports, small files, one home for each heavy library."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted([*ROOT.glob("torchq/**/*.py"), *ROOT.glob("hls_export/**/*.py")])
HEAVY = (
    "ax",
    "botorch",
    "ray",
    "onnx",
    "hls4ml",
    "qonnx",
    "matplotlib",
    "pandas",
    "pydantic",
    "ruamel",
    "rich",
    "click",
)


def modules_after(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in done.stdout.split()}


@pytest.mark.parametrize("package", ["torchq", "hls_export"])
def test_importing_brings_nothing_heavy_but_torch(package: str) -> None:
    brought = modules_after(f"import {package}") - modules_after("import torch")
    assert not brought & set(HEAVY)


def test_files_are_small() -> None:
    long = {str(p.relative_to(ROOT)): n for p in SOURCES if (n := len(p.read_text().splitlines())) > 400}
    assert not long


def imports_of(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module.partition(".")[0])
    return found


@pytest.mark.parametrize(
    ("library", "home"),
    [
        ("ax", "torchq/search/ax.py"),
        ("ray", "torchq/search/executors/ray.py"),
        ("hls4ml", "hls_export/backends/hls4ml.py"),
        ("pydantic", "torchq/recipe/"),
        ("ruamel", "torchq/recipe/yaml.py"),
        ("onnx", "hls_export/qonnx/"),
    ],
)
def test_one_home_for_each_heavy_library(library: str, home: str) -> None:
    users = {str(p.relative_to(ROOT)) for p in SOURCES if library in imports_of(p)}
    assert users
    assert all(user.startswith(home) for user in users), users


def test_nothing_is_pickled_or_evaluated() -> None:
    for path in SOURCES:
        assert "pickle" not in imports_of(path), path
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in ("eval", "exec"), path
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == "load"
            ):
                owner = node.func.value
                if isinstance(owner, ast.Name) and owner.id == "torch":
                    keywords = {k.arg: k.value for k in node.keywords}
                    only = keywords.get("weights_only")
                    assert isinstance(only, ast.Constant), path
                    assert only.value is True, path
