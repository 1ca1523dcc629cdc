"""``report/execution.html``: what the runs took and how they went, as far as their records are here.

Speed, machine, hours, gradient norms and alarms are execution: they differ from run to run and are in
no out. They are read from ``REPO_RUNS`` while it has them (``repo-pipeline gc`` deletes what is
finished) and from ``runs/execution/<item>.json`` where that is written.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from stages.common.files import read_json
from stages.common.runs import STATE, root
from stages.report import chart
from stages.report.figures import legend
from stages.report.formats import NONE, label
from stages.report.inputs import Item
from stages.report.page import page_parts, template
from stages.report.tables import Table, plain

FILE = "execution.html"
METRICS, NOTICES = "metrics.jsonl", "notices.log"
RECORDS = "execution"
ALARM_LINES = 12


class Record(NamedTuple):
    """What a training run left behind."""

    name: str
    """``base``, ``repo-42``."""
    rows: list[dict[str, Any]]
    notices: list[str]


def records(items: Sequence[Item]) -> list[Record]:
    """The base's run and the items', the newest of each; those that are not here are left out."""
    wanted = {"base": "base"} | {
        f"train@{item.variant}-{item.seed}": f"{item.variant}-{item.seed}" for item in items
    }
    newest: dict[str, Path] = {}
    for state in sorted(root().glob(f"*/*/{STATE}"), key=lambda path: path.stat().st_mtime):
        name = wanted.get(read_json(state).get("label", ""))
        if name and (state.parent / METRICS).is_file():
            newest[name] = state.parent
    return [_record(name, newest[name]) for name in wanted.values() if name in newest]


def _record(name: str, folder: Path) -> Record:
    notices = folder / NOTICES
    said = notices.read_text(encoding="utf-8").splitlines() if notices.is_file() else []
    return Record(name, list(_rows(folder / METRICS)), said)


def _rows(file: Path) -> Iterator[dict[str, Any]]:
    for line in file.read_text(encoding="utf-8").splitlines():
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            continue  # a line that a kill cut off


def page(items: Sequence[Item]) -> str:
    """The page."""
    found = records(items)
    names = [item.variant for item in items]
    looks = {entry.key: entry for entry in legend(names)}

    def look(name: str) -> tuple[str, str]:
        entry = looks.get(name.rpartition("-")[0])
        return (entry.color, entry.dash) if entry else ("var(--faint)", "")

    growth = sorted(
        {key for record in found for row in record.rows for key in row if _is_growth(key)},
        key=lambda key: (key.rpartition(".")[2], key),
    )
    charts = [
        ("Training loss", _drawn(found, "loss", "nats per token", look)),
        ("Gradient norm, before clipping", _drawn(found, "gradient_norm", "norm", look)),
        ("Learning rate", _drawn(found, "lr", "rate", look)),
        (
            "Range of the learned positions",
            _grown(found, [k for k in growth if "range" in k], look),
        ),
        (
            "Tokens a second and worker",
            _drawn(found, "tokens_per_s_per_worker", "tokens / s", look),
        ),
    ]
    return template("execution.html.j2").render(
        **page_parts((Path(__file__).parent / "templates/script.js").read_text(encoding="utf-8")),
        charts=[(title, svg) for title, svg in charts if svg],
        legend=legend(names),
        table=_table(found),
        records=found,
        machines=_machines(items),
        alarm_lines=ALARM_LINES,
    )


def _is_growth(key: str) -> bool:
    return key.startswith("repo.") and key.endswith(".range")


def _drawn(found: Sequence[Record], figure: str, unit: str, look: Any) -> Any:
    lines = [
        chart.Line(r.name, points, *look(r.name))
        for r in found
        if (points := _points(r.rows, figure))
    ]
    if not lines:
        return None
    return chart.chart(lines, chart.Axes("tokens", unit), f"{figure} over tokens of each run")


def _grown(found: Sequence[Record], figures: Sequence[str], look: Any) -> Any:
    lines = [
        chart.Line(f"{r.name}, layer {figure.split('.')[1]}", points, *look(r.name))
        for r in found
        for figure in figures
        if (points := _points(r.rows, figure))
    ]
    if not lines:
        return None
    axes = chart.Axes("tokens", "highest minus lowest z", zero=True)
    return chart.chart(lines, axes, "Range of learned positions over tokens, a line a layer")


def _points(rows: Sequence[dict[str, Any]], figure: str) -> list[tuple[float, float]]:
    return [
        (float(row["tokens"]), float(row[figure]))
        for row in rows
        if isinstance(row.get(figure), int | float)
    ]


def _table(found: Sequence[Record]) -> Table | None:
    rows = []
    for record in found:
        last = record.rows[-1] if record.rows else {}
        speeds = [row["tokens_per_s_per_worker"] for row in record.rows if "s_per_step" in row]
        rows.append(
            (
                _named(record.name),
                (
                    f"{last.get('step', 0):,}",
                    f"{last.get('tokens', 0):,}",
                    f"{sorted(speeds)[len(speeds) // 2]:,.0f}" if speeds else NONE,
                    f"{last.get('peak_memory_gib', 0):.2f}",
                    f"{last.get('spikes', 0)}",
                    f"{last.get('skipped', 0)}",
                ),
            )
        )
    if not rows:
        return None
    columns = ["run", "steps", "tokens", "tokens/s and worker, median", "peak memory, GiB"]
    return plain(
        "Measured while training; of a run that was resumed, from all its parts.",
        [*columns, "loss spikes", "steps skipped"],
        rows,
    )


def _machines(items: Sequence[Item]) -> Table | None:
    """``runs/execution/<item>.json``: machine, hours and whatever else stands there."""
    rows = []
    for name in ("base", *(f"{item.variant}-{item.seed}" for item in items)):
        file = root() / RECORDS / f"{name}.json"
        if file.is_file():
            told = read_json(file)
            text = "; ".join(f"{key} {value}" for key, value in sorted(told.items()))
            rows.append((_named(name), (text,)))
    return plain("As the runs recorded it.", ["run", "record"], rows) if rows else None


def _named(name: str) -> str:
    variant, _, seed = name.rpartition("-")
    return f"{label(variant)}, seed {seed}" if variant else name
