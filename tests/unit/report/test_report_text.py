"""Markdown, the terminal's summary, the checks and the numbers' forms."""

from __future__ import annotations

import dataclasses
import doctest
import importlib
import io
import pkgutil
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import torchq.recipe.report as package
from torchq.recipe.report import (
    Check,
    CostReference,
    Limits,
    ModelResult,
    ReportData,
    SearchEffort,
    SearchResult,
    Synthesis,
    Synthesized,
    TrialPoint,
    Verification,
    evaluate,
    figures,
    render_markdown,
    summary_lines,
    summary_table,
)
from torchq.recipe.report.html import escape as escape_html
from torchq.recipe.report.markdown import escape
from torchq.recipe.report.roc import thin
from torchq.recipe.report.text import duration, one_line, percent, significant

MODULES = [one.name for one in pkgutil.iter_modules(package.__path__, "torchq.recipe.report.")]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_the_documentation(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_estimates_say_that_they_are(report: ReportData) -> None:
    page = render_markdown(report)
    assert "8,892" in page
    assert "Estimated, not synthesised (strategy=latency)" in page.replace("\\", "")
    assert "source=estimate: median error 5 %" in page.replace("\\", "")
    assert "FPGA estimates: not run yet" in render_markdown(ReportData(title="nothing"))


def test_figures_have_their_fixed_names(report: ReportData) -> None:
    assert figures(report) == {
        "accuracy_float": 0.7135,
        "accuracy_q6": 0.7105,
        "accuracy_picked": 0.7062,
        "energy_pj_bf": 3439.0,
        "energy_pj_picked": 193.4,
        "bits_bf": 65835,
        "bits_picked": 4496,
        "vectors": 14000,
        "mismatches": 0,
        "wall_s": 312.4,
    }
    assert set(figures(ReportData("")).values()) == {None}


def test_checks_measure_against_the_limits(report: ReportData) -> None:
    assert [(one.figure, one.measured, one.target, one.met) for one in evaluate(report)] == [
        ("uniform 6-bit model", "0.30 points", "at most 0.5 points", True),
        ("picked model", "17.78 ×", "at least 7.4 ×", True),
        ("picked model", "14.64 ×", "at least 13 ×", True),
        ("picked model", "0.73 points", "at most 2.1 points", True),
        ("C++ against torch", "0 in 14,000 vectors", "at most 0", True),
        ("whole run", "5 min 12 s", "at most 10 min", True),
    ]


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"models": (ModelResult("float", "f", 0.72), ModelResult("q6", "q", 0.7149))}, 0),
        ({"reference": CostReference("BF", energy_pj=7.39 * 193.4, bits=65835)}, 1),
        ({"reference": CostReference("BF", energy_pj=3439.0, bits=4496 * 12)}, 2),
        ({"models": (ModelResult("float", "f", 0.75), ModelResult("picked", "p", 0.7289))}, 3),
        ({"verification": Verification(False, 14000, 1)}, 4),
        ({"verification": Verification(False, 14000, 0)}, 4),
        ({"verification": Verification(True, 0, 0)}, 4),
        ({"wall_s": 601.0}, 5),
    ],
)
def test_a_limit_that_is_missed_is_not_met(report: ReportData, change: dict[str, object], line: int) -> None:
    assert evaluate(dataclasses.replace(report, **change))[line].met is False


def test_a_synthesis_does_not_count_as_the_run(report: ReportData) -> None:
    extra = Synthesis((Synthesized("picked", seconds=90.0), Synthesized("Q6", seconds=400.0)))
    line = evaluate(dataclasses.replace(report, wall_s=1000.0, synthesis=extra))[-1]
    assert (line.where, line.measured) == ("wall time without synthesis", "8 min 30 s")
    assert line.met is True
    assert evaluate(dataclasses.replace(report, wall_s=1091.0, synthesis=extra))[-1].met is False


def test_the_search_says_what_it_took() -> None:
    notes = ("19 candidates were replaced: their cost alone breaks a limit",)
    effort = SearchEffort(30.0, 10.0, (24, 24, 12, 1), True, 0.05626, notes)
    search = SearchResult((TrialPoint(0, 0.7, 100.0, 50),), effort=effort)
    page = render_markdown(ReportData("x", search=search)).replace("\\", "")
    assert "| asking the searcher | 10.0 s, 25.00 % of the search |" in page
    assert "| trainings | 61 in 3 stacks of up to 24 (compiled), 1 alone |" in page
    assert "| hypervolume | 0.05626 |" in page
    assert notes[0] in page
    page = render_markdown(ReportData("x", search=dataclasses.replace(search, effort=None)))
    assert "asking the searcher" not in page
    alone = SearchResult(search.trials, effort=SearchEffort(0.0, 0.0, (1, 1)))
    page = render_markdown(ReportData("x", search=alone))
    assert "2 one by one" in page
    assert "asking the searcher" not in page


def test_a_limit_that_is_just_reached_is_met() -> None:
    models = (
        ModelResult("float", "f", 0.7),
        ModelResult("q6", "q", 0.695),
        ModelResult("picked", "p", 0.679, bits=10),
    )
    data = ReportData("x", models=models, reference=CostReference("BF", bits=130))
    assert [one.met for one in evaluate(data)] == [True, None, True, True, None, None]


def test_limits_can_be_left_out_and_others_added(report: ReportData) -> None:
    own = Check("latency", "csynth", "9 cycles", "at most 12", True)
    assert evaluate(dataclasses.replace(report, limits=None, checks=(own,))) == (own,)
    only = Limits(None, 7.4, None, None, None, None)
    assert [one.target for one in evaluate(dataclasses.replace(report, limits=only))] == ["at least 7.4 ×"]


def test_markdown_has_the_tables_and_no_pictures_or_links(report: ReportData) -> None:
    text = render_markdown(report)
    assert "**✓ bit-exact: 14,000 vectors, 0 mismatches**" in text
    assert "| **picked** | **70.62 ± 0.42 %** |" in text
    assert "| fc1 | linear | 16×32 | ap\\_fixed&lt;4,1,RND\\_CONV,SAT&gt; |" in text
    assert "| C++ = torch | adversarial | 2,000 | 0 |" in text
    assert "search:\n  searcher: ax\n" in text
    for mark in ("![", "](", "<svg", "<img", "http"):
        assert mark not in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    heads = [place for place, line in enumerate(rows) if set(line) <= set("|-: ")]
    for head, following in zip(heads, [*heads[1:], len(rows) + 1], strict=True):
        bars = {len(re.findall(r"(?<!\\)\|", row)) for row in rows[head - 1 : following - 1]}
        assert len(bars) == 1


@settings(max_examples=60)
@given(st.text())
def test_no_text_breaks_out_of_a_markdown_cell(text: str) -> None:
    escaped = escape(text)
    assert not re.search(r"(?<!\\)(\\\\)*[|`*_\[\]]", escaped)
    assert "<" not in escaped
    assert "\n" not in escaped


@settings(max_examples=60)
@given(st.text())
def test_no_text_breaks_out_of_an_element_or_attribute(text: str) -> None:
    escaped = escape_html(text)
    assert not re.search("[<>\"'\x00-\x08]", escaped)
    escaped.encode("utf-8")


def test_a_recipe_with_fences_stays_in_its_own() -> None:
    text = render_markdown(ReportData("x", recipe_text="a: 1\n````\n# not a title\n"))
    assert "`````text\na: 1\n````\n# not a title\n`````" in text


def test_the_summary_in_lines(report: ReportData) -> None:
    lines = summary_lines(report)
    assert lines == (
        "Jets: the least energy at full accuracy",
        "model               accuracy    energy  energy saved    bits  bits saved",
        "float                71.35 %         –             –       –           –",
        "uniform 6-bit (Q6)   71.05 %  949.0 pJ        3.62 ×  26,334      2.50 ×",
        "picked               70.62 %  193.4 pJ       17.78 ×   4,496     14.64 ×",
        "BF (16 bits)               –  3,439 pJ             –  65,835           –",
        "verification  bit-exact: 14,000 vectors, 0 mismatches",
        "targets met   6 of 6",
        "wall time     5 min 12 s",
    )


def test_the_summary_names_what_was_not_met(report: ReportData) -> None:
    lines = summary_lines(
        dataclasses.replace(report, verification=Verification(False, 10, 2, "", "fc1, sample 0"))
    )
    assert lines[-5:] == (
        "verification  NOT bit-exact: 10 vectors, 2 mismatches",
        "              first difference: fc1, sample 0",
        "targets met   5 of 6",
        "not met       C++ against torch, mismatches over all vectors: 2 in 10 vectors, at most 0",
        "wall time     5 min 12 s",
    )


def test_the_summary_as_a_table_takes_no_name_for_markup(report: ReportData) -> None:
    from rich.console import Console

    models = (ModelResult("picked", "[bold]mine[/nonsense]", 0.5),)
    console = Console(file=io.StringIO(), width=100)
    console.print(summary_table(dataclasses.replace(report, models=models)))
    text = console.file.getvalue()
    assert "[bold]mine[/nonsense]" in text
    assert "bit-exact: 14,000 vectors, 0 mismatches" in text


@settings(max_examples=40)
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=300))
def test_thinned_curves_are_points_of_the_curve(points: list[tuple[float, float]]) -> None:
    fpr, tpr = [p[0] for p in points], [p[1] for p in points]
    x, y = thin(fpr, tpr)
    assert set(zip(y.tolist(), x.tolist(), strict=True)) <= set(points)
    assert len(x) <= len(points)


def test_long_curves_become_short() -> None:
    steps = [place / 100_000 for place in range(100_001)]
    x, _ = thin(steps, steps)
    assert 100 < len(x) < 700


@given(st.floats() | st.none())
def test_every_number_has_a_form(value: float | None) -> None:
    for form in (percent, significant, duration):
        assert form(value)


def test_a_verification_is_read_from_what_a_run_wrote() -> None:
    first = {"layer": "fc3", "message": "C++ differs from torch in 1 of 320 values, first at fc3"}
    one = {
        "reading": "C++",
        "against": "torch",
        "kind": "real",
        "vectors": 320,
        "mismatches": 1,
        "max_lsb": 1.0,
    }
    values = {
        "agree": False,
        "vectors": 320,
        "mismatches": 1,
        "verdict": "",
        "first": first,
        "comparisons": [one],
    }
    read = Verification.from_dict(values)
    assert read.first == first["message"]
    assert read.comparisons[0].mismatches == 1
    assert Verification.from_dict({"agree": True, "vectors": 5, "mismatches": 0}).exact


def test_texts_of_many_lines_become_one() -> None:
    assert one_line("a\r\n\tb\x07") == "a b�"
