"""``repo-pipeline report --compare A B``: two runs or experiments on one page.

    repo-pipeline report --compare . ../other-run --out compared.html

Each folder is one in which ``repo-pipeline run`` ended (a checkout, or the worktree of an experiment):
``report/figures.json`` and ``results``. Variants that both have are compared sample by sample, where
both were asked the same: by the rule of all comparisons (``stages.evaluate.significance``).
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stages.common.command import Parser, ended
from stages.common.errors import UserError
from stages.common.files import read_json, read_jsonl, replacing
from stages.evaluate import significance
from stages.evaluate.significance import Cell, Comparison, Runs
from stages.report.forest import CLASSES
from stages.report.formats import between, label, labelled, suite_name, task_name
from stages.report.page import page_parts, template
from stages.report.tables import Cell as Shown
from stages.report.tables import Group, Row, Table

OUT = Path("compared.html")
MARKS = {"better": ("●", "better"), "worse": ("○", "worse")}


def read(folder: Path) -> dict[str, Any]:
    """Figures of a finished run, of ``folder`` or its ``report``."""
    for place in (folder / "report/figures.json", folder / "figures.json"):
        if place.is_file():
            found = read_json(place)
            if "verdict" not in found:
                raise UserError(f"{place}: made by an earlier version; run the stage report there")
            return dict(found)
    raise UserError(f"{folder}: no report/figures.json; run `repo-pipeline run` there first")


def scores(folder: Path, variant: str, seeds: Sequence[int]) -> dict[Cell, Runs]:
    """Scores by cell, a mapping by sample for each seed; the key holds what was wanted as well.

    So samples that only share a number are not taken for the same.
    """
    found: dict[Cell, list[dict[str, float]]] = defaultdict(list)
    for seed in seeds:
        for file in sorted((folder / f"results/{variant}-{seed}/samples").glob("*.jsonl")):
            rows = list(read_jsonl(file))
            cell = (rows[0]["suite"], rows[0]["task"], str(rows[0]["length"]))
            found[cell].append(
                {f"{r['id']} {r.get('prompt_tokens')} {r.get('outputs')}": r["score"] for r in rows}
            )
    return {**found}


def compared(
    a: Path, b: Path, ours: Mapping[str, Any], theirs: Mapping[str, Any]
) -> dict[str, Comparison]:
    """By variant that both have: A minus B."""
    found = {}
    for variant in ours["variants"]:
        if variant not in theirs["variants"]:
            continue
        seeds = [seed for seed in ours["seeds"] if seed in theirs["seeds"]]
        one = scores(a, variant, seeds or ours["seeds"][: len(theirs["seeds"])])
        other = scores(b, variant, seeds or theirs["seeds"][: len(ours["seeds"])])
        cells = [cell for cell in one if cell in other and set(one[cell][0]) & set(other[cell][0])]
        found[variant] = significance.compare(
            {cell: one[cell] for cell in cells}, {cell: other[cell] for cell in cells}
        )
    return found


def table(found: Comparison, title: str) -> Table | None:
    """The means over tasks, then the cells, by suite and length."""
    groups = []
    for (suite, length), mean in found.means.items():
        rows = [_row(f"mean, {mean.tasks} tasks", mean)] if mean.tasks > 1 else []
        rows += [
            _row(task_name(suite, task), one)
            for (of, task, at), one in found.cells.items()
            if (of, at) == (suite, length)
        ]
        groups.append(Group(f"{suite_name(suite)}, {int(length):,} tokens", rows))
    if not groups:
        return None
    return Table(
        f"{title}: A minus B on the samples that both were asked, points of 100 with the 95 % "
        "interval. ● A better, ○ A worse (Holm, for this table).",
        ["suite and length", "task", "samples", "A − B", "verdict"],
        groups,
    )


def _row(name: str, one: significance.Difference) -> Row:
    said = significance.call(one)
    text = between(one.value, one.low, one.high)
    return Row(name, [Shown(f"{one.n}"), Shown(text, *MARKS.get(said, ())), Shown(said)])


def losses(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> Table | None:
    """Validation losses side by side; no difference by window: the windows may be others."""
    groups = []
    for variant in ours["variants"]:
        one, other = ours["validation"].get(variant, {}), theirs["validation"].get(variant, {})
        rows = [
            Row(
                f"{source}, {length}",
                [Shown(f"{x['loss']:.4f}"), Shown(f"{other[source][length]['loss']:.4f}")],
            )
            for source, lengths in one.items()
            for length, x in sorted(lengths.items(), key=lambda entry: int(entry[0]))
            if length in other.get(source, {})
        ]
        if rows:
            groups.append(Group(label(variant), rows))
    caption = "Validation loss, nats per token, of each run on its own windows."
    return Table(caption, ["variant", "text, tokens", "A", "B"], groups) if groups else None


def page(a: Path, b: Path) -> str:
    """The page."""
    ours, theirs = read(a), read(b)
    with labelled({**theirs.get("labels", {}), **ours.get("labels", {})}):
        found = compared(a, b, ours, theirs)
        if not found:
            raise UserError(
                f"--compare {a} {b}: no variant in common ({', '.join(ours['variants'])}; "
                f"{', '.join(theirs['variants'])})"
            )
        tables = [(label(v), table(one, label(v))) for v, one in found.items()]
        return template("compared.html.j2").render(
            **page_parts(),
            runs=[_told("A", a, ours), _told("B", b, theirs)],
            tables=tables,
            losses=losses(ours, theirs),
            classes=CLASSES,
        )


def _told(name: str, folder: Path, found: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "folder": folder.name or folder.absolute().name,
        "profile": found["profile"],
        "commit": found["provenance"]["commit"][0],
        "seeds": ", ".join(map(str, found["seeds"])),
        "verdict": found["verdict"],
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = Parser(
        prog="repo-pipeline report",
        description="Two finished runs on one page. (The report of one run is made by "
        "`repo-pipeline run report`.)",
    )
    parser.add_argument(
        "--compare", nargs=2, type=Path, required=True, metavar=("A", "B"),
        help="folders in which a run has ended: checkouts, or worktrees of experiments",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, default=OUT, help="the page")
    options = parser.parse_args(arguments)

    def write() -> None:
        text = page(*options.compare)
        with replacing(options.out) as temporary:
            temporary.write_text(text, encoding="utf-8")
        print(f"report: {options.out}")

    ended(write)


if __name__ == "__main__":
    main()
