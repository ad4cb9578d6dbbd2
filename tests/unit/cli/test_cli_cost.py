"""``torchq cost``: functions of the user's, ONNX files and recipes, and every slip in one sentence."""

from __future__ import annotations

import json
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from torch import nn

import hls_export
from torchq.cli.cost_what import read_shape
from torchq.cli.main import cli, guarded
from torchq.cost import estimate
from torchq.errors import CostError
from torchq.nn import QInput, QLinear, QReLU

Q = "quantized_bits(6,0,alpha=1)"
USERS = f'''
import torch
from torch import nn
from torchq.nn import QConv2d, QInput, QLinear

Q = "{Q}"


def network():
    torch.manual_seed(0)
    return nn.Sequential(QInput(Q), QLinear(16, 5, weight_quantizer=Q, bias_quantizer=Q))


class Images(nn.Sequential):
    def __init__(self):
        super().__init__(QInput(Q), QConv2d(1, 2, 3, weight_quantizer=Q, bias_quantizer=Q))


ready = network()
number = 3


def floating():
    return nn.Sequential(nn.Linear(3, 4))


def failing():
    raise ValueError("no weights\\nsecond line")


def nothing():
    return None


def demanding(width):
    return network()
'''


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """A folder with a user's module, and the module's name (its own in each test)."""
    name = f"users_{abs(hash(request.node.name))}"
    (tmp_path / f"{name}.py").write_text(USERS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return name


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = guarded(cli, ["cost", *arguments])
    out, err = capsys.readouterr()
    return code, out, err


# ---------------------------------------------------------------------- a function of the user's


@pytest.mark.parametrize("name", ["network", "ready"])
def test_a_function_and_a_model_are_priced(here, name, capsys) -> None:
    code, out, _ = said(capsys, f"{here}:{name}", "--json", "-")
    assert code == 0
    found = json.loads(out)
    assert found["total"]["bits"] == 6 * (16 * 5 + 5)
    assert [row["layer"] for row in found["layers"]] == ["0", "1"]
    assert found["total"]["energy_pj"] > 0


def test_the_usual_figures_are_those_that_some_target_has(here, capsys) -> None:
    from torchq.cost.figures import figures

    code, out, _ = said(capsys, f"{here}:network")
    assert code == 0
    head = out.splitlines()[0].split()
    for name in ("bits", "energy_pj", "ebops", "macs"):
        assert (name in head) == (name in figures())


def test_a_shape_is_given_where_it_does_not_follow(here, capsys) -> None:
    code, out, err = said(capsys, f"{here}:Images")
    assert (code, out) == (2, "")
    assert err == "error: the shape of the input does not follow from the model; give an example\n"
    code, out, _ = said(capsys, f"{here}:Images", "--shape", "1,6,6", "--json", "-")
    assert code == 0
    assert json.loads(out)["layers"][1]["macs"] == 2 * 4 * 4 * 9


def test_settings_and_parts(here, capsys) -> None:
    arguments = (f"{here}:network", "--targets", "energy_pj")
    _, plain, _ = said(capsys, *arguments)
    _, parts, _ = said(capsys, *arguments, "--parts", "--set", "weights_on_memory=fixed")
    assert "parameters" not in plain.splitlines()[0]
    assert "parameters" in parts.splitlines()[0]
    assert "weights_on_memory=fixed" in parts
    _, out, _ = said(capsys, *arguments, "--set", "weights_on_memory=fixed", "--json", "-")
    assert json.loads(out)["total"]["energy_pj_parameters"] == 0


def test_files_are_written_beside_the_table(here, tmp_path, capsys) -> None:
    code, out, _ = said(capsys, f"{here}:network", "--json", "cost.json", "--html", "cost.html")
    assert code == 0
    assert out.startswith("layer")
    assert json.loads((tmp_path / "cost.json").read_text())["what"] == f"{here}:network"
    page = (tmp_path / "cost.html").read_text()
    rows = _rows(page)
    assert rows[0][:2] == ["layer", "kind"]
    assert [row[0] for row in rows[1:]] == ["0", "1", "total"]
    assert "<script" not in page


class _Table(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.inside = False

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag == "tr":
            self.rows.append([])
        self.inside = tag in ("td", "th")
        if self.inside:
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        self.inside = False

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.rows[-1][-1] += data


def _rows(page: str) -> list[list[str]]:
    parser = _Table()
    parser.feed(page)
    return parser.rows


def test_types_stand_beside(here, capsys) -> None:
    _, out, _ = said(capsys, f"{here}:network", "--types", "--targets", "bits")
    assert "tight accumulator" in out.splitlines()[-4]
    _, out, _ = said(capsys, f"{here}:network", "--types", "--json", "-")
    rows = json.loads(out)["types"]["rows"]
    assert rows[1]["accumulator"] == "ap_fixed<16,6,TRN,WRAP>"


# ---------------------------------------------------------------------- an ONNX file


def test_an_onnx_file_costs_what_its_model_costs(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    model = nn.Sequential(QInput(Q), QLinear(8, 4, weight_quantizer=Q, bias_quantizer=Q), QReLU()).eval()
    hls_export.export(model, tmp_path / "model.onnx")
    code, out, _ = said(capsys, "model.onnx", "--targets", "bits,energy_pj", "--json", "-")
    assert code == 0
    assert json.loads(out)["total"] == estimate(model).to_dict()["total"]


# ---------------------------------------------------------------------- a recipe


def test_a_recipe_is_priced_under_its_reference_beside_the_others(capsys) -> None:
    code, out, _ = said(capsys, "jets/autoq_energy", "--targets", "bits,energy_pj", "--json", "-")
    assert code == 0
    found = json.loads(out)
    assert found["network"] == "Q6 (uniform 6-bit)"
    assert found["total"]["bits"] == 26334
    assert found["beside"]["BF (16-bit reference)"]["bits"] == 61446
    assert found["beside"]["float32"]["bits"] == 32 * 4389
    assert "nothing is trained yet" in found["remarks"][0]


def test_estimates_for_hardware_are_not_shown_for_floats(capsys) -> None:
    code, out, _ = said(capsys, "jets/autoq_energy", "--targets", "lut,bits", "--json", "-")
    assert code == 0
    found = json.loads(out)
    assert found["total"]["lut"] > 0
    assert found["notes"]["lut"].startswith("source=estimate")
    assert found["beside"]["BF (16-bit reference)"]["lut"] > found["total"]["lut"]
    assert "lut" not in found["beside"]["float32"]
    _, out, _ = said(capsys, "jets/autoq_energy", "--targets", "lut,bits")
    assert "lut in LUT (source=estimate" in out


@pytest.mark.slow  # alkaid solves every matrix
def test_a_reference_without_values_is_left_out_with_a_note(capsys) -> None:
    pytest.importorskip("alkaid")
    code, out, _ = said(
        capsys, "jets/autoq_energy", "--targets", "lut", "--set", "adders=alkaid", "--json", "-"
    )
    assert code == 0
    found = json.loads(out)
    assert list(found["beside"]) == ["BF (16-bit reference)"]
    assert any(text.startswith("float32 is left out: fc1: alkaid needs") for text in found["remarks"])


def test_designs_that_are_only_priced_stand_beside_each_other(capsys) -> None:
    code, out, _ = said(capsys, "paper/table_energy", "--targets", "bits,energy_pj", "--json", "-")
    assert code == 0
    found = json.loads(out)
    assert found["network"] == "BF"
    assert found["total"]["bits"] == 61446
    assert found["beside"]["Q6"]["bits"] == 26334


# ---------------------------------------------------------------------- slips


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("{users}:networl",), "{users}:networl: has no 'networl'; did you mean 'network'? Known: "),
        (("{users}:number",), "{users}:number: is a value of type int, a function that returns"),
        (("{users}:failing",), "{users}:failing: calling it fails (ValueError: no weights)"),
        (("{users}:nothing",), "{users}:nothing: returned nothing, a torch.nn.Module is needed"),
        (("{users}:demanding",), "{users}:demanding: calling it fails (TypeError: demanding() missing"),
        (("{users}:floating",), "0 is a float Linear; quantize(model, scheme) turns Linear into QLinear"),
        (("{users}x:network",), "{users}x:network: there is no module '{users}x' in this folder or"),
        (("{users}:",), "{users}:: is no package.module:function"),
        (("{users}.py",), "{users}.py: name what returns the model, as in {users}:function"),
        (
            ("{users}:network", "--targets", "bit"),
            "unknown cost target or figure 'bit'; did you mean 'bits'?",
        ),
        (("{users}:network", "--targets", ","), "--targets names none; as in --targets bits,"),
        (("{users}:network", "--set", "proces=horowitz"), "unknown setting 'proces' for bits"),
        (
            ("{users}:network", "--set", "process=horovitz"),
            "unknown process 'horovitz'; did you mean 'horowitz'",
        ),
        (("{users}:network", "--set", "process"), "--set process: is no key=value; as in --set"),
        (("{users}:network", "--shape", "0"), "--shape: '0' is no shape of a sample; as in --shape 3,32,32"),
        (
            ("{users}:network", "--shape", "99999,99999"),
            "--shape: a sample of 9,999,800,001 values is larger",
        ),
        (
            ("{users}:network", "--shape", "4"),
            "1 needs 16 values on the last axis, got samples of shape (4,)",
        ),
        (
            ("{users}:network", "--trial", "3"),
            "{users}:network: --trial has a meaning for a run directory only",
        ),
        (
            ("{users}:network", "--float-as", "32"),
            "{users}:network: --float-as has a meaning for an ONNX file",
        ),
        (("jets/autoq_energi",), "jets/autoq_energi: there is no run directory, recipe or ONNX file of"),
        (("missing.onnx",), "missing.onnx: no such file"),
        (("empty.onnx",), "empty.onnx is not an ONNX file, or has an empty graph; export it again"),
        (("folder",), "folder: holds no run; give the folder that `torchq run` printed"),
        (("missing.onnx", "--shape", "4"), "missing.onnx: --shape has a meaning for a function that"),
    ],
)
def test_slips_are_one_sentence(here, tmp_path, arguments, sentence, capsys) -> None:
    (tmp_path / "empty.onnx").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    code, out, err = said(capsys, *(text.format(users=here) for text in arguments))
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {sentence.format(users=here)}")
    assert "Traceback" not in err
    assert err.count("\n") == 1


def test_a_name_that_is_near_is_proposed(capsys) -> None:
    _, _, err = said(capsys, "jets/autoq_energi")
    assert "did you mean 'jets/autoq_energy'?" in err


def test_an_import_that_fails_says_why(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "breaks_on_import.py").write_text("1 / 0\n")
    (tmp_path / "needs_something.py").write_text("import nothing_of_this_name\n")
    _, _, err = said(capsys, "breaks_on_import:f")
    expected = "breaks_on_import:f: importing breaks_on_import fails (ZeroDivisionError: division by zero)"
    assert err == f"error: {expected}\n"
    _, _, err = said(capsys, "needs_something:f")
    expected = (
        "needs_something:f: importing needs_something needs nothing_of_this_name, which is not installed"
    )
    assert err == f"error: {expected}\n"


def test_shapes_are_read_with_commas_or_crosses() -> None:
    assert read_shape("3x32x32") == read_shape("3, 32, 32") == (3, 32, 32)
    with pytest.raises(CostError, match="is no shape"):
        read_shape("three")
