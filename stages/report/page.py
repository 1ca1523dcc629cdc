"""``report/index.html``: one file, no script, nothing loaded from anywhere."""

from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from ruamel.yaml import YAML

from stages.params import Params
from stages.report import data, figures, forest, paper_tables, readings, tables
from stages.report.formats import label
from stages.report.inputs import Item

TEMPLATES = Path(__file__).parent / "templates"


def render(metrics: dict[str, Any], items: Sequence[Item], params: Params) -> str:
    """The page; the same bytes for the same arguments."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    learned = next((item for item in items if any(item.analysis["positions"].values())), None)
    probes = learned.analysis["positions"] if learned else {}
    return environment.get_template("report.html.j2").render(
        metrics=metrics,
        label=label,
        style=Markup((TEMPLATES / "style.css").read_text(encoding="utf-8")),
        variants=figures.legend(metrics["variants"]),
        probes=figures.probe_legend(probes),
        score_panels=figures.scores(metrics),
        loss_panel=figures.losses(items),
        position_panels=figures.positions(learned) if learned else {},
        learned=f"{label(learned.variant)}, seed {learned.seed}" if learned else "",
        tables=_tables(metrics),
        paper_tables=paper_tables.paper_tables(metrics),
        extension=list(readings.sentences(metrics)),
        forests=forest.forests(metrics),
        lead=lead(metrics, params),
        params=as_yaml(params),
        analyze=params.analyze,
    )


def lead(metrics: dict[str, Any], params: Params) -> str:
    """What was compared, in one line under the title."""
    shape = params.base.architecture
    if params.base.source == "scratch" and shape:
        base = (
            f"OLMo-2 of {shape.num_hidden_layers} layers, width {shape.hidden_size}, from scratch"
        )
    else:
        base = f"{params.base.source}"
    seeds = len(metrics["seeds"])
    return (
        f"{base}; {params.train.tokens:,} tokens of continued pre-training; "
        f"{seeds} seed{'s' if seeds != 1 else ''}; {label(metrics['focus'])} against "
        f"{label(metrics['reference'])} on the same samples, with 95 % intervals. "
        f"Profile {metrics['profile']}; RePo is arXiv 2512.14391."
    )


def _tables(metrics: dict[str, Any]) -> dict[str, tables.Table | None]:
    """By section; none where nothing was measured."""
    return {
        "scores": tables.scores(metrics),
        "means": tables.means(metrics),
        "suites": tables.suites(metrics),
        "cells": tables.cells(metrics),
        "validation": tables.validation(metrics) if metrics["validation"] else None,
        "losses": tables.differences(metrics) if metrics["validation"] else None,
        "plain_scores": tables.plain_scores(metrics) if metrics["plain"] else None,
        "plain_losses": tables.plain_losses(metrics) if metrics["plain"] else None,
        "training": tables.training(metrics),
        "data": data.table(metrics["data"]) if metrics["data"] else None,
        "positions": tables.heads(metrics) if metrics["positions"] else None,
        "attention": paper_tables.attention(metrics),
        "patterns": paper_tables.patterns(metrics),
        "hashes": _pairs("Data and models", "SHA-256", metrics["provenance"]["hashes"]),
        "stack": _pairs("Stack", "version", metrics["provenance"]["stack"]),
    }


def _pairs(caption: str, column: str, pairs: list[list[str]]) -> tables.Table:
    rows = [(name, (value,)) for name, value in pairs]
    return tables.plain(caption, ["name", column], rows)


def as_yaml(params: Params) -> str:
    """The params in full, as ``params.yaml`` has them, defaults filled in."""
    yaml = YAML()
    yaml.default_flow_style = None  # type: ignore[assignment]
    yaml.width = 100
    text = StringIO()
    yaml.dump(params.model_dump(mode="json"), text)
    return text.getvalue()
