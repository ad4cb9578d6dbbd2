"""From a file and ``key=value`` texts to a checked :class:`Recipe`; every fault is shown at once."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from torchq.advice import advice
from torchq.errors import RecipeError, TorchqError
from torchq.recipe import yaml
from torchq.recipe.schema import Recipe
from torchq.recipe.schema_parts import Part
from torchq.recipe.schema_prices import PriceRecipe

SHIPPED = Path(__file__).parent / "shipped"
SUFFIX = ".yaml"


@dataclass(frozen=True)
class LoadedRecipe:
    """A recipe, and what it was made of.

    Attributes:
        name: the shipped name (``jets/autoq_energy``) or the file's stem.
        content: the checked values.
        text: the file as it stands.
        overrides: the ``key=value`` texts that were laid over it.
    """

    name: str
    content: Recipe | PriceRecipe
    text: str
    overrides: tuple[str, ...] = ()

    @property
    def recipe(self) -> Recipe:
        """The values of a recipe that searches.

        Raises:
            RecipeError: it prices designs and has no data, no search and no training.
        """
        if isinstance(self.content, PriceRecipe):
            raise RecipeError(
                f"{self.name}: a recipe with task: price has no data, no training and no search",
                hint="torchq run prices its designs",
            )
        return self.content

    def fingerprint(self) -> dict[str, Any]:
        """Everything that decides the result, as plain values; a synthesis counts it and changes nothing."""
        plain: dict[str, Any] = json.loads(
            self.content.model_dump_json(exclude={"title", "description", "task", "synthesis"})
        )
        return plain


def shipped() -> dict[str, Path]:
    """The recipes that come with the package, by name."""
    root = SHIPPED if SHIPPED.is_dir() else Path(__file__).parents[2] / "recipes"
    return {
        str(path.relative_to(root).with_suffix("").as_posix()): path
        for path in sorted(root.rglob(f"*{SUFFIX}"))
    }


def find(name: str) -> Path:
    """The file of a recipe given by path or by shipped name.

    Raises:
        RecipeError: neither exists.
    """
    path = Path(name)
    if path.is_file():
        return path
    known = shipped()
    if name.removesuffix(SUFFIX) in known:
        return known[name.removesuffix(SUFFIX)]
    stem = name.removesuffix(SUFFIX).removeprefix("recipes/")
    raise RecipeError(
        f"{name}: no such recipe file, and no recipe of that name is shipped", hint=advice(stem, known)
    )


def read_text(path: Path) -> str:
    """The text of a recipe file.

    Raises:
        RecipeError: it cannot be read, or is no UTF-8 text.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as fault:
        raise RecipeError(f"{path}: cannot be read as UTF-8 text ({fault})") from None


def load(name: str, overrides: Sequence[str] = ()) -> LoadedRecipe:
    """Read, override and check a recipe.

    Args:
        name: path of a YAML file, or the name of a shipped recipe.
        overrides: ``key=value`` texts with dotted keys, such as ``search.trials=10``.

    Raises:
        RecipeError: all faults, one a line, each ``file:line: key: what came and what is needed``.
    """
    path = find(name)
    text = read_text(path)
    located = yaml.read_yaml(text, str(path))
    if not isinstance(located.value, dict):
        raise RecipeError(f"{path}:1: a recipe is a mapping of keys to values")
    for override in overrides:
        _lay_over(located, override)
    recipe = _check(located)
    names = {file.resolve(): known for known, file in shipped().items()}
    return LoadedRecipe(names.get(path.resolve(), path.stem), recipe, text, tuple(overrides))


def _lay_over(located: yaml.Located, override: str) -> None:
    key, sign, text = override.partition("=")
    if not sign or not key.strip():
        raise RecipeError(f"command line: {override!r}: write key=value, as in search.trials=10")
    value = yaml.read_yaml(text, f"command line: {key}").value
    parts = key.strip().split(".")
    here = located.value
    for part in parts[:-1]:
        here = here.setdefault(part, {})
        if not isinstance(here, dict):
            raise RecipeError(f"command line: {key}: {part} is a value, not a group of keys")
    here[parts[-1]] = value
    for end in range(1, len(parts) + 1):
        located.lines.setdefault(tuple(parts[:end]), yaml.COMMAND_LINE)
    located.lines[tuple(parts)] = yaml.COMMAND_LINE


TASKS: dict[str, type[Recipe] | type[PriceRecipe]] = {"search": Recipe, "price": PriceRecipe}
"""What a recipe may be for: ``task`` -> its keys."""


def _check(located: yaml.Located) -> Recipe | PriceRecipe:
    schema = _schema_of(located)
    try:
        recipe = schema.model_validate(copy.deepcopy(located.value))
    except ValidationError as faults:
        raise RecipeError("\n".join(_sentences(faults, located, schema))) from None
    meaning = _meaning(recipe) if isinstance(recipe, Recipe) else _meaning_of_prices(recipe)
    semantic = [f"{located.where(path)}: {_dotted(path)}: {text}" for path, text in meaning]
    if semantic:
        raise RecipeError("\n".join(semantic))
    return recipe


def _schema_of(located: yaml.Located) -> type[Recipe] | type[PriceRecipe]:
    task = located.value.get("task", "search")
    if not isinstance(task, str) or task not in TASKS:
        raise RecipeError(
            f"{located.where(('task',))}: task: must be one of {', '.join(TASKS)}, got {_shown(task)}"
        )
    return TASKS[task]


def _sentences(faults: ValidationError, located: yaml.Located, schema: type[Part]) -> list[str]:
    found = []
    for fault in faults.errors():
        path = _known_part(fault["loc"], located.value)
        kind, context = fault["type"], fault.get("ctx", {})
        key = _dotted(path)
        if kind == "extra_forbidden":
            found.append(
                (path, f"{key}: unknown key; {advice(str(path[-1]), _keys_under(path[:-1], schema))}")
            )
        elif kind == "missing":
            found.append((path, f"{key}: this key is missing"))
        elif kind == "value_error":
            found.append((path, f"{key}: {context.get('error', fault['msg'])}"))
        else:
            found.append((path, f"{key}: {_needed(fault)}, got {_shown(fault['input'])}"))
    found.sort(key=lambda item: located.line(item[0]))
    return [f"{located.where(path)}: {text}" for path, text in found]


def _needed(fault: Any) -> str:
    message: str = fault["msg"]
    message = message.removeprefix("Input should be ").removeprefix("a valid ")
    if fault["type"].endswith("_type"):
        names = {"integer": "a whole number", "number": "a number", "string": "a text"}
        names |= {"boolean": "true or false", "tuple": "a list", "dictionary": "a group of keys"}
        message = names.get(message, message)
        if fault["type"] == "model_type":
            message = "a group of keys"
    return f"must be {message}"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _known_part(loc: tuple[int | str, ...], value: Any) -> yaml.Path:
    """The part of pydantic's location that is a path in the file (it adds names of union members)."""
    path: list[str | int] = []
    here = value
    for i, part in enumerate(loc):
        if isinstance(here, dict) and (part in here or i == len(loc) - 1):
            path.append(part)
            here = here.get(part)
        elif isinstance(here, list) and isinstance(part, int) and part < len(here):
            path.append(part)
            here = here[part]
    return tuple(path)


def _dotted(path: yaml.Path) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text or "recipe"


@cache
def _json_schema(schema: type[Part]) -> dict[str, Any]:
    return schema.model_json_schema()


def _keys_under(path: yaml.Path, schema: type[Part]) -> list[str]:
    """The keys that a recipe knows under ``path``."""

    def follow(node: dict[str, Any]) -> dict[str, Any]:
        for option in node.get("anyOf", ()):
            if "$ref" in option:
                node = option
        while "$ref" in node:
            node = _json_schema(schema)["$defs"][node["$ref"].rpartition("/")[2]]
        return node

    here = _json_schema(schema)
    for part in path:
        here = follow(here)
        here = here.get("properties", {}).get(part) or here.get("additionalProperties") or {}
    return list(follow(here).get("properties", {}))


def _meaning(recipe: Recipe) -> Iterator[tuple[yaml.Path, str]]:
    """What only shows when the parts are held against each other: names that nothing answers to."""
    from hls_export import BACKENDS
    from torchq.cost import figure_of, make_targets
    from torchq.data import DATASETS
    from torchq.models import MODELS
    from torchq.recipe.figures import FPGA_FIGURES
    from torchq.recipe.searches_check import faults_of_search, priced_in

    named: list[tuple[yaml.Path, Any, str]] = [
        (("data", "name"), DATASETS, recipe.data.name),
        (("model", "name"), MODELS, recipe.model.name),
        (("lower", "backend"), BACKENDS, recipe.lower.backend),
    ]
    priced: list[tuple[yaml.Path, str]] = [
        *((("pick", "times_lower", name), name) for name in recipe.pick.times_lower),
        *((("pick", "at_most", name), name) for name in recipe.pick.at_most),
    ]
    broken = False
    for path, registry, name in named:
        try:
            registry.get(name)
        except TorchqError as fault:
            broken |= path[0] == "model"
            yield path, str(fault)
    figures = ["bits", "energy_pj", *FPGA_FIGURES]
    for path, name in [*priced_in(recipe), *priced]:
        try:
            figures.append(figure_of(name))
        except TorchqError as fault:
            yield path, str(fault)
    settings: dict[str, Any] = dict(recipe.cost)
    settings.pop("softmax", None)
    try:
        make_targets(figures, settings)
    except TorchqError as fault:
        yield ("cost",), str(fault)
    yield from faults_of_search(recipe, broken)


def _meaning_of_prices(recipe: PriceRecipe) -> Iterator[tuple[yaml.Path, str]]:
    """Designs that cannot be priced: to price them takes less than to look for what may be wrong."""
    from torchq.models import MODELS
    from torchq.recipe.designs import check_figure, check_settings, priced

    for path, check in (
        (("model", "name"), lambda: MODELS.get(recipe.model.name)),
        (("figure",), lambda: check_figure(recipe.figure)),
        (("cost",), lambda: check_settings(recipe)),
    ):
        try:
            check()
        except TorchqError as fault:
            yield path, str(fault)
            return
    for name, design in recipe.designs.items():
        try:
            priced(recipe, name, design)
        except TorchqError as fault:
            yield ("designs", name), str(fault)
