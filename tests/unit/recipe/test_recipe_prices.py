"""Recipes that price: the paper's tables to the printed digit, and what a run of one leaves."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from torchq.cli.main import cli, guarded
from torchq.errors import RecipeError, RunDirError
from torchq.recipe import find, load, report_run, run_recipe
from torchq.recipe.designs import priced
from torchq.recipe.schema_prices import PriceRecipe
from torchq.recipe.show import Show

TABLE, NOTEBOOK = "paper/table_energy", "paper/notebook_energy"
GOOD = find(TABLE).read_text(encoding="utf-8")


def designs(name: str, *overrides: str) -> dict[str, dict[str, Any]]:
    recipe = load(name, overrides).content
    assert isinstance(recipe, PriceRecipe)
    return {key: priced(recipe, key, design) for key, design in recipe.designs.items()}


@pytest.fixture(scope="module")
def table() -> dict[str, dict[str, Any]]:
    return designs(TABLE)


@pytest.fixture(scope="module")
def notebook() -> dict[str, dict[str, Any]]:
    return designs(NOTEBOOK)


def cells(design: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["layer"]: row for row in design["rows"]}


def totals(design: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {total["figure"]: total for total in design["totals"]}


# ---------------------------------------------------------------------- the paper

PUBLISHED = {
    "BF": [1735, 53, 3240, 27, 1630, 27, 281, 11],
    "Q6": [794, 23, 1120, 11, 562, 11, 99, 11],
}
RECORDED = {  # by QKeras itself, before March 2022
    "BF": [1735.42, 53.25, 3239.97, 26.63, 1630.11, 26.63, 280.62, 11.41],
    "Q6": [794.46, 22.82, 1119.76, 11.41, 562.39, 11.41, 99.52, 11.41],
}


@pytest.mark.parametrize("name", ["BF", "Q6"])
def test_fifteen_of_sixteen_cells_are_the_printed_ones(table: dict[str, Any], name: str) -> None:
    rows = table[name]["rows"]
    assert [int(row["published"]) for row in rows] == PUBLISHED[name]
    assert [row["ours"] for row in rows] == pytest.approx(RECORDED[name], abs=0.015)
    differing = [row["layer"] for row in rows if not row["equal"]]
    assert differing == ([] if name == "BF" else ["output"])


def test_the_cell_that_differs_was_cut_and_not_rounded(table: dict[str, Any]) -> None:
    cell = cells(table["Q6"])["output"]
    assert (cell["published"], int(cell["ours"]), round(cell["ours"])) == ("99", 99, 100)


def test_totals_and_bits_are_the_printed_ones(table: dict[str, Any]) -> None:
    found = {name: totals(design) for name, design in table.items()}
    for name, energy, bits in (("BF", "0.00700", 61446), ("Q6", "0.00263", 26334)):
        assert found[name]["energy_uj"]["published"] == f"{found[name]['energy_uj']['ours']:.5f}" == energy
        assert found[name]["bits"]["ours"] == bits
        assert found[name]["energy_uj"]["equal"] is found[name]["bits"]["equal"] is True
    assert f"{found['QE']['energy_uj']['ours']:.5f}" == "0.00095"
    assert found["QE in bits"]["bits"]["ours"] == 4728


def test_half_of_qe_is_read_by_batch_norms(table: dict[str, Any]) -> None:
    rows = cells(table["QE"])
    norms = sum(row["ours"] for row in rows.values() if row["kind"] == "batch_norm")
    whole = totals(table["QE"])["energy_uj"]["ours"] * 1e6
    assert norms == pytest.approx(486.9, abs=0.05)
    assert whole - norms == pytest.approx(461.4, abs=0.05)
    bits = totals(table["QE in bits"])["bits"]["ours"] - 16 * (32 + 16 + 16)
    assert bits == 16 * 32 * 4 + 32 * 16 * 2 + 16 * 16 * 2 + 16 * 5 + 5 * 8


def test_with_the_rules_of_today_the_first_layers_are_one_bit_narrower() -> None:
    found = designs(TABLE, "cost.rules=qtools")
    assert cells(found["BF"])["fc1"]["ours"] == pytest.approx(1732.22, abs=0.015)
    assert cells(found["Q6"])["fc1"]["ours"] == pytest.approx(791.26, abs=0.015)
    differing = [row["layer"] for name in ("BF", "Q6") for row in found[name]["rows"] if not row["equal"]]
    assert differing == ["fc1", "fc1", "output"]


def test_the_notebook_is_equal_but_for_binary_weights(notebook: dict[str, Any]) -> None:
    differing = [
        (name, row["layer"])
        for name, design in notebook.items()
        for row in design["rows"]
        if row["equal"] is False
    ]
    assert differing == [("QE", "output"), ("QB", "fc2"), ("QB", "output")]
    weights = {row["weight"] for name, layer in differing for row in [cells(notebook[name])[layer]]}
    assert weights == {"binary<-1,1>"}
    energies = [round(totals(notebook[name])["energy_pj"]["ours"]) for name in ("BF", "Q6")]
    assert energies == [3439, 949]
    bits = [totals(design)["bits"]["ours"] for design in notebook.values()]
    assert bits == [65835, 26334, 4728, 4216]


# ---------------------------------------------------------------------- a run


def small(tmp_path: Path, text: str = "") -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(
        "title: small\ntask: price\nmodel: {units: [4]}\ndesigns:\n  one:\n"
        '    input: "quantized_bits(8,2,alpha=1)"\n'
        '    layers: {"*": {weight: "quantized_bits(4,1,alpha=1)", bias: "quantized_bits(4,1,alpha=1)",'
        ' output: "quantized_relu(4,1)"}}\n' + text
    )
    return path


def test_a_run_leaves_prices_and_a_report(tmp_path: Path) -> None:
    file = StringIO()
    show = Show(Console(file=file, width=100, color_system=None))
    out = run_recipe(load(TABLE), tmp_path / "run", show=show)
    facts = json.loads((out / "prices.json").read_text())
    assert (facts["equal"], facts["of"]) == (21, 22)
    assert [design["name"] for design in facts["designs"]] == ["BF", "Q6", "QE", "QE in bits"]
    page, text = (out / "report.html").read_text(), (out / "report.md").read_text()
    for told in (page, text, file.getvalue()):
        assert "21 of 22 published figures are equal to the last printed digit" in told
        assert "1,735.41" in told
        assert "0.00700" in told
        assert "One cell differs" in told
    assert file.getvalue().count("≠") == 1
    assert "<script" not in page


def test_it_goes_on_where_it_ended_and_is_reported_anew(tmp_path: Path) -> None:
    loaded, out = load(str(small(tmp_path))), tmp_path / "run"
    run_recipe(loaded, out, until="prices")
    before = (out / "prices.json").read_bytes()
    assert not (out / "report.html").exists()
    run_recipe(loaded, out, resume=True)
    assert (out / "prices.json").read_bytes() == before
    (out / "report.html").unlink()
    report_run(out)
    assert "nothing was published to compare with" in (out / "report.html").read_text()
    with pytest.raises(RunDirError, match="holds a run of another recipe"):
        run_recipe(load(TABLE), out)
    with pytest.raises(RunDirError, match="holds a run of another recipe"):
        run_recipe(load("jets/autoq_energy"), out)


def test_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "run")
    assert guarded(cli, ["validate", TABLE, NOTEBOOK]) == 0
    assert guarded(cli, ["run", TABLE, "--out", out, "cost.rules=qtools", "--quiet"]) == 0
    assert guarded(cli, ["report", out]) == 0
    assert "18 of 22 published figures" in capsys.readouterr().out
    assert guarded(cli, ["run", TABLE, "--out", str(tmp_path / "x"), "--until", "train"]) == 2
    told = capsys.readouterr().err
    assert told == "error: a recipe with task: price has no stage 'train'; its stages are prices, report\n"
    assert not (tmp_path / "x").exists()
    assert guarded(cli, ["run", "jets/autoq_energy", "--out", str(tmp_path / "y"), "--until", "prices"]) == 2
    assert "a recipe with task: search has no stage 'prices'" in capsys.readouterr().err


def test_a_design_may_have_settings_of_its_own(tmp_path: Path) -> None:
    path = small(
        tmp_path, "    cost: {weights_on_memory: fixed}\n    published: {total: {energy_nj: '0.0'}}\n"
    )
    (design,) = designs(str(path), "cost.activations_on_memory=dram").values()
    settings = design["settings"]["energy_pj"]
    assert (settings["weights_on_memory"], settings["activations_on_memory"]) == ("fixed", "dram")
    total = totals(design)["energy_nj"]
    assert total["unit"] == "nJ"
    assert total["ours"] == pytest.approx(design["costs"]["total"]["energy_pj"] / 1000)


# ---------------------------------------------------------------------- what is wrong in one


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("task: price", "task: prize", "task: must be one of search, price, got 'prize'"),
        ("designs:\n", "desings:\n", "desings: unknown key; did you mean 'designs'?"),
        ("fc1: 1735", "fc9: 1735", "designs.BF: published.layers: fc9 is no layer of the design; did you"),
        ("fc1: 1735", "fc1: 1735.5", "designs.BF.published.layers.fc1: must be a whole number, or a text"),
        ("bits: 61446", "bitts: 61446", "designs.BF: unknown figure 'bitts'; did you mean 'bits'?"),
        ("figure: energy_pj ", "figure: energy ", "figure: unknown figure 'energy'; did you mean"),
        (
            "[fc1, fc2, fc3]",
            "[fc1, relu]",
            "designs.QE: without_bias: relu is no layer with a bias; Known: fc1",
        ),
        ("{fc1: bn1,", "{fc7: bn1,", "designs.QE: fc7: no such layer to put a batch norm behind; did you"),
        ("numbers: 4", "numbers: 0", "designs.QE.batch_norms.numbers: must be greater than or equal to 1"),
        ("fc1: {weight", "fc8: {weight", "designs.QE: the scheme names 'fc8', which matches no layer; did"),
        ("rules: qtools-2020", "rules: qtols", "cost: unknown rules 'qtols'; did you mean 'qtools'?"),
        ("process: horowitz ", "process: no.toml ", "cost: no.toml: the process file cannot be read"),
        ("name: jets_mlp", "name: jet_mlp", "model.name: unknown model 'jet_mlp'; did you mean 'jets_mlp'?"),
        ("softmax: true", "softmax: yes", "softmax: must be true or false, got 'yes'"),
    ],
)
def test_faults_are_sentences_with_their_place(tmp_path: Path, old: str, new: str, sentence: str) -> None:
    assert old in GOOD
    path = tmp_path / "r.yaml"
    path.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(RecipeError) as fault:
        load(str(path))
    told = [line.partition(": ") for line in str(fault.value).splitlines()]
    assert all(place.startswith(f"{path}:") for place, _, _ in told)
    assert any(text.startswith(sentence) for _, _, text in told), str(fault.value)


def test_a_price_recipe_is_no_search(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"task: price has no data, no training and no search"):
        load(str(small(tmp_path))).recipe  # noqa: B018 - the property raises
