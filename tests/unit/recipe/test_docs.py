"""The page about recipes names every key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torchq.recipe.schema import Recipe

PAGE = (Path(__file__).parents[3] / "docs" / "recipes.md").read_text(encoding="utf-8")


def keys(schema: dict[str, Any]) -> set[str]:
    found = set(schema.get("properties", {}))
    for part in schema.get("$defs", {}).values():
        found |= set(part.get("properties", {}))
    return found


def test_every_key_is_explained() -> None:
    missing = {
        key
        for key in keys(Recipe.model_json_schema())
        if not any(text in PAGE for text in (f"`{key}`", f".{key}`", f"`{key}."))
    }
    assert not missing
