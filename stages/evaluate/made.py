"""What made the numbers of ``repo-pipeline evaluate``: texts, engine, precision, device, versions.

Kept in metrics.json. Equal calls give equal content: no time, path or host is in it.
"""

import platform
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from stages.benchmarks import made_of, ruler
from stages.benchmarks.template_files import file_of
from stages.common.commit import commit
from stages.common.files import read_json, sha256
from stages.evaluate.shards import Shard

_PACKAGES = ("repo-pipeline", "torch", "transformers", "tokenizers", "numpy")


def corpora(manifests: Sequence[Path]) -> dict[str, Any]:
    """SHA-256 of every text that the samples were made from, by the kept samples' manifests.

    ``generated`` names RULER's tasks whose text is this project's own, ``own`` those whose text is a
    user's that is not the official one. ``ruler`` has the digests of RULER's own files.
    """
    found: dict[str, Any] = {made_of.GENERATED: [], made_of.OWN: []}
    for file in manifests:
        made = read_json(file)
        for suite in ("ruler", "longbench", "nlgraph"):
            if made.get(suite):
                found.setdefault(suite, {}).update(made[suite])
        others = ("hybridqa", "longbench_v2", "outside")
        found |= {name: made[name] for name in others if made.get(name)}
        if made.get("ruler"):
            continue
        texts = made["settings"]["ruler"]
        for task in texts["tasks"]:
            corpus = made_of.text_of(task)
            if corpus is None:
                continue
            digest = made["prose"] if corpus == "prose" else made["documents"][corpus]
            found[corpus] = digest
            kind = made_of.kind_of(corpus, texts[corpus], digest)
            if kind in found and task not in found[kind]:
                found[kind].append(task)
        found["words"] = made["words"]
    return found


def decoding(results: Mapping[Shard, list[Any]], batch_tokens: int) -> dict[str, Any]:
    """How the answers were decoded, each fact as all values that occur, and by which versions.

    One table is of one kind of device (``stages.evaluate.pool``).
    """
    rows = [row for found in results.values() for row in found if isinstance(row, dict)]
    return {
        "decoded": _values(rows, "decoded"),
        "because": _values(rows, "because"),
        "dtype": _values(rows, "dtype"),
        "device": _values(rows, "device"),
        "device_name": _values(rows, "device_name"),
        "batch_tokens": batch_tokens,
        "greedy": True,
        "versions": versions() | _engine_versions(rows),
    }


def template(setting: str) -> dict[str, Any]:
    """The template as it was asked for, and the digest of its file."""
    file = file_of(setting)
    return {"template": setting} | ({} if file is None else {"template_sha256": sha256(file)})


def versions() -> dict[str, str]:
    """The commit, Python, and the packages whose version can change a token."""
    found = {"commit": commit(), "python": platform.python_version()}
    for package in _PACKAGES:
        found[package] = _version(package) or "not installed"
    return found


def _engine_versions(rows: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Of an engine with an environment of its own: ``vllm``, and its torch as ``vllm: torch``."""
    found: dict[str, set[str]] = {}
    for row in rows:
        for package, one in row.get("engine_versions", {}).items():
            name = package if package == row["decoded"] else f"{row['decoded']}: {package}"
            found.setdefault(name, set()).add(one)
    return {name: " and ".join(sorted(some)) for name, some in sorted(found.items())}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def title(metrics: Mapping[str, Any]) -> str:
    """``ruler (nvidia)`` of the official texts alone; otherwise what the text is."""
    bare = "" if metrics.get("answer_prefix", True) else ", without answer prefix"
    for kind, said in ((made_of.GENERATED, "generated text"), (made_of.OWN, "text of your own")):
        others = [task for task in metrics["corpora"][kind] if task in metrics["cells"]]
        if others:
            return (
                f"RULER rules ({metrics['protocol']}), {said} in {len(others)} of "
                f"{len(metrics['cells'])} tasks{bare}"
            )
    text = f"{metrics['suite']} ({metrics['protocol']}){bare}"
    return f"{text}, samples read from files" if "ruler" in metrics["corpora"] else text


def is_official(metrics: Mapping[str, Any]) -> bool:
    """Whether an effective length may be told: RULER's own rules and no other text."""
    others = metrics["corpora"]
    plain = metrics.get("suite") == ruler.SUITE and metrics.get("protocol") == "nvidia"
    plain = plain and metrics.get("answer_prefix", True)
    return plain and not others[made_of.GENERATED] and not others[made_of.OWN]


def _values(rows: Iterable[Mapping[str, Any]], name: str) -> list[str]:
    return sorted({str(row[name]) for row in rows if row.get(name)})
