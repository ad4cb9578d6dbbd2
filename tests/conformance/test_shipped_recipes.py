"""Every recipe file that is shipped: it loads, says what it is, and its search can begin."""

from __future__ import annotations

from pathlib import Path

import pytest

from torchq.recipe import load, shipped
from torchq.recipe.schema import Recipe
from torchq.recipe.searches import executor_name, searcher_of, space_of, untrained
from torchq.search import SEARCHERS, ForgivingFactor
from torchq.search.executors import EXECUTORS

ROOT = Path(__file__).parents[2] / "recipes"
NAMES = [path.relative_to(ROOT).with_suffix("").as_posix() for path in sorted(ROOT.rglob("*.*"))]
SEARCHES = [name for name in NAMES if isinstance(load(name).content, Recipe)]


def test_every_file_of_the_folder_is_a_recipe() -> None:
    assert sorted(shipped()) == NAMES
    assert len(NAMES) >= 5
    assert 0 < len(SEARCHES) < len(NAMES)
    assert len({load(name).content.title for name in NAMES}) == len(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_it_says_what_it_is(name: str) -> None:
    content = load(name).content
    assert content.title
    assert content.title[0].isupper()
    assert not content.title.endswith(".")
    text = content.description.strip()
    assert len(text) > 80
    assert text.endswith("."), "a sentence"
    assert name.count("/") == 1


@pytest.mark.parametrize("name", SEARCHES)
def test_its_search_can_begin(name: str) -> None:
    recipe = load(name).recipe
    space = space_of(recipe, untrained(recipe))
    assert len(space.knobs) > 1
    assert space.cardinality >= recipe.search.trials
    for level in (0.0, 1.0):
        assert space.scheme(space.at(level)).to_dict()
    kind, options = searcher_of(recipe)
    searcher = SEARCHERS.get(kind)(space, ForgivingFactor("bits", 1.0), seed=recipe.search.seed, **options)
    searcher.plan(recipe.search.trials)
    first = searcher.ask(recipe.search.batch)
    assert len({space.key(proposal.point) for proposal in first}) == recipe.search.batch
    assert executor_name(recipe) in EXECUTORS
    assert recipe.search.batch <= recipe.search.trials
