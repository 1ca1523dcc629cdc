"""The page: its tables show the metrics, it loads nothing, and it is sound HTML."""

import base64
import hashlib
import json
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from stages.common.files import read_json, read_jsonl
from stages.report.browser import MOST_TEXTS
from stages.report.depth import BINS
from stages.report.formats import label
from stages.report.paper import LABELS
from stages.report.stage import run
from tests.stages.report.fabricated_results import LENGTHS, job, params, write_run

VARIANTS = ("rope", "nope", "r2n1", "n2r1", "repo")
VOID = {"meta", "link", "br", "wbr", "path", "use", "input"}


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
    assert head == ["task", "length", "random guess", "base", *names, "RePo − RoPE"]
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
        if caption.startswith(("Data and models", "Stack", "Counted")):
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


def test_nothing_is_loaded_and_only_the_page_s_own_script_runs(text, page):
    """The data block is no script to a browser, and nothing in a sample can end it."""
    data = text[text.index('id="samples-data">') :].partition("</script>")[0]
    assert "<b>" not in data and "\\u003cb>number" in data
    script = text[text.rindex("<script>") + len("<script>") :].partition("</script>")[0]
    rest = text.replace(data, "").replace(script, "").replace("default-src", "")
    assert not re.search(r"https?:|//|@import|url\((?!#)", rest)
    assert not re.search(r"https?:|innerHTML|eval|fetch|import\b", script)
    assert not {"iframe", "img", "object"} & {tag for tag, _ in page.tags}
    assert [found for tag, found in page.tags if tag == "script"] == [
        {"type": "application/json", "id": "samples-data"}, {}
    ]  # fmt: skip
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = next(
        found["content"] for tag, found in page.tags if tag == "meta" and "content" in found
        and "http-equiv" in found
    )  # fmt: skip
    assert f"script-src 'sha256-{digest}'" in policy
    attributes = [name for _, found in page.tags for name in found]
    assert not any(name.startswith("on") for name in attributes)
    assert len(text) < 900_000


def _data(text: str) -> dict[str, Any]:
    start = text.index('id="samples-data">') + len('id="samples-data">')
    return json.loads(text[start : text.index("</script>", start)])


def test_the_browser_has_every_score_and_the_most_telling_texts(text):
    data = _data(text)
    percent = {code: i for i, code in enumerate(data["codes"])}
    assert len(percent) == 101
    order = list(VARIANTS)
    assert data["variants"] == [LABELS[name] for name in order]
    for cell in data["cells"]:
        name = f"{cell['suite']}-{cell['task']}-{cell['length']}"
        rows = {
            variant: list(read_jsonl(Path(f"results/{variant}-42/samples/{name}.jsonl")))
            for variant in order
        }
        for variant, codes in zip(order, cell["scores"], strict=True):
            assert [percent[c] for c in codes] == [
                round(100 * row["score"]) for row in rows[variant]
            ]
        assert 2 <= len(cell["texts"]) <= MOST_TEXTS
        for sample in cell["texts"]:
            index = sample["i"]
            assert sample["want"] == [f"{1000 + index}"]
            assert sample["said"] == [f" {1000 + index}, said {v}-42" for v in order]
            assert [piece for kind, piece in sample["parts"] if kind == 1] == [f"{1000 + index}"]
            assert sample["parts"][-1][1].endswith("What is the <b>number</b>? The number is")
        outcomes = {
            tuple(rows[v][sample["i"]]["score"] for v in ("repo", "rope"))
            for sample in cell["texts"]
        }
        every = set(zip(*([r["score"] for r in rows[v]] for v in ("repo", "rope")), strict=True))
        assert outcomes == every


def test_depth_maps_are_means_of_the_records(page, metrics):
    tables = [rows for caption, rows in page.tables.items() if caption in ("RePo", "RePo − RoPE")]
    assert tables
    assert "vt" not in metrics["depths"]["ruler"], "its answers have no one place"
    for length in LENGTHS:
        name = f"ruler-niah_single_1-{length}"
        for variant in VARIANTS:
            rows = list(read_jsonl(Path(f"results/{variant}-42/samples/{name}.jsonl")))
            for part, found in enumerate(metrics["depths"]["ruler"]["niah_single_1"][f"{length}"]):
                inside = [
                    row["score"]
                    for row in rows
                    if part / BINS <= row["depth"] < (part + 1) / BINS + (part == BINS - 1)
                ]
                assert found["n"] == len(inside)
                assert found["scores"][variant] == pytest.approx(
                    100 * sum(inside) / len(inside), abs=1e-5
                )


def test_loss_by_place_is_the_mean_over_windows(metrics):
    for variant in VARIANTS:
        rows = list(read_jsonl(Path(f"results/{variant}-42/samples/windows/python-128.jsonl")))
        means = [sum(row["places"][k] for row in rows) / len(rows) for k in range(16)]
        assert metrics["places"]["python"]["128"][variant] == pytest.approx(means, abs=1e-5)


def test_costs_are_counted(page, metrics):
    """By hand: embeddings twice, and per layer attention, MLP and norms of the fabricated shape."""
    layer = 4 * 96 * 96 + 3 * 96 * 128 + 2 * 96 + 2 * 96
    plain = 2 * 1024 * 96 + 3 * layer + 96
    maps = 2 * (2 * 96 * 12 + 12 * 4)
    costs = metrics["costs"]
    assert costs["rope"]["parameters"] == plain
    assert costs["repo"]["parameters"] == plain + maps
    assert costs["repo"]["cache_bytes"] == costs["rope"]["cache_bytes"] == 2 * 2 * 3 * 96
    rows = page.table("Counted from the shapes")
    assert f"{plain + maps:,} (+{100 * maps / plain:.1f} %)" in next(
        r for r in rows if r[0] == "RePo"
    )


def test_tags_close_and_ids_are_unique_and_links_lead_somewhere(page):
    assert page.open == []
    ids = Counter(found["id"] for _, found in page.tags if "id" in found)
    assert max(ids.values()) == 1
    links = [found["href"] for tag, found in page.tags if tag in ("a", "use")]
    assert links.count("execution.html") == 1
    links.remove("execution.html")
    links += [
        link
        for _, found in page.tags
        for value in found.values()
        for link in re.findall(r"url\((#[^)]+)\)", value or "")
    ]
    scripts = {"filter", "filtered", "browser", "samples-data"}
    assert {link.removeprefix("#") for link in links} == set(ids) - scripts
    assert sum(tag == "a" for tag, _ in page.tags) == sum(tag == "h2" for tag, _ in page.tags) + 1


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


def test_what_was_seen_while_it_trained(text: str, metrics: dict[str, Any]) -> None:
    """Held-out loss beside the base's, the probe, norms, positions; what is not finite is left out."""
    drawn = text[text.index("Seen while it trained") :].partition("</details>")[0]
    panels = re.findall(r'<p class="note">(.*?)</p>\s*<svg.*?>(.*?)</svg>', drawn, re.S)
    names = {title: re.findall(r'data-name="(.*?)"', svg) for title, svg in panels}
    all_of_them = [f"{label(variant)}, seed 42" for variant in VARIANTS]
    assert names == {
        "Held-out loss, long": [*all_of_them, "the base"],
        "Probe: prompts that are answered": all_of_them,
        "Gradient norm, before clipping": all_of_them,
        "Positions: std(z), mean over layers": ["RePo, seed 42"],
    }
    seen = metrics["training"]["repo"]["seen"]
    assert seen["base.held_out.long"] == 3.5
    assert seen["gradient_norm"] == 0.5
    assert seen["z.std"] == 1.0
    assert "z.std" not in metrics["training"]["rope"]["seen"]
