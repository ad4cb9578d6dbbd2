"""The stages of a recipe that prices: every design, beside what was published of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from torchq.recipe.designs import priced, unit_of
from torchq.recipe.report.html import render_document as as_html
from torchq.recipe.report.markdown import render_document as as_markdown
from torchq.recipe.report.prices import PricesData, compose, prices_table
from torchq.recipe.report.text import one_line
from torchq.recipe.rundir import RunDir
from torchq.recipe.schema_prices import PriceRecipe
from torchq.recipe.show import Show
from torchq.recipe.versions import versions


def price_designs(recipe: PriceRecipe, run: RunDir, show: Show) -> None:
    """Price every design and write ``prices.json``."""
    show.stage("prices", f"{len(recipe.designs)} designs, {recipe.figure}")
    designs = [priced(recipe, name, design) for name, design in recipe.designs.items()]
    run.finish(
        "prices",
        {
            "figure": recipe.figure,
            "unit": unit_of(recipe.figure),
            "source": recipe.source,
            "designs": designs,
            "versions": versions(),
            **_agreement(designs),
        },
    )


def write_report(recipe: PriceRecipe, run: RunDir, show: Show) -> None:
    """Write report.html and report.md from ``prices.json``."""
    from torchq.files import atomic_write_text

    show.stage("report", "report.html, report.md")
    document = compose(_data(recipe, run))
    atomic_write_text(run.file("report.html"), as_html(document))
    atomic_write_text(run.file("report.md"), as_markdown(document))
    run.finish("report", {"files": ["report.html", "report.md"]})


def print_table(recipe: PriceRecipe, run: RunDir, show: Show) -> None:
    """The table at the end, the notes below it, and where the report lies."""
    if show.console is None:
        return
    data = _data(recipe, run)
    show.console.print()
    show.console.print(prices_table(data))
    for design in data.designs:
        if design["note"]:
            show.say((f"{design['name']}: ", "bold"), one_line(str(design["note"])))
    if data.of:
        show.say(f"{data.equal} of {data.of} published figures are equal to the last printed digit")
    if run.done("report"):
        show.say(f"report: {run.file('report.html')}")


def _agreement(designs: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    cells = [cell for design in designs for cell in (*design["rows"], *design["totals"])]
    known = [cell["equal"] for cell in cells if cell["equal"] is not None]
    return {"equal": sum(known), "of": len(known)}


# ---------------------------------------------------------------------- shown


def _data(recipe: PriceRecipe, run: RunDir) -> PricesData:
    facts, about = run.read("prices.json"), run.about() or {}
    name = str(about.get("recipe", ""))
    return PricesData(
        title=recipe.title,
        description=recipe.description,
        source=str(facts["source"]),
        figure=str(facts["figure"]),
        unit=str(facts["unit"]),
        designs=tuple(facts["designs"]),
        equal=int(facts["equal"]),
        of=int(facts["of"]),
        facts=(
            ("recipe", name),
            ("run", run.path.name),
            ("made", datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")),
        ),
        versions=facts["versions"],
        command=" ".join(["torchq run", name, *about.get("overrides", ())]),
        recipe_text=run.file("recipe.yaml").read_text(encoding="utf-8"),
    )
