"""What a wrong recipe is answered with: every fault at once, each with file, line, key and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from torchq.errors import RecipeError
from torchq.recipe import find, load, shipped

GOOD = find("jets/autoq_energy").read_text(encoding="utf-8")


def faults(tmp_path: Path, *changes: tuple[str, str], overrides: tuple[str, ...] = ()) -> list[str]:
    """The sentences for the shipped recipe after some replacements; file names stripped to r.yaml."""
    text = GOOD
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    path = tmp_path / "r.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RecipeError) as caught:
        load(str(path), overrides)
    return [line.replace(str(path), "r.yaml") for line in str(caught.value).splitlines()]


def line_of(text: str) -> int:
    return GOOD[: GOOD.index(text)].count("\n") + 1


def test_all_faults_are_shown_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    found = faults(
        tmp_path,
        ("  valid: 0.16", "  vaild: 0.16"),
        ("  seed: 0\n  goal", "  seed: -1\n  goal"),
        ("batch_size: 512", "batch_size: many"),
    )
    assert found == [
        f"r.yaml:{line_of('  valid:')}: data.vaild: unknown key; did you mean 'valid'? "
        "Known: name, source, path, label, train, valid, limit, seed",
        f"r.yaml:{line_of('  batch_size')}: train.batch_size: must be a whole number, got 'many'",
        f"r.yaml:{line_of('  goal:') - 1}: search.seed: must be greater than or equal to 0, got -1",
    ]


def test_a_missing_key(tmp_path: Path) -> None:
    start = GOOD.index("  trials:")
    line = GOOD[start : GOOD.index("\n", start) + 1]
    assert faults(tmp_path, (line, "")) == [
        f"r.yaml:{line_of('search:')}: search.trials: this key is missing"
    ]


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("search.trials=-3", "command line: search.trials: must be greater than 0, got -3"),
        ("search.trials=1.5", "command line: search.trials: must be a whole number, got 1.5"),
        ("search.trails=3", "command line: search.trails: unknown key; did you mean 'trials'?"),
        ("data.seed=on", "command line: data.seed: must be a whole number, got 'on'"),
        ("model.batch_norm=on", "command line: model.batch_norm: must be true or false, got 'on'"),
        ("search.searcher=axe", "command line: search.searcher: unknown searcher 'axe'; did you mean 'ax'?"),
        (
            "search.options.initail=9",
            "command line: search.options: the searcher ax has no 'initail'; did you mean 'initial'?",
        ),
        (
            "search.options.initial=1.5",
            "command line: search.options: initial of the searcher ax must be a whole number, got 1.5",
        ),
        ("model.name=jet_mlp", "command line: model.name: unknown model 'jet_mlp'; did you mean 'jets_mlp'?"),
        ("data.name=jest", "command line: data.name: unknown data set 'jest'; did you mean 'jets'?"),
        ("search.goal.cost=energy", "command line: search.goal.cost: unknown cost target or figure 'energy'"),
        ("data.source=file", "r.yaml:9: data: path must be given with source: file, and only then"),
        ("data.train=0.9", "r.yaml:9: data: train and valid must leave a part for the test, got 0.9 + 0.16"),
        ("train.learning_rate=.nan", "command line: train.learning_rate: must be"),
        ("search.input=quantized_bit(8)", "command line: search.input: unknown quantizer 'quantized_bit'"),
        ("search.space.fc9.units=[3]", "command line: search.space.fc9: the model has no layer of this name"),
        (
            "search.space.relu1.units=[9]",
            "command line: search.space.relu1.units: relu1 has no neurons of its own",
        ),
        (
            "search.space.output.units=[9]",
            "command line: search.space.output.units: output is the output layer",
        ),
        (
            "search.input='quantized_bits(8,0,alpha=0.3)'",
            "command line: search.input: quantized_bits(8,0,alpha=0.3)",
        ),
        (
            "search.goal.cost=[bits, bit]",
            "command line: search.goal.cost[1]: unknown cost target or figure 'bit'; did you mean 'bits'?",
        ),
        (
            "search.goal.times_lower={enrgy_pj: 4}",
            "command line: search.goal.times_lower.enrgy_pj: unknown cost target or figure 'enrgy_pj'",
        ),
        ("search.executor=rey", "command line: search.executor: unknown executor 'rey'; did you mean 'ray'?"),
        (
            "search.space={}",
            f"r.yaml:{line_of('search:')}: search: this key is missing: space (or autoqkeras)",
        ),
        (
            "search.limits={fc1: {weight: 1}}",
            "command line: search.limits: fc1.weight: the limit fc1.weight (at most 1 bits) leaves no "
            "option; there were: ternary(alpha=1.0) (2 bits), quantized_bits(2,0,alpha=1.0) (2 bits), ",
        ),
        (
            "search.limits={fc9: {weight: 4}}",
            "command line: search.limits: limit on fc9: the model has no layer of this name; did you",
        ),
        (
            "search.space={fc1: {weight: 'ternary(alpha=1)'}}",
            "command line: search.space: the search space is empty: every slot has one option; give",
        ),
        (
            "search.space.relu1.activation=[reluu]",
            "command line: search.space.relu1.activation[0]: activation: 'reluu' is neither an",
        ),
        (
            "search.autoqkeras={limit: {Dense: [4]}}",
            f"r.yaml:{line_of('  space:')}: search.space: says in our words what autoqkeras says in "
            "its own; write one of them",
        ),
        ("lower.backend=vits", "command line: lower.backend: unknown backend 'vits'; did you mean 'vitis'?"),
        (
            "cost={procss: x}",
            "command line: cost: unknown setting 'procss' for bits, energy_pj, ebops, fpga; did you mean",
        ),
        ("cost={min_sram_size: -1}", "command line: cost: "),
        ("cost={min_sram_size: big}", "command line: cost: "),
        ("nonsense", "command line: 'nonsense': write key=value, as in search.trials=10"),
        ("seed.x=1", "command line: seed.x: seed is a value, not a group of keys"),
    ],
)
def test_faults_of_one_key(tmp_path: Path, override: str, sentence: str) -> None:
    found = faults(tmp_path, overrides=(override,))
    assert len(found) == 1
    assert found[0].startswith(sentence)


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (
            ("search.executor=processes", "search.address=auto"),
            "command line: search.address: has a meaning with executor: ray only, got processes",
        ),
        (
            ("search.workers=2", "search.gpus_per_worker=0.5", "device=cuda"),
            "command line: search.gpus_per_worker: has a meaning with executor: ray only, got processes",
        ),
        (
            ("search.executor=ray", "search.gpus_per_worker=0", "device=cuda"),
            "command line: search.gpus_per_worker: device: cuda needs a GPU or a part of one, got 0",
        ),
        (
            ("search.executor=ray", "search.gpus_per_worker=0.5"),
            "command line: search.gpus_per_worker: device: cpu trains on no GPU, got 0.5; write device: "
            "cuda, or leave it out",
        ),
        (
            ("search.executor=ray", "search.gpus_per_worker=-1", "device=cuda"),
            "command line: search.gpus_per_worker: must be greater than or equal to 0, got -1",
        ),
        (
            ("search.executor=ray", "search.gpus_per_worker=.inf", "device=cuda"),
            "command line: search.gpus_per_worker: must be a finite number, got inf",
        ),
        (
            ("search.executor=serial", "search.workers=2"),
            "command line: search.workers: executor: serial has one worker, got 2; leave executor out, "
            "or write processes",
        ),
        (
            ("search.tune_filters=layer", "search.tune_filters_exceptions=fc"),
            "command line: search.tune_filters: layer finds no layer whose number of neurons may change; "
            "the exceptions leave none; the model's outputs stay as they are",
        ),
    ],
)
def test_faults_of_several_keys(tmp_path: Path, overrides: tuple[str, ...], sentence: str) -> None:
    found = faults(tmp_path, overrides=overrides)
    assert len(found) == 1
    assert found[0].startswith(sentence)


def autoqkeras(tmp_path: Path, text: str, *overrides: str) -> list[str]:
    """The faults of a recipe whose space is AutoQKeras's."""
    start = GOOD.index("  goal: {kind")
    end = GOOD.index("  train: {epochs:", start)
    space = GOOD[GOOD.index("  space:") : GOOD.index("pick:")]
    return faults(tmp_path, (GOOD[start:end], f"  autoqkeras: {text}\n"), (space, "\n"), overrides=overrides)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{limt: {Dense: [4]}}", "unknown argument 'limt'; did you mean 'limit'? Known: quantization_config"),
        ("{}", "limit is empty, so no layer is quantized; write limit: {Dense: [4]}"),
        ("{limit: {Dens: [4]}}", "limit: 'Dens' matches no layer; Layers: fc1, relu1"),
        ("{limit: {Dense: 4}}", "limit: Dense: got 4, a list such as [weight, bias, activation] is needed"),
        (
            "{limit: {Dense: [4, 2]}}",
            "fc1.bias: limit Dense (at most 2 bits) leaves no option; there were: quantized_bits(4,0,1)",
        ),
        (
            "{limit: {fc1: [4]}}",
            "limit has no entry for fc2 (Dense), so it would stay float, and hardware has no floats; add its",
        ),
        (
            "{limit: {Dense: [4]}, mode: bayes}",
            "unknown mode 'bayes'; did you mean 'bayesian'? Known: random,",
        ),
        (
            "{limit: {Dense: [4]}, goal: {type: energy, params: {delta: 4}}}",
            "goal: energy has no parameter 'delta'; did you mean 'delta_p'?",
        ),
        ("{limit: {Dense: [4]}, goal: {type: power}}", "goal: unknown type 'power'; Known: bits, energy"),
    ],
)
def test_faults_in_autoqkerass_words(tmp_path: Path, text: str, sentence: str) -> None:
    found = autoqkeras(tmp_path, text)
    assert len(found) == 1
    assert found[0].startswith(f"r.yaml:{line_of('  goal: {kind')}: search.autoqkeras: {sentence}")


def test_a_goal_and_cost_that_disagree(tmp_path: Path) -> None:
    text = "{limit: {Dense: [4], Activation: [4]}, goal: {type: energy}}"
    found = autoqkeras(tmp_path, text, "cost={weights_on_memory: sram}")
    assert found == [
        f"r.yaml:{line_of('  goal: {kind')}: search.autoqkeras: goal: its trials have "
        "weights_on_memory 'fixed', and cost has 'sram'; "
        "write both alike, or leave it out of cost"
    ]


def test_a_range_that_runs_backwards(tmp_path: Path) -> None:
    found = faults(tmp_path, overrides=('search.input="quantized_bits({6..2},0)"',))
    assert found == ["command line: search.input: the range {6..2} runs backwards; write {2..6}"]


def test_numbers_in_scientific_notation_are_numbers() -> None:
    assert load("jets/autoq_energy", ["train.learning_rate=1e-3"]).recipe.train.learning_rate == 1e-3


def test_an_unknown_recipe_name() -> None:
    with pytest.raises(RecipeError) as caught:
        load("jets/autoq_enrgy")
    assert str(caught.value).startswith(
        "jets/autoq_enrgy: no such recipe file, and no recipe of that name is shipped; "
        "did you mean 'jets/autoq_energy'? Known: "
    )


def test_not_a_mapping_and_not_text(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text("- 1\n")
    with pytest.raises(RecipeError, match=r"r\.yaml:1: a recipe is a mapping of keys to values"):
        load(str(path))
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecipeError, match=r"r\.yaml: cannot be read as UTF-8 text"):
        load(str(path))


@pytest.mark.parametrize("name", list(shipped()))
def test_shipped_recipes_are_good(name: str) -> None:
    assert load(name).content.title
