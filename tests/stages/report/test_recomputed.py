"""The page's numbers, made again from the records by other code: nothing of the product is asked.

Only the page's text and the files that a run leaves are read. Rules: the mean and its standard error by
sample; paired differences with Student's t (exact where scores are 0 or 1 is the mark's business, not
the interval's); means over tasks stratified; a text's loss over windows of one length.
"""

import csv
import json
import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, variance
from typing import Any

import pytest

from stages.report.stage import run
from tests.stages.report.fabricated_results import job, params, write_run
from tests.stages.report.test_report_page import Page

NAMES = {"rope": "RoPE", "nope": "NoPE", "repo": "RePo"}
LENGTHS = ("128", "256", "512")
Scores = dict[tuple[str, str], dict[str, dict[str, float]]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Page, Path]:
    folder = tmp_path_factory.mktemp("recomputed")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_run(tuple(NAMES), (42,))
        run(job(params(tuple(NAMES), (42,))))
        return Page(Path("report/index.html").read_text()), folder


@pytest.fixture(scope="module")
def scores(made: tuple[Page, Path]) -> Scores:
    """(suite, task) -> length -> variant -> score by sample, as a nested mapping by variant first."""
    found: Scores = defaultdict(lambda: defaultdict(dict))
    for variant in NAMES:
        for file in sorted((made[1] / f"results/{variant}-42/samples").glob("*.jsonl")):
            rows = [json.loads(line) for line in file.read_text().splitlines()]
            key = (rows[0]["suite"], rows[0]["task"])
            for row in rows:
                found[key][f"{row['length']} {variant}"][row["id"]] = 100 * row["score"]
    return found


def t_quantile(freedom: int, share: float = 0.975) -> float:
    """By bisection of the density's integral (Simpson's rule)."""
    scale = math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2))
    scale /= math.sqrt(freedom * math.pi)

    def below(x: float, steps: int = 400) -> float:
        h = x / steps
        at = [(1 + (i * h) ** 2 / freedom) ** (-(freedom + 1) / 2) for i in range(steps + 1)]
        return 0.5 + scale * h / 3 * (at[0] + at[-1] + 4 * sum(at[1::2]) + 2 * sum(at[2:-1:2]))

    low, high = 0.0, 20.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if below(middle) < share else (low, middle)
    return low


def shown(value: float, places: int, sign: bool = False) -> str:
    return f"{value:{'+' if sign else ''}.{places}f}".replace("-", "−")


def error(values: Sequence[float]) -> float:
    return math.sqrt(variance(values) / len(values))


def plus_minus(values: Sequence[float]) -> str:
    """Of scores; where all are 0 or all 100, the error of one more success and one more failure."""
    spread = error(values)
    if spread == 0.0:
        p = 1 / (len(values) + 2)
        spread = 100 * math.sqrt(p * (1 - p) / (len(values) + 2))
    return f"{shown(fmean(values), 1)} ± {shown(spread, 1)}"


def interval(strata: Sequence[Sequence[float]]) -> str:
    """Mean over the strata of the paired differences, with Welch and Satterthwaite's freedom."""
    value = fmean(fmean(part) for part in strata)
    parts = [variance(part) / len(part) / len(strata) ** 2 for part in strata]
    whole = sum(parts)
    freedom = whole**2 / sum(v**2 / (len(s) - 1) for v, s in zip(parts, strata, strict=True))
    reach = t_quantile(max(1, int(freedom))) * math.sqrt(whole)
    ends = f"[{shown(value - reach, 1, True)}, {shown(value + reach, 1, True)}]"
    return f"{shown(value, 1, True)} {ends}"


def minus(scores: Scores, key: tuple[str, str], length: str, variant: str) -> list[float]:
    ours, theirs = scores[key][f"{length} {variant}"], scores[key][f"{length} rope"]
    assert ours.keys() == theirs.keys()
    return [ours[name] - theirs[name] for name in ours]


def by_length(rows: list[list[str]]) -> dict[tuple[str, str], list[str]]:
    """Rows under (name, length): a name stands at the first of its lengths only."""
    found, name = {}, ""
    for row in rows[1:]:
        if row[0] not in LENGTHS:
            name, row = row[0], row[1:]
        found[name, row[0]] = row[1:]
    return found


def test_scores_and_their_paired_differences(made: tuple[Page, Path], scores: Scores) -> None:
    table = by_length(made[0].table("Score in percent"))
    seen = 0
    for suite, task in scores:
        for length in LENGTHS:
            cells = next(row for (name, at), row in table.items() if task in name and at == length)
            for variant, cell in zip(NAMES, cells[2:5], strict=True):
                values = list(scores[suite, task][f"{length} {variant}"].values())
                assert cell.rstrip(" ▲") == plus_minus(values), (task, length, variant)
            expected = interval([minus(scores, (suite, task), length, "repo")])
            assert cells[5].rstrip(" ●○") == expected, (task, length)
            seen += 1
    assert seen == len(table) == 12


def test_means_over_tasks_and_their_differences(made: tuple[Page, Path], scores: Scores) -> None:
    table = by_length(made[0].table("Difference to RoPE, mean over the tasks"))
    assert len(table) == 2 * 2 * len(LENGTHS)
    for (name, length), (tasks, samples, cell, _) in table.items():
        label, suite = name.split(" − RoPE, ")
        variant = next(key for key, value in NAMES.items() if value == label)
        strata = [minus(scores, key, length, variant) for key in scores if key[0] == suite]
        assert (tasks, samples) == (str(len(strata)), str(sum(map(len, strata))))
        assert cell == interval(strata), (name, length)


def test_means_of_a_suite(made: tuple[Page, Path], scores: Scores) -> None:
    """Errors of a mean over tasks; weights 1, 2, 3 (inc) and 3, 2, 1 (dec); last over first."""
    rows, suite, checked = made[0].table("Mean over a suite's tasks"), "", 0
    for row in rows[1:]:
        if row[0] in ("ruler", "longbench"):
            suite, row = row[0], row[1:]
        variant = next((key for key, value in NAMES.items() if value == row[0]), None)
        if variant is None:
            continue  # the base, whose samples are not among these records
        tasks = [key for key in scores if key[0] == suite]
        means, cells = [], []
        for length in LENGTHS:
            values = [list(scores[key][f"{length} {variant}"].values()) for key in tasks]
            means.append(fmean(map(fmean, values)))
            spread = math.sqrt(sum(error(part) ** 2 for part in values)) / len(tasks)
            cells.append(f"{shown(means[-1], 1)} ± {shown(spread, 1)}")
        weighted = [
            sum(w * m for w, m in zip(weights, means, strict=True)) / 6
            for weights in ((1, 2, 3), (3, 2, 1))
        ]
        assert row[1:4] == cells
        assert row[4:6] == [shown(value, 1) for value in weighted]
        assert row[6] == shown(means[-1] / means[0], 2)
        checked += 1
    assert checked == 2 * len(NAMES)


def windows(folder: Path, variant: str, source: str, length: str) -> list[float]:
    file = folder / f"results/{variant}-42/samples/windows/{source}-{length}.jsonl"
    return [json.loads(line)["loss"] for line in file.read_text().splitlines()]


def test_losses_and_their_differences_by_window(made: tuple[Page, Path]) -> None:
    page, folder = made
    losses = by_length(page.table("Validation loss in nats"))
    paired = by_length(page.table("Difference in validation loss"))
    assert losses.keys() == paired.keys()
    for (source, length), cells in losses.items():
        read = {variant: windows(folder, variant, source, length) for variant in NAMES}
        for variant, cell in zip(NAMES, cells[1:], strict=True):
            told, spread = cell.rstrip(" ▼").split(" ± ")
            assert told == shown(fmean(read[variant]), 3)
            assert spread == shown(error(read[variant]), 3)
        change = [a - b for a, b in zip(read["repo"], read["rope"], strict=True)]
        expected = f"{shown(fmean(change), 3, True)} ± {shown(error(change), 3)}"
        assert paired[source, length][0] == str(len(change))
        assert paired[source, length][-1].rstrip(" ●○▼") == expected


def test_first_and_last_point_of_training(made: tuple[Page, Path]) -> None:
    page, folder = made
    for row in page.table("Training loss, first and last")[1:]:
        variant = next(key for key, value in NAMES.items() if value == row[0])
        with (folder / f"results/{variant}-42/loss.csv").open(newline="") as file:
            points = list(csv.DictReader(file))
        assert row[1:] == [
            f"{int(points[-1]['step']):,}", f"{int(points[-1]['tokens']):,}",
            shown(float(points[0]["loss"]), 3), shown(float(points[-1]["loss"]), 3),
        ]  # fmt: skip


def fifths(folder: Path, variant: str, length: str) -> list[float]:
    """Scores by fifths of where the needle stands."""
    file = folder / f"results/{variant}-42/samples/ruler-niah_single_1-{length}.jsonl"
    parts: list[list[float]] = [[] for _ in range(5)]
    for line in file.read_text().splitlines():
        row = json.loads(line)
        parts[min(4, int(5 * row["depth"]))].append(100 * row["score"])
    return [fmean(part) for part in parts]


def test_depths_and_their_differences(made: tuple[Page, Path]) -> None:
    """The page's last maps are niah_single_1's: a caption has one table here."""
    page, folder = made
    for caption, variant in (("RePo", "repo"), ("RoPE", "rope"), ("NoPE", "nope")):
        rows = {row[0]: row[1:] for row in page.tables[caption][1:]}
        for length in LENGTHS:
            assert rows[length] == [f"{part:.0f}" for part in fifths(folder, variant, length)]
    rows = {row[0]: row[1:] for row in page.tables["RePo \N{MINUS SIGN} RoPE"][1:]}
    for length in LENGTHS:
        pairs = zip(fifths(folder, "repo", length), fifths(folder, "rope", length), strict=True)
        assert rows[length] == [shown(ours - theirs, 0, True) for ours, theirs in pairs]


def test_what_is_behind_the_scores(made: tuple[Page, Path]) -> None:
    """The base and its rows are of another stage; their place is asked by the table's own rule."""
    page, folder = made
    variant, checked = "", 0
    for row in page.table("Behind the scores")[1:]:
        variant, cells = (row[0], row[1:]) if len(row) == 8 else (variant, row)
        if variant not in NAMES.values():
            continue
        item = next(key for key, value in NAMES.items() if value == variant)
        task, length = cells[0].rsplit(", ", 1)
        suites = json.loads((folder / f"results/{item}-42/metrics.json").read_text())["cells"]
        name = task.split()[0]  # the suite's stands behind it
        (cell,) = [tasks[name][length] for tasks in suites.values() if name in tasks]
        assert cells[1:] == [
            str(cell["n"]), f"{cell['fill']:.2f}", str(cell["empty"]), str(cell["truncated"]),
            str(cell["unended"]), f"{cell['yarn_factor'] or 1:g}",
        ]  # fmt: skip
        checked += 1
    assert checked == len(NAMES) * 4 * len(LENGTHS)


def analysis(folder: Path, variant: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        (folder / f"analysis/{variant}-42/analysis.json").read_text()
    )
    return found


def test_learned_positions_by_layer(made: tuple[Page, Path]) -> None:
    page, folder = made
    name, checked = "", 0
    for row in page.table("Learned positions z per layer")[1:]:
        name, cells = (row[0], row[1:]) if len(row) == 6 else (name, row)
        probe = analysis(folder, "repo")["positions"][name.removeprefix("RePo, ")][cells[0]]
        ranges = [head["max"] - head["min"] for head in probe["heads"]]
        assert cells[2:] == [
            shown(fmean(ranges), 3), shown(max(ranges), 3),
            shown(fmean(head["std"] for head in probe["heads"]), 3),
        ]  # fmt: skip
        checked += 1
    assert checked == 4


def test_attention_mass_and_patterns(made: tuple[Page, Path]) -> None:
    page, folder = made
    rows = [row[-5:] for row in page.table("Mean attention per token")[1:]][: len(NAMES)]
    for row, (variant, label) in zip(rows, NAMES.items(), strict=True):
        mass = analysis(folder, variant)["attention_mass"]
        parts = ("needle", "query", "rest")
        told = [f"{100 * mass[x]:.3f} ± {100 * mass['stderr'][x]:.3f}" for x in parts]
        assert row == [label, *told, f"{100 * mass['uniform']:.3f}"]
    row = page.table("Share of chunks")[1]
    found = analysis(folder, "repo")["patterns"]
    shares = [f"{100 * found[x]:.1f}" for x in ("monotone", "constant", "hybrid")]
    assert row == ["RePo, this run", *shares, str(found["chunks"])]


def test_costs_are_those_of_the_shapes(made: tuple[Page, Path]) -> None:
    """By hand for OLMo-2's block: width 96, middle 128, 3 layers, 4 heads, 1,024 words, 128 tokens.

    RePo's map of a layer (arXiv 2512.14391, 3.1): a gate and a content of width 96 / 8 each, then one
    position a head. A token attends to half the others on average; backward costs twice forward.
    """
    width, middle, layers, heads, words, length = 96, 128, 3, 4, 1024, 128
    block = 4 * width**2 + 3 * width * middle + 4 * width  # four norms: q, k, and after each part
    plain = 2 * words * width + layers * block + width
    attention = layers * 2 * 2 * width * length / 2
    rows = made[0].table("Counted from the shapes")[1:]
    for row, (label, mapped) in zip(rows, (("RoPE", 0), ("NoPE", 0), ("RePo", 2)), strict=True):
        count = plain + mapped * (2 * width * width // 8 + width // 8 * heads)
        reading = 2 * (count - words * width) + attention
        cache = 2 * 2 * layers * width
        assert [cell.split(" (")[0] for cell in row] == [
            label, str(mapped), f"{count:,}", f"{3 * reading:,.0f}", f"{reading:,.0f}", f"{cache:,}",
        ]  # fmt: skip
