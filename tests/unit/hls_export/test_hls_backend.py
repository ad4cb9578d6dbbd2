"""The hls4ml backend: what it writes, what it refuses, and what it does with folders; little is compiled."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hls_export.backends import BACKENDS, Capabilities, Settings
from hls_export.backends.csim import CsimProject, first_error
from hls_export.backends.folder import MARKER
from hls_export.emulate import emulate
from hls_export.hardware import Dense, HardwareGraph, Input, Quantize, Relu
from hls_export.lower import lower, open_project
from hls_export.passes import annotate
from hls_export.report import FpgaReport
from hls_export.vectors import adversarial
from torchq.errors import BackendError, DataError, ExportError, UnknownNameError
from torchq.formats import FixedPoint, Overflow


def network(
    *, seed: int = 0, grid: FixedPoint | None = None, names=("x", "q", "fc.1", "relu", "act", "output")
):
    """4 -> 3 -> relu -> 2, with a quantizer where one is needed."""
    random = np.random.default_rng(seed)
    w = FixedPoint(5, 1)
    x, q, first, relu, act, last = names
    return annotate(
        HardwareGraph(
            (
                Input(name=x, shape=(4,)),
                Quantize(name=q, inputs=(x,), shape=(4,), format=FixedPoint(6, 2)),
                Dense(
                    name=first,
                    inputs=(q,),
                    shape=(3,),
                    weight=w.quantize(random.normal(size=(4, 3)) / 2),
                    weight_format=w,
                    bias=w.quantize(random.normal(size=3) / 2),
                    bias_format=w,
                ),
                Relu(name=relu, inputs=(first,), shape=(3,)),
                Quantize(name=act, inputs=(relu,), shape=(3,), format=grid or FixedPoint(4, 1, signed=False)),
                Dense(
                    name=last,
                    inputs=(act,),
                    shape=(2,),
                    weight=w.quantize(random.normal(size=(3, 2)) / 2),
                    weight_format=w,
                ),
            ),
            x,
            last,
            "small",
            {
                "standardisation": json.dumps({"mean": [0.0] * 4, "scale": [1.0, 2.0, 3.0, 4.0]}),
                "features": json.dumps(["a", "b", "c", "d"]),
            },
        )
    )


def one_layer():
    """4 -> 3 -> relu."""
    graph = network()
    return graph.with_nodes(graph.nodes[:5], output="act")


def _files(folder):
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()
    }


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """One project, compiled once."""
    graph = network()
    return graph, lower(graph, tmp_path_factory.mktemp("hls") / "project").compile()


# ---------------------------------------------------------------------- what it computes


def test_the_simulation_is_the_emulator(compiled):
    graph, project = compiled
    x = adversarial(graph, 1000, 3)
    assert (project.predict(x) == emulate(graph, x)).all()


def test_the_trace_has_every_tensor_of_the_hardware(compiled):
    graph, project = compiled
    x = adversarial(graph, 50, 4)
    expected = emulate(graph, x, trace=True)
    found = project.trace(x)
    assert set(found) == {"fc.1", "act", "output"}
    assert all((found[name] == expected[name]).all() for name in found)


def test_a_project_is_opened_again_without_the_generator(compiled, monkeypatch):
    graph, project = compiled
    monkeypatch.setattr("hls_export.backends.hls4ml._hls4ml", None)
    again = open_project(project.path)
    assert isinstance(again, CsimProject)
    monkeypatch.setattr(CsimProject, "_build", lambda *_: pytest.fail("compiled again"))
    x = adversarial(graph, 20)
    assert (again.predict(x) == emulate(graph, x)).all()
    assert again.report() == project.report()


def test_samples_of_another_shape(compiled):
    _, project = compiled
    with pytest.raises(DataError) as fault:
        project.predict(np.zeros((2, 5)))
    assert str(fault.value) == "the samples have shape (2, 5), the model takes (n, 4)"


# ---------------------------------------------------------------------- what it writes


def test_the_report_is_read_back_from_hls4ml(compiled):
    graph, project = compiled
    report = project.report()
    rows = {row.name: row for row in report.layers}
    assert list(rows) == ["x", "fc.1", "relu", "output"]
    assert report.source == "csim"
    assert report.tool.startswith("hls4ml 1.3")
    assert rows["x"].output_type == "ap_fixed<6,2,RND_CONV,SAT>"
    assert rows["fc.1"].input_type == "ap_fixed<6,2,RND_CONV,SAT>"
    assert rows["fc.1"].accumulator_type == str(graph.node("fc.1").format)
    assert rows["relu"].output_type == "ap_ufixed<4,1,RND_CONV,SAT>"
    assert rows["fc.1"].multiplications == 12
    assert rows["fc.1"].nonzero == np.count_nonzero(graph.node("fc.1").weight)
    assert rows["fc.1"].weights == 15
    assert rows["output"].bias_type == ""
    assert FpgaReport.from_dict(json.loads(json.dumps(report.to_dict()))) == report
    head, *lines = report.text().splitlines()
    assert head.split() == [
        *("layer", "shape", "input", "weight", "bias", "accumulator", "output", "nonzero")
    ]
    assert len(lines) == 4


def test_the_types_stand_in_the_cpp(compiled):
    _, project = compiled
    defines = (project.path / "firmware" / "defines.h").read_text()
    assert "typedef ap_fixed<6,2,AP_RND_CONV,AP_SAT,0> x_t;" in defines
    assert "typedef ap_ufixed<4,1,AP_RND_CONV,AP_SAT,0> relu_t;" in defines
    assert "fc_1_weight_t" in defines


def test_the_interface_definition(compiled):
    _, project = compiled
    ports = json.loads((project.path / "interface.json").read_text())
    assert ports["input"]["format"]["type"] == "ap_fixed<6,2,RND_CONV,SAT>"
    assert ports["input"]["elements"] == ["a", "b", "c", "d"]
    assert ports["input"]["standardisation"]["scale"] == [1.0, 2.0, 3.0, 4.0]
    assert ports["output"]["shape"] == [2]
    assert ports["output"]["format"]["type"] == str(network().output_format)


def test_the_facts_of_a_project(compiled):
    _, project = compiled
    facts = project.to_dict()
    assert facts["backend"] == "vitis"
    assert facts["part"] == "xcvu9p-flga2577-2-e"
    assert facts["state"] == "C++ compiled and simulated with g++; not synthesised"
    assert "firmware/myproject.cpp" in facts["files"]
    assert all((project.path / name).exists() for name in facts["files"])
    assert json.loads(json.dumps(facts)) == facts


def test_settings_reach_the_project(tmp_path):
    project = lower(network(), tmp_path / "p", part="xc7z020clg400-1", clock_ns=10, top="tagger")
    text = (project.path / "project.tcl").read_text()
    assert 'set part "xc7z020clg400-1"' in text
    assert "set clock_period 10" in text
    assert (project.path / "firmware" / "tagger.cpp").exists()


@pytest.mark.parametrize("stamp", ["12345678", "1e345678", "deadbeef"])
def test_the_same_model_gives_the_same_bytes(tmp_path, monkeypatch, stamp):
    """Stamps that YAML writes with quotes, and a path that it folds, are no exception."""
    lower(network(), tmp_path / "one")
    monkeypatch.setattr("uuid.uuid4", lambda: f"00000000-{stamp}")
    lower(network(), tmp_path / ("a b " * 30).strip() / "two")
    one, two = _files(tmp_path / "one"), _files(tmp_path / ("a b " * 30).strip() / "two")
    assert one == two
    assert not any(str(tmp_path).encode() in data for data in one.values())


def test_nothing_is_printed(tmp_path, capsys):
    lower(one_layer(), tmp_path / "p", strategy="resource_unrolled", reuse_factor=2)
    assert capsys.readouterr() == ("", "")


@pytest.mark.slow
def test_a_project_that_was_moved_is_compiled_again(compiled, tmp_path):
    """The place of the weights is compiled in, and hls4ml's code ends the process if they are not there."""
    graph, project = compiled
    shutil.copytree(project.path, tmp_path / "first")
    moved = open_project(tmp_path / "first")
    assert moved._library_path().name != project._library_path().name
    shutil.rmtree(moved.compile().path)
    x = adversarial(graph, 20)
    assert (moved.predict(x) == emulate(graph, x)).all()


def test_what_hls4ml_said_is_a_note(tmp_path):
    report = lower(one_layer(), tmp_path / "p", strategy="resource_unrolled", reuse_factor=2).report()
    assert any("may have unexpected II" in note for note in report.notes)


@pytest.mark.parametrize("overflow", [Overflow.SAT, Overflow.SAT_SYM, Overflow.WRAP])
def test_declared_formats_are_kept(tmp_path, overflow):
    """hls4ml would shrink this quantizer, and then saturate elsewhere."""
    grid = FixedPoint(12, 6, overflow=overflow)
    project = lower(network(grid=grid), tmp_path / "p")
    (row,) = [row for row in project.report().layers if row.name == "relu"]
    assert row.output_type == f"ap_fixed<12,6,RND_CONV,{overflow}>"


# ---------------------------------------------------------------------- folders


def test_a_project_is_written_over_one_of_the_same_model_only(tmp_path):
    out = tmp_path / "p"
    lower(network(), out)
    (out / "mine.txt").write_text("left behind")
    lower(network(), out, clock_ns=4)
    assert not (out / "mine.txt").exists()
    assert json.loads((out / MARKER).read_text())["settings"]["clock_ns"] == 4
    with pytest.raises(BackendError) as fault:
        lower(network(seed=1), out)
    assert str(fault.value) == f"{out} holds the project of another model; choose another folder or remove it"
    assert json.loads((out / MARKER).read_text())["model"]["digest"] == network().digest()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: p.write_text(""), "{out} is a file; choose another folder"),
        (
            lambda p: (p.mkdir(), (p / "thesis.tex").write_text("")),
            "{out} holds files that are no project of hls_export; choose another folder",
        ),
        (
            lambda p: (p.mkdir(), (p / MARKER).write_text("{")),
            "{out}/hls_export.json is damaged; write the project again",
        ),
        (
            lambda p: (p.mkdir(), (p / MARKER).write_text('{"layout": 0, "model": {"digest": ""}}')),
            "{out} was written by another version of hls_export; write it again",
        ),
    ],
)
def test_folders_that_are_not_ours(tmp_path, make, message):
    out = tmp_path / "p"
    make(out)
    with pytest.raises(BackendError) as fault:
        lower(network(), out)
    assert str(fault.value) == message.format(out=out)


def test_an_empty_folder_will_do(tmp_path):
    (tmp_path / "p").mkdir()
    assert lower(network(), tmp_path / "p").path == tmp_path / "p"


def test_nothing_is_left_of_a_failure(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hls_export.backends.hls4ml.write_interface", full)
    with pytest.raises(BackendError) as fault:
        lower(network(), tmp_path / "p")
    assert str(fault.value) == (
        f"{tmp_path / 'p'}: the project cannot be written (No space left on device); "
        "free some space or choose another folder; nothing was left half-written"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_full_while_headers_are_copied(tmp_path, monkeypatch):
    """``shutil.copytree``, which hls4ml uses, collects what went wrong in a list of triples."""

    def full(*_):
        text = "[Errno 28] No space left on device: 'a/b.h' -> 'c/b.h'"
        raise shutil.Error([("a/b.h", "c/b.h", text), ("a/c.h", "c/c.h", "other")])

    monkeypatch.setattr("hls_export.backends.hls4ml.write_interface", full)
    with pytest.raises(BackendError) as fault:
        lower(network(), tmp_path / "p")
    assert str(fault.value) == (
        f"{tmp_path / 'p'}: the project cannot be written (No space left on device); "
        "free some space or choose another folder; nothing was left half-written"
    )
    assert list(tmp_path.iterdir()) == []


def test_an_old_project_stays_when_a_new_one_fails(tmp_path, monkeypatch):
    lower(network(), tmp_path / "p")
    before = _files(tmp_path / "p")
    monkeypatch.setattr("hls_export.backends.hls4ml.write_marker", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        lower(network(), tmp_path / "p", clock_ns=7)
    assert _files(tmp_path / "p") == before
    assert [path.name for path in tmp_path.iterdir()] == ["p"]


def test_an_old_project_comes_back_when_the_swap_fails(tmp_path, monkeypatch):
    lower(network(), tmp_path / "p")
    before = _files(tmp_path / "p")
    rename = Path.rename

    def only_away(self, target):
        if Path(target) == tmp_path / "p" and ".old." not in str(self):
            raise OSError(5, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", only_away)
    with pytest.raises(BackendError, match=r"cannot be written \(Input/output error\)"):
        lower(network(), tmp_path / "p", clock_ns=7)
    assert _files(tmp_path / "p") == before
    assert [path.name for path in tmp_path.iterdir()] == ["p"]


def test_a_folder_that_is_no_project(tmp_path):
    with pytest.raises(BackendError) as fault:
        open_project(tmp_path)
    assert str(fault.value) == f"{tmp_path} is no project of hls_export (it has no hls_export.json)"


# ---------------------------------------------------------------------- what is refused


def _refused(tmp_path, graph, **settings) -> str:
    with pytest.raises((BackendError, UnknownNameError)) as fault:
        lower(graph, tmp_path / "p", **settings)
    assert list(tmp_path.iterdir()) == []
    return str(fault.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"clock_ns": -1}, "clock_ns must be greater than 0, got -1"),
        ({"clock_ns": float("nan")}, "clock_ns must be greater than 0, got nan"),
        ({"reuse_factor": 0}, "reuse_factor must be at least 1, got 0"),
        ({"io_type": "serial"}, "io_type must be one of io_parallel, io_stream, got 'serial'"),
        ({"part": 'x"; exec rm'}, "part must be the name of an FPGA, got 'x\"; exec rm'"),
        ({"top": "my project"}, "top must be a C++ name, got 'my project'"),
        (
            {"strategy": "fast"},
            "vitis: strategy must be one of latency, resource, resource_unrolled, distributed_arithmetic, "
            "got 'fast'",
        ),
        (
            {"strategy": "resource", "reuse_factor": 5},
            "vitis: fc.1 cannot have reuse factor 5 with resource; it can have 1, 2, 4, 12\n"
            "vitis: output cannot have reuse factor 5 with resource; it can have 1, 3, 6",
        ),
    ],
)
def test_settings_that_cannot_be(tmp_path, settings, message):
    assert _refused(tmp_path, network(), **settings) == message


def test_a_backend_that_is_not(tmp_path):
    assert _refused(tmp_path, network(), backend="vits").startswith(
        "unknown backend 'vits'; did you mean 'vitis'? Known: "
    )


def test_two_roundings_in_a_row_are_two_layers(tmp_path):
    graph = network()
    second = Quantize(name="again", inputs=("act",), shape=(3,), format=FixedPoint(3, 2, signed=False))
    nodes = [*graph.nodes[:5], second, replace(graph.nodes[5], inputs=("again",))]
    rows = {row.name: row for row in lower(graph.with_nodes(nodes), tmp_path / "p").report().layers}
    assert rows["relu"].output_type == "ap_ufixed<4,1,RND_CONV,SAT>"
    assert rows["again"].output_type == "ap_ufixed<3,2,RND_CONV,SAT>"


def test_two_roundings_that_are_one_are_merged(tmp_path):
    graph = network()
    second = Quantize(name="again", inputs=("act",), shape=(3,), format=FixedPoint(8, 2, signed=False))
    nodes = [*graph.nodes[:5], second, replace(graph.nodes[5], inputs=("again",))]
    rows = lower(graph.with_nodes(nodes), tmp_path / "p").report().layers
    assert [row.output_type for row in rows if row.name == "relu"] == ["ap_ufixed<4,1,RND_CONV,SAT>"]


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        (
            FixedPoint(1, 1, overflow="SAT_SYM"),
            "vitis: act has one signed bit and symmetric saturation: it holds zero alone",
        ),
        (FixedPoint(0, 0, signed=False), "vitis: act has zero bits; leave the layer out"),
    ],
)
def test_formats_that_hls4ml_has_not(tmp_path, grid, message):
    assert _refused(tmp_path, network(grid=grid)).splitlines()[0] == message


def test_what_nobody_reads_is_left_out(tmp_path):
    graph = network()
    nodes = [*graph.nodes, Relu(name="side", inputs=("act",), shape=(3,))]
    rows = lower(graph.with_nodes(nodes), tmp_path / "p").report().layers
    assert [row.name for row in rows] == ["x", "fc.1", "relu", "output"]


def test_a_model_without_layers(tmp_path):
    graph = network()
    message = "vitis: the model has no layer behind its input quantizer"
    assert _refused(tmp_path, graph.with_nodes(graph.nodes[:2], output="q")) == message


def test_capabilities_name_everything_at_once():
    few = Capabilities(frozenset({"input"}), frozenset(), (), frozenset(), frozenset())
    assert few.reasons(network(), Settings())[:3] == [
        "strategy must be one of , got 'latency'",
        "io_type io_parallel is not supported",
        "q (quantize) is not supported",
    ]


def test_hls4ml_that_is_not_installed(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "hls4ml", None)
    assert _refused(tmp_path, network()) == "hls4ml is not installed; pip install 'torchq[hls]'"


def test_an_exception_of_hls4ml_is_a_sentence(tmp_path, monkeypatch):
    def broken(*_):
        raise RuntimeError("no such layer")

    monkeypatch.setattr("hls_export.backends.hls4ml._model", broken)
    assert _refused(tmp_path, network()) == "hls4ml: RuntimeError: no such layer"


def test_every_backend_is_registered():
    assert {"vitis", "vivado"} <= set(BACKENDS)
    assert all(backend.key == key for key, backend in BACKENDS.items())


def test_a_missing_file(tmp_path):
    with pytest.raises(ExportError, match="no such file"):
        lower(tmp_path / "nothing.onnx", tmp_path / "p")


# ---------------------------------------------------------------------- the compiler, and tampering


def test_no_compiler(tmp_path, monkeypatch):
    project = lower(network(), tmp_path / "p")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BackendError) as fault:
        project.compile()
    assert str(fault.value) == "g++ is not on the PATH; install g++ (Debian: apt install g++)"
    assert project.to_dict()["state"] == "C++ written, not compiled; not synthesised"


def test_the_compilers_first_error_is_shown(tmp_path):
    project = lower(network(), tmp_path / "p")
    source = tmp_path / "p" / "firmware" / "defines.h"
    source.write_text(source.read_text().replace("typedef ap_ufixed<4,1,", "typedef ap_nothing<4,1,"))
    with pytest.raises(BackendError) as fault:
        project.compile()
    text = str(fault.value)
    assert text.startswith(f"{tmp_path / 'p'}: g++ failed: firmware/defines.h:")
    assert "error: 'ap_nothing' does not name a type" in text.replace("‘", "'").replace("’", "'")
    assert not list((tmp_path / "p" / "firmware").glob("*.so"))


def test_first_error_of_a_linker():
    after = "collect2: error: ld returned 1 exit status"
    full = "/usr/bin/ld: final link failed: No space left on device"
    assert first_error(f"{full}\n{after}") == full
    assert first_error(after) == after
    assert first_error("") == "no message"


@pytest.mark.parametrize("suffix", ["h", "txt"])
def test_weights_that_synthesis_and_simulation_read_differently(compiled, tmp_path, suffix):
    _, project = compiled
    shutil.copytree(project.path, tmp_path / "p")
    entry = next(e for e in project.facts["constants"] if (e["layer"], e["slot"]) == ("fc.1", "weight"))
    file = tmp_path / "p" / "firmware" / "weights" / f"{entry['file']}.{suffix}"
    head, brace, values = file.read_text().rpartition("{")
    number = next(word for word in values.replace(",", " ").split() if float(word))
    file.write_text(head + brace + values.replace(number, "0.00000", 1))
    with pytest.raises(BackendError) as fault:
        open_project(tmp_path / "p").compile()
    name = entry["file"]
    assert str(fault.value) == (
        f"fc.1.weight: {name}.h and {name}.txt have different values; "
        "synthesis reads the first, simulation the second; write the project again"
    )


def test_a_weight_file_that_is_gone(compiled, tmp_path):
    _, project = compiled
    shutil.copytree(project.path, tmp_path / "p")
    entry = project.facts["constants"][0]
    (tmp_path / "p" / "firmware" / "weights" / f"{entry['file']}.txt").unlink()
    with pytest.raises(BackendError, match=r"^fc.1.weight: .*No such file"):
        open_project(tmp_path / "p").compile()
