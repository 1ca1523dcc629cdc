"""``report/index.html``: one file, nothing loaded from anywhere.

Everything stands there without a script but the samples; the one script adds these, a filter and the
values under the pointer. The page's policy lets only that script run, by its hash.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup
from ruamel.yaml import YAML

from stages.params import Params
from stages.report import (
    browser,
    costs,
    curves,
    data,
    depth,
    figures,
    forest,
    paper_tables,
    places,
    positions,
    readings,
    tables,
)
from stages.report.formats import label
from stages.report.inputs import Item

TEMPLATES = Path(__file__).parent / "templates"


def render(
    metrics: dict[str, Any], items: Sequence[Item], params: Params, samples: Mapping[str, Any]
) -> str:
    """The page; the same bytes for the same arguments."""
    learned = _learned(items, metrics["focus"])
    probes = learned.analysis["positions"] if learned else {}
    script = (TEMPLATES / "script.js").read_text(encoding="utf-8")
    return template("report.html.j2").render(
        metrics=metrics,
        label=label,
        **page_parts(script),
        first_sample=_first(samples),
        samples=Markup(browser.dumped(samples)),
        depth_maps=depth.maps(metrics),
        depth_columns=depth.columns(),
        place_panels=places.panels(metrics),
        variants=figures.legend(metrics["variants"]),
        probes=figures.probe_legend(probes),
        score_panels=figures.scores(metrics),
        loss_panel=curves.losses(items),
        change_panel=curves.differences(items, metrics["reference"]),
        look_panels=curves.looks(items),
        layers=positions.layers(learned) if learned else [],
        looked_at=(learned.analysis.get("sample") or {}).get("id") if learned else None,
        learned=f"{label(learned.variant)}, seed {learned.seed}" if learned else "",
        tables=_tables(metrics),
        paper_tables=paper_tables.paper_tables(metrics),
        extension=list(readings.sentences(metrics)),
        forests=forest.forests(metrics),
        lead=lead(metrics, params),
        params=as_yaml(params),
        analyze=params.analyze,
    )


def template(name: str) -> Template:
    """A template of this folder; a name that is not given is an error."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(name)


def page_parts(script: str = "") -> dict[str, Any]:
    """What every page has: the style, and the one script with its hash for the page's policy."""
    digest = base64.b64encode(hashlib.sha256(f"\n{script}".encode()).digest()).decode()
    return {
        "style": Markup((TEMPLATES / "style.css").read_text(encoding="utf-8")),
        "script": Markup(script),
        "script_hash": f"sha256-{digest}",
    }


def _learned(items: Sequence[Item], focus: str) -> Item | None:
    """The item whose positions are drawn: the focus's first, else any that learns them."""
    found = [item for item in items if any(item.analysis["positions"].values())]
    return next((item for item in found if item.variant == focus), found[0] if found else None)


def _first(samples: Mapping[str, Any]) -> str | None:
    """The id of a sample whose text the page has."""
    for cell in samples["cells"]:
        if "ids" not in cell and cell["texts"]:
            return f"{cell['task']}-{cell['length']}-{cell['texts'][0]['i']:04}"
    return None


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
        "silent": tables.scores(metrics, silent=True),
        "costs": costs.table(metrics),
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
