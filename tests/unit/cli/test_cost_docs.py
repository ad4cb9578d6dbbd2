"""The page about costs names every target, figure, setting and option there is, and none that is not."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from torchq.cli.cost import command
from torchq.cost import TARGETS, figures

PAGE = (Path(__file__).parents[3] / "docs" / "cost.md").read_text(encoding="utf-8")


def test_every_target_figure_and_setting_is_explained() -> None:
    settings = {field.name for name in TARGETS for field in fields(TARGETS.get(name))}
    missing = [name for name in (*TARGETS, *figures(), *sorted(settings)) if f"`{name}`" not in PAGE]
    assert not missing


def test_figures_stand_there_with_their_units() -> None:
    cells = [line.split("|")[1:-1] for line in PAGE.splitlines() if line.startswith("| ")]
    units = {
        name: cell[2].strip() for cell in cells if len(cell) == 5 for name in re.findall(r"`(\w+)`", cell[1])
    }
    known = {figure: unit for name in TARGETS for figure, unit in TARGETS.get(name).units.items()}
    assert units == known


def test_every_option_is_explained() -> None:
    options = {option for parameter in command.params for option in parameter.opts if option.startswith("--")}
    assert {option for option in options if f"`{option}" not in PAGE} == set()
