"""All results into ``report/``: the page, every figure, and what DVC's commands show.

- ``index.html``: the page. ``figures.json``: every figure. ``summary.csv``: a row a variant and length.
- ``execution.html``: speed, time and alarms of the runs, as far as they are kept here; no out.
- ``metrics.json``: the few figures of ``dvc metrics show``. ``plots/*.csv``: for ``dvc plots show``.

The figures are collected first; page, plots and the terminal's table (``stages.report.summary``)
show nothing that is not in them, except the points of curves.
"""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from stages.common import paths
from stages.common.files import write_json
from stages.common.outs import building
from stages.common.stage import Job, Stage
from stages.params import Params
from stages.report import browser, compared, costs, data, execution, paper
from stages.report.compared import Records
from stages.report.formats import each_cell, labelled
from stages.report.headline import COLUMNS, headline, rows
from stages.report.inputs import Item, read_items
from stages.report.metrics import collect
from stages.report.own import set_aside
from stages.report.page import render
from stages.report.provenance import provenance
from stages.report.statements import statements
from stages.report.version import VERSION


def run(job: Job) -> None:
    """Write the report of all variants and seeds."""
    params = job.params
    for line in set_aside(params.variants, params.seeds):
        print(f"report: {line}", flush=True)
    items = read_items(params.variants, params.seeds)
    with labelled(labels(params)):
        records = compared.read(items)
        metrics = everything(items, params, records)
        samples = browser.data(items, records, metrics["focus"], params.reference)
        page = render(metrics, items, params, samples)
        beside = execution.page(items)
    with building(paths.REPORT) as out:
        (out / "plots").mkdir(parents=True)
        (out / "index.html").write_text(page, encoding="utf-8")
        (out / execution.FILE).write_text(beside, encoding="utf-8")
        write_json(out / paths.FIGURES.name, metrics)
        write_json(out / "metrics.json", headline(metrics))
        _write_csv(out / "summary.csv", " ".join(COLUMNS), rows(metrics))
        _write_csv(out / "plots/loss.csv", "variant seed step tokens loss", _curves(items))
        _write_csv(
            out / "plots/scores.csv",
            "variant suite task length score stderr shortcut",
            _scores(metrics),
        )
    print(f"report: {paths.REPORT / 'index.html'}", flush=True)


def everything(
    items: Sequence[Item], params: Params, records: Mapping[str, Records]
) -> dict[str, Any]:
    """Every figure of the report, and what it says in words."""
    counted = costs.costs(params)
    metrics: dict[str, Any] = {
        "profile": params.profile,
        "variants": list(params.variants),
        "labels": labels(params),
        "seeds": list(params.seeds),
        "lengths": list(params.benchmarks.lengths),
        **collect(items, params.reference, records, counted),
        "data": data.collect(params),
        "costs": counted,
        "paper": paper.as_metrics(),
        "provenance": provenance(items),
    }
    return {**metrics, "summary": statements(metrics, params)}


def labels(params: Params) -> dict[str, str]:
    """What each variant is called on the page, where its definition says so."""
    defined = {name: params.definitions[name].report.label for name in params.variants}
    return {name: label for name, label in defined.items() if label}


def _curves(items: Sequence[Item]) -> Iterable[Sequence[object]]:
    for item in items:
        for point in item.curve:
            yield item.variant, item.seed, point.step, point.tokens, point.loss


def _scores(metrics: dict[str, Any]) -> Iterable[Sequence[object]]:
    for variant, cells in metrics["scores"].items():
        for suite, task, length, cell in each_cell(cells):
            yield variant, suite, task, length, cell["score"], cell["stderr"], cell["shortcut"]


def _write_csv(file: Path, columns: str, rows: Iterable[Sequence[object]]) -> None:
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(columns.split())
        writer.writerows(rows)


READS = tuple(name for name in Params.model_fields if name != "schema_version")

STAGE = Stage(name="report", version=VERSION, reads=READS, run=run)
