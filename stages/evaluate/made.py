"""What made the numbers of ``repo-pipeline evaluate``: texts, engine, precision, device, versions.

Kept in metrics.json. Equal calls give equal content: no time, path or host is in it.
"""

import platform
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from stages.benchmarks import ruler
from stages.benchmarks.niah import Niah
from stages.benchmarks.questions import Questions
from stages.common.files import read_json
from stages.evaluate.shards import Shard

_PACKAGES = ("repo-pipeline", "torch", "transformers", "tokenizers", "numpy")
_TEXTS = ("prose", "squad", "hotpotqa")


def corpora(manifests: Sequence[Path]) -> dict[str, Any]:
    """SHA-256 of every text that the samples were made from, by the kept samples' manifests.

    ``generated`` names RULER's tasks whose text is this project's own, not the official one.
    """
    found: dict[str, Any] = {"generated": []}
    for file in manifests:
        made = read_json(file)
        texts = made["settings"]["ruler"]
        if made.get("ruler"):
            found.setdefault("ruler", {}).update(made["ruler"])
            continue
        for task in texts["tasks"]:
            kind = text_of(task)
            if kind is None:
                continue
            found[kind] = made["prose"] if kind == "prose" else made["documents"][kind]
            if texts[kind] == "generated" and task not in found["generated"]:
                found["generated"].append(task)
        for suite in ("longbench", "nlgraph"):
            if made.get(suite):
                found.setdefault(suite, {}).update(made[suite])
        if made.get("hybridqa"):
            found["hybridqa"] = made["hybridqa"]
        found["words"] = made["words"]
    return found


def text_of(task: str) -> str | None:
    """The corpus that a RULER task reads; none: it needs no text from outside."""
    row = ruler.TASKS.get(task)
    if isinstance(row, Niah):
        return "prose" if row.haystack == "prose" else None
    if isinstance(row, Questions):
        return next(kind for kind in _TEXTS if kind in vars(row).values())
    return None


def decoding(
    results: Mapping[Shard, list[Any]], batch_tokens: int, template: str = "none"
) -> dict[str, Any]:
    """How the answers were decoded, each fact as all values that occur.

    More than one device or dtype: a table that was begun on one machine and ended on another.
    """
    rows = [row for found in results.values() for row in found if isinstance(row, dict)]
    return {
        "decoded": _values(rows, "decoded"),
        "because": _values(rows, "because"),
        "dtype": _values(rows, "dtype"),
        "device": _values(rows, "device"),
        "batch_tokens": batch_tokens,
        "template": template,
        "greedy": True,
    }


def versions() -> dict[str, str]:
    """Python and the packages whose version can change a token."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def title(metrics: Mapping[str, Any]) -> str:
    """``ruler (nvidia)`` of the official texts alone; otherwise what the text is."""
    generated = [task for task in metrics["corpora"]["generated"] if task in metrics["cells"]]
    if not generated:
        return f"{metrics['suite']} ({metrics['protocol']})"
    return (
        f"RULER rules ({metrics['protocol']}), generated text in {len(generated)} of "
        f"{len(metrics['cells'])} tasks"
    )


def _values(rows: Iterable[Mapping[str, Any]], name: str) -> list[str]:
    return sorted({str(row[name]) for row in rows if row.get(name)})
