"""The page about recipes names every key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from torchq.recipe.schema import Recipe
from torchq.recipe.schema_parts import Part
from torchq.recipe.schema_prices import PriceRecipe

PAGE = (Path(__file__).parents[3] / "docs" / "recipes.md").read_text(encoding="utf-8")


def keys(schema: dict[str, Any]) -> set[str]:
    found = set(schema.get("properties", {}))
    for part in schema.get("$defs", {}).values():
        found |= set(part.get("properties", {}))
    return found


@pytest.mark.parametrize("recipe", [Recipe, PriceRecipe])
def test_every_key_is_explained(recipe: type[Part]) -> None:
    missing = {
        key
        for key in keys(recipe.model_json_schema())
        if not any(text in PAGE for text in (f"`{key}`", f".{key}`", f"`{key}."))
    }
    assert not missing
