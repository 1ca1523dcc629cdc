"""Files of the user's that params name and DVC's graph cannot: a changed one makes its stage run again.

DVC's deps are paths that stand in dvc.yaml, and a benchmark may be made of any number of files, in any
places. So a stage's end keeps the hashes of what it was made of under ``REPO_RUNS/given``, by a hash
of its outs, and ``plan`` and ``run`` compare. Plain ``dvc repro`` does not; neither does a
machine that did not make the outs.
"""

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.check import read
from stages.benchmarks import corpora
from stages.benchmarks.template_files import file_of
from stages.common import runs
from stages.common.errors import UserError
from stages.common.files import read_json, sha256, write_json
from stages.params import Params

FOLDER = "given"
STAGES = ("benchmarks", "tokenizer")
TOKENIZER_FILES = (
    *("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "merges.txt", "spiece.model"),
    *("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("chat_template.jinja", "chat_template.json"),
)
Stamp = dict[str, Any]
"""A file's ``bytes``, ``mtime_ns`` and ``sha256``."""


def named(params: Params) -> list[Path]:
    """Files and folders that params name and DVC does not watch."""
    benchmarks, tokenizer = params.benchmarks, params.tokenizer.source
    suites = (benchmarks.longbench, benchmarks.nlgraph, benchmarks.hybridqa)
    ruler = benchmarks.ruler
    texts = (text for text in (ruler.prose, ruler.squad, ruler.hotpotqa) if corpora.is_file(text))
    found: list[str | Path | None]
    found = [*(suite.path for suite in suites if suite is not None), ruler.data, *texts]
    found += [file_of(benchmarks.template), tokenizer if tokenizer != "train" else None]
    return [Path(name) for name in found if name]


def hashes(root: Path, name: str) -> dict[str, Stamp]:
    """Of the files of the user's that a stage of the checkout at ``root`` would be made of."""
    if name not in STAGES:
        return {}
    try:
        files = _files(root, name, read(root))
    except (UserError, OSError):
        return {}  # the stage itself says what is wrong
    stamps = {_shown(file, root): _stamp(file) for file in files}
    return {file: stamp for file, stamp in stamps.items() if stamp}


def keep(name: str, outs: str, given: Mapping[str, Stamp]) -> None:
    """Remember what the outs of a stage, by their hash, were made of."""
    if given:
        with contextlib.suppress(OSError):  # nothing is lost but the comparison
            write_json(_file(name), {**_known(name), outs: given})


def changed(root: Path, name: str, outs: str) -> list[str]:
    """Files that the outs of a stage, by their hash, were made of and that are others now.

    A file that is gone is no change: what is made needs it no more.
    """
    made_of = _known(name).get(outs, {}) if name in STAGES else {}
    return [file for file, stamp in made_of.items() if _differs(root / file, stamp)]


def _files(root: Path, name: str, params: Params) -> list[Path]:
    if name == "tokenizer":
        folder = root / params.tokenizer.source
        return [folder / file for file in TOKENIZER_FILES]
    from stages.benchmarks.given import watched  # 0.4 s

    return watched(params.benchmarks, root)


def _stamp(file: Path) -> Stamp | None:
    with contextlib.suppress(OSError):
        found = file.stat()
        return {"bytes": found.st_size, "mtime_ns": found.st_mtime_ns, "sha256": sha256(file)}
    return None


def _differs(file: Path, before: Stamp) -> bool:
    with contextlib.suppress(OSError):
        found = file.stat()
        if (found.st_size, found.st_mtime_ns) == (before["bytes"], before["mtime_ns"]):
            return False
        return found.st_size != before["bytes"] or sha256(file) != before["sha256"]
    return False


def _shown(file: Path, root: Path) -> str:
    return str(file.relative_to(root) if file.is_relative_to(root) else file)


def _file(name: str) -> Path:
    return runs.root() / FOLDER / f"{name}.json"


def _known(name: str) -> dict[str, Any]:
    """What outs were made of, by their hash."""
    with contextlib.suppress(UserError, OSError):
        return dict(read_json(_file(name)))
    return {}
