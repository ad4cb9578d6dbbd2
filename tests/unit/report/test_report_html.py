"""The HTML page: self-contained, escaped, complete, the same every time."""

from __future__ import annotations

import dataclasses
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from sample_report import make_report

from torchq.errors import RunDirError
from torchq.recipe.report import (
    Check,
    CostReference,
    LayerRow,
    ModelResult,
    ReportData,
    SearchResult,
    TrainingHistory,
    TrialPoint,
    Verification,
    render_html,
    render_markdown,
    save_overview_png,
    summary_lines,
    write_report,
)

HOSTILE = "<script>alert(1)</script>\"'>&$x_1$ `|` \x1b[31m\x00\u202e _"
VOID = {"meta", "br", "wbr", "path", "use", "rect", "line"}


class Page(HTMLParser):
    """Collects what a browser would see; unbalanced tags fail."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID or tag == "use":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag == "path":
            return
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def page_text() -> str:
    return render_html(make_report())


@pytest.fixture(scope="module")
def page(page_text: str) -> Page:
    return Page(page_text)


def hostile() -> ReportData:
    return ReportData(
        title=HOSTILE,
        recipe=HOSTILE,
        description=HOSTILE,
        goal=HOSTILE,
        models=(
            ModelResult(
                "picked", HOSTILE, 0.5, 0.5, {HOSTILE: 0.5}, {HOSTILE: ((0.0, 0.5, 1.0), (0.1, 0.6, 1.0))}
            ),
        ),
        reference=CostReference(HOSTILE, 3.0, 4, note=HOSTILE),
        search=SearchResult(
            trials=(TrialPoint(0, 0.5, 10.0, 5, status=HOSTILE, searcher=HOSTILE, scheme=HOSTILE),),
            picked=0,
            front=(0,),
            references=(CostReference(HOSTILE, 20.0, accuracy=0.4),),
            split=HOSTILE,
        ),
        layers=(LayerRow(HOSTILE, HOSTILE, (1,), HOSTILE, HOSTILE, HOSTILE, HOSTILE, 1, 1.0, 0.5, 1),),
        verification=Verification(False, 10, 1, HOSTILE, HOSTILE),
        histories=(TrainingHistory("float", HOSTILE, (1.0, 0.5), (1.0, 0.6), (0.1, 0.2), 1),),
        checks=(Check(HOSTILE, HOSTILE, HOSTILE, HOSTILE, False),),
        seeds={HOSTILE: 1},
        versions={HOSTILE: HOSTILE},
        command=HOSTILE,
        recipe_text=HOSTILE + "\n```\n</pre>",
    )


def test_the_page_is_balanced_and_ids_are_unique(page: Page) -> None:
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) > 10
    assert len(ids) == len(set(ids))


def test_every_reference_within_the_page_has_its_target(page: Page, page_text: str) -> None:
    ids = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    links = [a.get(key) for _, a in page.tags for key in ("href", "xlink:href") if key in a]
    links += [f"#{one}" for one in re.findall(r"url\(#([^)]*)\)", page_text)]
    links += [f"#{a['aria-labelledby']}" for _, a in page.tags if "aria-labelledby" in a]
    assert len(links) > 20
    assert all(link and link[0] == "#" and link[1:] in ids for link in links)


def test_nothing_comes_from_outside_and_nothing_runs(page: Page, page_text: str) -> None:
    assert not {tag for tag, _ in page.tags} & {"script", "link", "img", "iframe", "object", "embed", "base"}
    for _, attributes in page.tags:
        assert not {
            name for name in attributes if name in ("src", "srcset", "style-src") or name.startswith("on")
        }
    without_namespaces = re.sub(r'xmlns(:xlink)?="http://www\.w3\.org/[^"]*"', "", page_text)
    assert "://" not in without_namespaces
    assert "@import" not in page_text
    assert "default-src 'none'" in page_text


def test_the_numbers_of_the_run_are_there(page: Page) -> None:
    for text in (
        "bit-exact: 14,000 vectors, 0 mismatches",
        "70.62 %",
        "0.73 points below float",
        "17.78 ×",
        "193.4 pJ against 3,439 pJ of BF (16 bits)",
        "14.64 ×",
        "6 of 6",
        "71.05 ± 0.41 %",
        "26,334",
        "ap_fixed<4,1, RND_CONV,SAT>",
        "ap_fixed<25,12>",
        "12.7 %",
        "xcvu13p-flga2577-2-e",
        "io_parallel",
        "jets (SIMULATED)",
        "torchq run jets/autoq_energy search.trials=60",
        "# <few> & `good`",
        "5 min 12 s",
        "hls4ml 1.3.0",
    ):
        assert text in page.text, text


def test_every_picture_says_in_words_what_it_shows(page: Page) -> None:
    pictures = [attributes for tag, attributes in page.tags if tag == "svg"]
    assert len(pictures) == 3
    assert all(one["role"] == "img" for one in pictures)
    assert "58 trials, " in page.text
    assert "Training and validation loss by epoch: float, uniform 6-bit (Q6) and picked." in page.text


def test_pictures_take_the_colours_of_the_page(page_text: str) -> None:
    pictures = "".join(re.findall(r"<svg.*?</svg>", page_text, flags=re.S))
    assert "var(--picked)" in pictures
    assert not re.findall(r"(?:fill|stroke): #", pictures)
    assert "font-family" not in pictures
    assert "prefers-color-scheme: dark" in page_text


def test_the_mouse_finds_every_trial(page_text: str) -> None:
    hints = re.findall(r"<use [^>]*><title>trial (\d+), ", page_text)
    assert sorted(map(int, hints)) == [number for number in range(60) if number % 23 != 22]


def test_hostile_names_are_shown_and_never_taken_for_markup() -> None:
    text = render_html(hostile())
    page = Page(text)
    assert "script" not in {tag for tag, _ in page.tags}
    assert all(set(a) <= {"href"} for tag, a in page.tags if tag == "a")
    assert page.text.count("<script>alert(1)</script>") > 25
    assert "<script>" not in text
    assert "\x1b" not in text
    assert "\x00" not in text
    assert "\u202e" not in text
    assert text.encode("utf-8")


@pytest.mark.parametrize(
    "field", [field.name for field in dataclasses.fields(ReportData) if field.name != "title"]
)
def test_any_part_may_be_missing(report: ReportData, field: str) -> None:
    nothing = dataclasses.replace(report, **{field: getattr(ReportData(""), field)})
    if field in ("models", "search", "histories"):
        Page(render_html(nothing))
    assert render_markdown(nothing) != ""
    assert summary_lines(nothing)


def test_an_empty_run_says_so_everywhere() -> None:
    page = Page(render_html(ReportData("Nothing")))
    assert "not verified yet The run stopped before the firmware was compared with torch." in page.text
    for part in ("Models", "Search", "Picked model", "Verification", "HLS project", "Training", "Data"):
        assert f"{part}: not run yet." in page.text
    assert "0 of 6 targets met 6 not measured" in page.text
    assert "svg" not in {tag for tag, _ in page.tags}


def test_a_mismatch_turns_the_banner_red_and_names_the_first_difference(report: ReportData) -> None:
    first = "fc3, sample 17, output 3: 0.40625 against 0.4375"
    wrong = Verification(False, 14000, 3, "C++ differs from torch.", first)
    text = render_html(dataclasses.replace(report, verification=wrong))
    assert '<div class="banner bad">' in text
    assert "NOT bit-exact: 14,000 vectors, 3 mismatches" in text
    assert f"C++ differs from torch. First difference: {first}" in text
    assert '<span class="bad">✗ no</span>' in text


def test_agreement_over_no_vectors_is_no_agreement(report: ReportData) -> None:
    text = render_html(dataclasses.replace(report, verification=Verification(True, 0, 0)))
    assert "banner good" not in text
    assert "not bit-exact: no vectors were compared" in text


def test_numbers_that_are_none_do_no_harm(report: ReportData) -> None:
    nan, inf = float("nan"), float("inf")
    odd = dataclasses.replace(
        report,
        wall_s=nan,
        models=(ModelResult("picked", "p", nan, nan, {"g": nan}, {"g": ((nan, 0.0), (nan, 0.0))}, nan, 0),),
        search=SearchResult((TrialPoint(0, nan, 1.0), TrialPoint(1, 0.5, inf), TrialPoint(2, 0.5, 0.0))),
        layers=(LayerRow("a", "b", energy_pj=nan), LayerRow("c", "d", energy_pj=inf, bits=0)),
        histories=(TrainingHistory("float", "f", (nan, 1.0), (inf, 1.0), (), 7),),
    )
    page = Page(render_html(odd))
    assert "not a number" in page.text
    assert "nan" not in page.text.split()


def test_one_trial_alone_and_trials_far_below_are_drawn() -> None:
    trials = (TrialPoint(0, 0.7, 100.0), TrialPoint(1, 0.2, 50.0))
    text = render_html(ReportData("x", search=SearchResult(trials[:1], picked=0, front=(0,))))
    assert "picked: trial 0" in text
    assert "1 lie lower than drawn" in render_html(ReportData("x", search=SearchResult(trials)))


def test_the_same_data_gives_the_same_bytes(page_text: str) -> None:
    assert render_html(make_report()) == page_text


def test_two_hundred_trials_fit_in_a_megabyte() -> None:
    assert len(render_html(make_report(200)).encode()) < 1_000_000


def test_files_are_written(report: ReportData, tmp_path: Path) -> None:
    files = write_report(report, tmp_path / "run")
    assert files.html == tmp_path / "run" / "report.html"
    assert files.markdown.read_text(encoding="utf-8").startswith("# Jets: the least energy")
    png = save_overview_png(ReportData("nothing"), tmp_path / "overview.png").read_bytes()
    assert png.startswith(b"\x89PNG")
    assert save_overview_png(ReportData("nothing"), tmp_path / "again.png").read_bytes() == png
    assert {one.name for one in tmp_path.iterdir()} == {"run", "overview.png", "again.png"}


def test_a_folder_that_is_a_file_is_named(report: ReportData, tmp_path: Path) -> None:
    (tmp_path / "run").write_text("in the way")
    with pytest.raises(RunDirError, match=r"report\.html: cannot be written"):
        write_report(dataclasses.replace(report, models=(), search=None, histories=()), tmp_path / "run")


def test_settings_of_the_user_are_neither_used_nor_changed(report: ReportData, page_text: str) -> None:
    import matplotlib as mpl

    with mpl.rc_context({"lines.linewidth": 9.0, "svg.fonttype": "path", "text.parse_math": True}):
        before = dict(mpl.rcParams)
        assert render_html(report) == page_text
        assert dict(mpl.rcParams) == before
