"""What the trainings took of each source: tokens, share, passes, from the tokens' manifest."""

from collections.abc import Iterator
from typing import Any

from stages.common import paths
from stages.common.files import read_json
from stages.params import Params
from stages.report.formats import label
from stages.report.tables import Cell, Group, Row, Table
from stages.training.counted import counted
from stages.training.params import TrainingParams
from stages.training.realised import MANY_PASSES


def collect(params: Params) -> list[dict[str, Any]]:
    """``[{training, sources: {name: Part}}]``; empty without shards in the manifest."""
    manifest = read_json(paths.TOKENS / "manifest.json")
    if "shards" not in manifest:
        return []
    return [
        {
            "training": name,
            "sources": {
                source: {
                    "tokens": part.tokens,
                    "share": round(part.share, 6),
                    "passes": None if part.passes is None else round(part.passes, 4),
                }
                for source, part in sorted(counted(manifest, training, seed).items())
            },
        }
        for name, training, seed in _trainings(params)
    ]


def _trainings(params: Params) -> Iterator[tuple[str, TrainingParams, int]]:
    """Those that read differently: a seed is another order, a variant may have its own values."""
    if params.base.training is not None:
        yield "base", params.base.training, params.base.seed
    for seed in params.seeds:
        told = f", seed {seed}" if len(params.seeds) > 1 else ""
        if not all(params.definitions[name].train.origins for name in params.variants):
            yield f"all variants{told}", params.train, seed
        for name in params.variants:
            if params.definitions[name].train.overrides:
                yield f"{label(name)}{told}", params.train_of(name), seed
        if params.extend.training is not None:
            yield f"extension{told}", params.extend.training, seed


def table(found: list[dict[str, Any]]) -> Table:
    """A row for each source of each training."""
    return Table(
        "What the trainings read of each source, counted in the order of training. Above "
        f"{MANY_PASSES:g} passes new text would teach more.",
        ["training", "source", "tokens", "share, %", "passes"],
        [
            Group(one["training"], [_row(*entry) for entry in one["sources"].items()])
            for one in found
        ],
    )


def _row(source: str, part: dict[str, Any]) -> Row:
    passes = part["passes"]
    many = ("▲", f"above {MANY_PASSES:g} passes") if passes and passes > MANY_PASSES else ()
    cells = [
        Cell(f"{part['tokens']:,}"),
        Cell(f"{100 * part['share']:.1f}"),
        Cell("–" if passes is None else f"{passes:.2f}", *many),
    ]
    return Row(source, cells)
