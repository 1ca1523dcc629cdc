"""The page: its tables show the metrics, it loads nothing, and it is sound HTML."""

import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from stages.common.files import read_json
from stages.report.paper import LABELS
from stages.report.stage import run
from tests.stages.report.fabricated_results import LENGTHS, job, params, write_run

VARIANTS = ("rope", "nope", "r2n1", "n2r1", "repo")
VOID = {"meta", "link", "br", "wbr", "path", "use"}


class Page(HTMLParser):
    """Tables as rows of texts, and what a checker of HTML would look at."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.tables: dict[str, list[list[str]]] = {}
        self._rows: list[list[str]] = []
        self._caption = ""
        self._hidden = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "table":
            self._rows, self._caption = [], ""
        elif tag == "tr":
            self._rows.append([])
        elif tag in ("td", "th"):
            self._rows[-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        assert self.open.pop() == tag
        if tag == "table":
            self.tables[self._caption] = self._rows

    def handle_data(self, data: str) -> None:
        if "caption" in self.open:
            self._caption += data
        elif "table" in self.open and self.open[-1] in ("td", "th"):
            self._rows[-1][-1] += data

    def table(self, start: str) -> list[list[str]]:
        return next(rows for caption, rows in self.tables.items() if caption.startswith(start))


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_run(VARIANTS, (42,))
        run(job(params(VARIANTS, (42,))))
        yield Path("report/index.html").read_text(), read_json(Path("report/figures.json"))


@pytest.fixture(scope="module")
def text(report) -> str:
    return report[0]


@pytest.fixture(scope="module")
def metrics(report) -> dict[str, Any]:
    return report[1]


@pytest.fixture(scope="module")
def page(text) -> Page:
    return Page(text)


def test_every_score_stands_in_its_row_beside_its_shortcut(page, metrics):
    head, *rows = page.table("Score in percent")
    names = [LABELS[name] for name in VARIANTS]
    assert head == ["task", "length", "shortcut", "base", *names, "RePo − RoPE"]
    rows = [row if len(row) == len(head) else ["", *row] for row in rows]
    task, seen = "", 0
    for row in rows:
        task = row[0].split()[0] or task if row[0] else task
        suite = "longbench" if task == "triviaqa" else "ruler"
        cells = [metrics["scores"][name][suite][task][row[1]] for name in VARIANTS]
        shortcut = cells[0]["shortcut"]
        assert row[2] == ("–" if shortcut is None else f"{shortcut:.1f}")
        base = metrics["base"]["scores"][suite][task][row[1]]
        assert row[3] == f"{base['score']:.1f} ± {base['stderr']:.1f}"
        assert row[4:9] == [f"{cell['score']:.1f} ± {cell['stderr']:.1f}" for cell in cells]
        difference = cells[-1]["score"] - cells[0]["score"]
        assert row[9].startswith(f"{difference:+.1f} [".replace("-", "−"))
        seen += 1
    assert seen == 4 * len(LENGTHS)


def test_losses_stand_beside_the_base(page, metrics):
    rows = page.table("Validation loss")[1:]
    first = next(row for row in rows if row[0] == "generated")
    entry = metrics["validation"]["rope"]["generated"]["128"]
    assert first[1:4] == ["128", "2.250 ± 0.012", f"{entry['loss']:.3f} ± {entry['stderr']:.3f}"]


def test_attention_stands_beside_the_papers(page, metrics):
    rows = page.table("Mean attention")
    ours = next(row for row in rows if row[0] == "this run")
    found = metrics["attention_mass"]["rope"]
    assert ours[2] == f"{100 * found['needle']:.3f} ± {100 * found['stderr']['needle']:.3f}"
    assert ["RePo", "2.013", "1.046", "0.015", "–"] in rows


def test_the_papers_tables_hold_ours_where_both_measured(page, metrics):
    rows = page.table("Table 1")
    assert ["1B RePo", "100.0", "89.3", "86.0", "89.8", "91.3"] in rows
    ours = next(row for row in rows if row[0] == "this run, 128 tokens")
    tasks = metrics["scores"]["rope"]["ruler"]
    single, multikey = (tasks[f"niah_{t}_1"]["128"]["score"] for t in ("single", "multikey"))
    assert ours[1:] == ["RoPE", f"{single:.1f}", "–", f"{multikey:.1f}", "–", "–"]
    assert not any(row[0].startswith("this run") for row in page.table("Table 5"))


def _values(node: Any) -> list[float]:
    if isinstance(node, dict):
        return [value for child in node.values() for value in _values(child)]
    if isinstance(node, list):
        return [value for child in node for value in _values(child)]
    return [float(node)] if isinstance(node, int | float) else []


def test_every_number_of_the_tables_is_in_the_metrics(page, metrics):
    values = _values(metrics)
    for caption, rows in page.tables.items():
        if caption.startswith(("Data and models", "Stack")):
            continue
        for row in rows[1:]:
            for cell in row[1:]:
                for shown in re.findall(r"\d[\d,]*(?:\.\d+)?", cell):
                    if shown in map(str, LENGTHS) or cell[:2] in ("1B", "7B"):
                        continue
                    digits = len(shown.partition(".")[2])
                    wanted = shown.replace(",", "")
                    assert any(
                        wanted in (f"{abs(v):.{digits}f}", f"{abs(100 * v):.{digits}f}")
                        for v in values
                    ), f"{shown} in {caption!r} is not in metrics.json"


def test_the_summary_of_the_page_is_that_of_the_metrics(text, metrics):
    assert len(metrics["summary"]) > 5
    for statement in metrics["summary"]:
        assert f"<li>{statement}</li>".replace("'", "&#39;") in text


def test_nothing_is_loaded_and_nothing_runs(text, page):
    assert not re.search(r"https?:|//|@import|url\((?!#)", text.replace("default-src", ""))
    assert not {"script", "iframe", "img", "object"} & {tag for tag, _ in page.tags}
    attributes = [name for _, found in page.tags for name in found]
    assert not any(name.startswith("on") for name in attributes)
    assert len(text) < 500_000


def test_tags_close_and_ids_are_unique_and_links_lead_somewhere(page):
    assert page.open == []
    ids = Counter(found["id"] for _, found in page.tags if "id" in found)
    assert max(ids.values()) == 1
    links = [found["href"] for tag, found in page.tags if tag in ("a", "use")]
    links += [
        link
        for _, found in page.tags
        for value in found.values()
        for link in re.findall(r"url\((#[^)]+)\)", value or "")
    ]
    assert {link.removeprefix("#") for link in links} == set(ids)
    assert sum(tag == "a" for tag, _ in page.tags) == sum(tag == "h2" for tag, _ in page.tags)


def test_it_can_be_read_without_eyes_on_the_screen(page):
    assert ("html", {"lang": "en"}) in page.tags
    assert all("scope" in found for tag, found in page.tags if tag == "th")
    assert all(caption != "" for caption in page.tables)
    for tag, found in page.tags:
        if tag == "svg":
            assert found.get("aria-hidden") or found.get("aria-label")
    figures = sum(tag == "figure" for tag, _ in page.tags)
    assert sum(tag == "figcaption" for tag, _ in page.tags) == figures > 3


def test_drawings_take_the_pages_colours(text):
    drawings = "".join(re.findall(r"<svg.*?</svg>", text, re.DOTALL))
    assert "currentColor" in drawings
    assert "var(--repo)" in drawings
    assert set(re.findall(r"#[0-9a-f]{6}\b", drawings)) == set()


def test_no_time_host_or_path_is_inside(text, metrics):
    assert str(Path.cwd()) not in text
    assert not re.search(r"\d\d:\d\d:\d\d", text)
