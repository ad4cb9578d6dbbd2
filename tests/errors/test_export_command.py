"""``hls-export`` on files and folders that are not as they should be: a sentence, code 2, nothing left."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from hls_export.cli import guarded
from hls_export.qonnx import read

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "hls_export"))
from hls_onnx import DOMAIN, Foreign, weights


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def perceptron(seed: int = 0) -> tuple[Foreign, str]:
    file = Foreign()
    w = file.quant(file.constant(weights(seed)), name="w")
    return file, file.op("MatMul", file.quant("x", name="in"), w, name="fc1")


def good(path: Path, seed: int = 0) -> Path:
    file, y = perceptron(seed)
    return file.save(path, file.quant(file.op("Relu", y, name="relu1"), signed=0, name="out"))


def changed(path: Path, change) -> Path:
    """A good file with something changed in its model."""
    model = onnx.load(good(path), load_external_data=False)
    change(model)
    path.write_bytes(model.SerializeToString())
    return path


def refused(path: Path, capsys, *options: str) -> str:
    """What both commands say; nothing is left behind beside what was there."""
    before = sorted(p.name for p in path.parent.iterdir())
    said = []
    for words in (["verify", str(path)], [str(path), "--out", "project", *options]):
        assert guarded(words) == 2
        captured = capsys.readouterr()
        assert captured.err.startswith("error: ")
        assert "Traceback" not in captured.err
        assert captured.out == ""
        said.append(captured.err.strip().removeprefix("error: ").replace(f"{path.parent}/", ""))
    assert sorted(p.name for p in path.parent.iterdir()) == before
    assert said[0] == said[1]
    return said[0]


# ---------------------------------------------------------------------- files


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_truncated(folder, capsys, share):
    path = good(folder / "m.onnx")
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    assert "m.onnx" in refused(path, capsys)


def test_a_large_file_of_no_sense(folder, capsys):
    path = folder / "m.onnx"
    path.write_bytes(b"\x0a" * 10_000_000)
    assert refused(path, capsys) == "m.onnx is not an ONNX file, or is truncated; export it again"


def test_a_cycle(folder, capsys):
    def tie(model):
        model.graph.node[-1].input[0] = model.graph.node[-1].output[0]

    assert "reads 't" in refused(changed(folder / "m.onnx", tie), capsys)


@pytest.mark.parametrize("location", ["../secret.bin", "/etc/passwd", "secret.bin", "a/../../secret.bin"])
@pytest.mark.parametrize("in_a_node", [False, True])
def test_weights_in_other_files_are_not_looked_for(folder, capsys, location, in_a_node):
    """Not within the folder either: what is verified is the file."""
    (folder / "secret.bin").write_bytes(weights().tobytes())
    (folder / "sub").mkdir()
    file = Foreign()
    x = file.quant("x", name="in")
    tensor = onnx.TensorProto(name="w", data_type=1, dims=[4, 3], data_location=onnx.TensorProto.EXTERNAL)
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", location
    if in_a_node:
        file.nodes.append(helper.make_node("Constant", [], ["w"], value=tensor))
    else:
        file.initializers.append(tensor)
    path = file.save(folder / "sub" / "m.onnx", file.op("MatMul", x, "w", name="fc1"))
    message = "m.onnx keeps w in other files; save it with all weights inside"
    assert refused(path, capsys) == message


@pytest.mark.parametrize("version", [999, 2**40])
def test_an_opset_of_the_future(folder, capsys, version):
    def raise_opset(model):
        model.opset_import[0].version = version

    message = refused(changed(folder / "m.onnx", raise_opset), capsys)
    assert message.startswith(f"m.onnx has opset {version}, and the installed onnx knows up to ")


def test_unknown_domains_and_operators_are_named_at_once(folder, capsys):
    file, y = perceptron()
    y = file.op("Rotate", file.op("Unheard", y, name="act"), name="turn", domain="who.knows")
    y = file.op("Quant", y, name="elsewhere", domain="my.domain")
    message = refused(file.save(folder / "m.onnx", y), capsys)
    assert message.startswith(
        "m.onnx: 3 nodes cannot be lowered: act (Unheard), turn (Rotate), elsewhere (Quant); these can: Abs, "
    )


@pytest.mark.parametrize("shape", [None, ("n",), ("n", "features")])
def test_missing_shapes(folder, capsys, shape):
    file = Foreign(shape)
    path = file.save(folder / "m.onnx", file.quant("x"))
    assert refused(path, capsys).startswith("m.onnx: the input 'x' has no known shape")


LARGE = 2**40
ABSURD = {
    "input": ((LARGE, LARGE), lambda f, x: x, "the input 'x' has "),
    "pad": (
        (2, 4, 4),
        lambda f, x: f.op("Pad", x, f.constant([0, 0, LARGE, 0, 0, 0, 0, 0], np.int64), name="p"),
        "p (Pad) makes samples of shape ",
    ),
    "convolution": (
        (2, 4, 4),
        lambda f, x: f.op(
            "Conv", x, f.quant(f.constant(weights(0, (3, 2, 1, 1)))), name="c", pads=[10**9] * 4
        ),
        "makes samples of shape ",
    ),
    "resize": (
        (2, 4, 4),
        lambda f, x: f.op("Resize", x, "", f.constant([1, 1, 1e9, 1e9]), name="up", mode="nearest"),
        "up (Resize) makes samples of shape ",
    ),
    "strides": (
        (2, 4, 4),
        lambda f, x: f.op("Conv", x, f.quant(f.constant(weights(0, (3, 2, 3, 3)))), name="c", strides=[0, 0]),
        "c (Conv) has kernel (3, 3), strides (0, 0)",
    ),
    "window": ((2, 4, 4), lambda f, x: f.op("MaxPool", x, name="p", kernel_shape=[10**9] * 2), "m.onnx"),
    "constant": (
        (4,),
        lambda f, x: f.op("Add", x, f.op("ConstantOfShape", f.constant([LARGE], np.int64), name="c")),
        "c (ConstantOfShape) makes a constant of shape ",
    ),
}


@pytest.mark.parametrize("name", ABSURD)
def test_absurd_shapes(folder, capsys, name):
    shape, grow, message = ABSURD[name]
    file = Foreign(("n", *shape))
    path = file.save(folder / "m.onnx", grow(file, file.quant("x", name="in")))
    assert message in refused(path, capsys)


@pytest.mark.parametrize("seed", range(6))
def test_models_changed_at_random_end_in_a_sentence(folder, capsys, seed):
    """Attributes, sizes, wires and operators that no tool writes."""
    random = np.random.default_rng([seed, 17])
    odd = [-(2**63), -1, 0, 1, 3, 2**31, 2**62]
    codes = set()
    for _ in range(25):

        def spoil(model, random=random):
            node = model.graph.node[random.integers(len(model.graph.node))]
            tensor = model.graph.initializer[random.integers(len(model.graph.initializer))]
            match random.integers(6):
                case 0 if node.attribute:
                    node.attribute[0].i = int(random.choice(odd))
                case 1 if node.attribute:
                    node.attribute[0].type = int(random.integers(12))
                case 2:
                    tensor.dims.append(int(random.choice(odd)))
                case 3:
                    tensor.data_type = int(random.integers(24))
                case 4 if node.input:
                    node.input[0] = model.graph.node[random.integers(len(model.graph.node))].output[0]
                case _:
                    node.op_type = str(random.choice(["Conv", "Pad", "LSTM", "Resize", "Split", "Constant"]))

        path = changed(folder / "m.onnx", spoil)
        codes.add(guarded(["verify", str(path), "--quick"]))
        assert "Traceback" not in capsys.readouterr().err
    assert codes <= {0, 2}
    assert 2 in codes


def test_more_memory_than_there_is(folder, capsys, monkeypatch):
    def exhausted(*_):
        raise MemoryError

    path = good(folder / "m.onnx")
    monkeypatch.setattr("hls_export.cli.samples.vectors", exhausted)
    assert refused(path, capsys) == "the model needs more memory than there is"


# ---------------------------------------------------------------------- folders


def test_the_folder_of_another_model(folder, capsys):
    pytest.importorskip("hls4ml")
    from hls_export import lower

    lower(read(good(folder / "a.onnx")), folder / "project")
    before = {p: p.read_bytes() for p in (folder / "project").rglob("*") if p.is_file()}
    other = good(folder / "b.onnx", seed=1)
    assert guarded([str(other), "--out", "project"]) == 2
    message = "error: project holds the project of another model; choose another folder or remove it\n"
    assert capsys.readouterr().err == message
    assert {p: p.read_bytes() for p in (folder / "project").rglob("*") if p.is_file()} == before


def test_a_folder_of_other_things(folder, capsys):
    (folder / "project").mkdir()
    (folder / "project" / "thesis.tex").write_text("years of work")
    assert guarded([str(good(folder / "m.onnx")), "--out", "project"]) == 2
    assert "holds files that are no project of hls_export" in capsys.readouterr().err
    assert [p.name for p in (folder / "project").iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize(
    "marker", ["", "{", "[]", '{"layout": 2}', '{"layout": 99, "model": {"digest": ""}}']
)
def test_a_damaged_project(folder, capsys, marker):
    (folder / "project").mkdir()
    (folder / "project" / "hls_export.json").write_text(marker)
    path = good(folder / "m.onnx")
    for words in (["verify", str(path), "--project", "project"], [str(path), "--out", "project"]):
        assert guarded(words) == 2
        said = capsys.readouterr().err
        assert "is damaged" in said or "was written by another version" in said


def test_a_project_of_another_model_is_not_compared(folder, capsys):
    pytest.importorskip("hls4ml")
    from hls_export import lower

    lower(read(good(folder / "a.onnx")), folder / "project")
    other = good(folder / "b.onnx", seed=1)
    assert guarded(["verify", str(other), "--project", "project"]) == 2
    assert "another" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written(folder, capsys):
    pytest.importorskip("hls4ml")
    (folder / "file").write_text("")
    assert guarded([str(good(folder / "m.onnx")), "--out", "file/project"]) == 2
    assert "cannot be written" in capsys.readouterr().err
    assert sorted(p.name for p in folder.iterdir()) == ["file", "m.onnx"]


# ---------------------------------------------------------------------- compilers


def only(folder: Path, monkeypatch, **programs: str) -> None:
    """A PATH with these programs alone."""
    tools = folder / "tools"
    tools.mkdir()
    for name, script in programs.items():
        program = tools / name.replace("gxx", "g++")
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tools))


def test_no_compiler(folder, capsys, monkeypatch):
    pytest.importorskip("hls4ml")
    only(folder, monkeypatch)
    assert guarded([str(good(folder / "m.onnx")), "--out", "project"]) == 2
    assert "error: g++ is not on the PATH; install g++" in capsys.readouterr().err
    verdict = json.loads((folder / "project" / "verify.json").read_text())
    assert verdict["agree"] is False
    assert verdict["verdict"].startswith("not verified: ")


def test_the_first_error_of_the_compiler_is_shown(folder, capsys, monkeypatch):
    pytest.importorskip("hls4ml")
    error = "firmware/myproject.cpp:7:1: error: no such luck"
    only(
        folder, monkeypatch, gxx=f'echo "note: x" >&2; echo "{error}" >&2; echo "y: error: more" >&2; exit 1'
    )
    assert guarded([str(good(folder / "m.onnx")), "--out", "project"]) == 2
    said = capsys.readouterr().err
    assert said.strip().endswith(f"g++ failed: {error}")
    assert "more" not in said
    assert not list((folder / "project" / "firmware").glob("*.so"))
    verdict = json.loads((folder / "project" / "verify.json").read_text())
    assert verdict["agree"] is False
    assert verdict["verdict"].startswith("not verified: ")


def test_a_backend_that_is_not_installed(folder, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "hls4ml", None)
    path = good(folder / "m.onnx")
    assert guarded([str(path), "--out", "project"]) == 2
    assert capsys.readouterr().err == "error: hls4ml is not installed; pip install 'torchq[hls]'\n"
    assert [p.name for p in folder.iterdir()] == ["m.onnx"]


def test_everything_that_a_backend_cannot_do_is_said_at_once(folder, capsys):
    words = [
        str(good(folder / "m.onnx")),
        "--out",
        "project",
        "--strategy",
        "fastest",
        "--layer",
        "fc7:reuse_factor=2",
    ]
    assert guarded(words) == 2
    said = capsys.readouterr().err
    assert "strategy must be one of " in said
    assert "there is no layer 'fc7'; did you mean 'fc1'?" in said
    assert [p.name for p in folder.iterdir()] == ["m.onnx"]


# ---------------------------------------------------------------------- vectors


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((3, 5)), "have shape (3, 5), the model takes (n, 4)"),
        (np.zeros(4), "have shape (4,), the model takes (n, 4)"),
        (np.zeros((2, 4, 1)), "have shape (2, 4, 1), the model takes (n, 4)"),
        (np.zeros(()), "have shape (), the model takes (n, 4)"),
        (np.full((2, 4), np.nan), "hold nan in sample 0"),
        (np.full((2, 4), np.inf), "hold inf in sample 0"),
        (np.array([["a"] * 4]), "x.npy"),
        (np.zeros((2, 4), dtype=complex), "x.npy"),
    ],
)
def test_vectors_that_do_not_fit(folder, capsys, values, message):
    np.save("x.npy", values)
    path = good(folder / "m.onnx")
    for words in (["verify", str(path)], [str(path), "--out", "project"]):
        assert guarded([*words, "--vectors", "x.npy"]) == 2
        captured = capsys.readouterr()
        assert message in captured.err
        assert captured.out == ""
    assert not (folder / "project").exists()


def test_the_good_file_is_good(folder, capsys):
    """All of the above would pass if nothing were ever accepted."""
    assert guarded(["verify", str(good(folder / "m.onnx")), "--quick"]) == 0
    assert "equal  ONNX = emulator on 2,000 vectors" in capsys.readouterr().out
    assert DOMAIN in {node.domain for node in onnx.load(folder / "m.onnx").graph.node}
    assert json.dumps(read(folder / "m.onnx").output_shape) == "[3]"
