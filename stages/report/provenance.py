"""Where the numbers come from: code, data, models and the stack. No time, host or path."""

import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from stages.common import paths
from stages.common.commit import commit
from stages.common.files import fingerprint
from stages.report.inputs import Item

STACK = (
    "torch",
    "transformers",
    "tokenizers",
    "safetensors",
    "deepspeed",
    "ray",
    "prefect",
    "dvc",
    "datasets",
    "numpy",
    "matplotlib",
    "jinja2",
)


def provenance(items: Sequence[Item]) -> dict[str, Any]:
    """Commit, hashes and versions; of data by the manifests alone, of models by the results."""
    outs = (paths.CORPUS, paths.TOKENS, paths.TOKENIZER, paths.BENCHMARKS)
    data = [[f"data/{out.name}", fingerprint(out)] for out in outs]
    models = [["models/base", items[0].results["base"]["model"]]]
    models += [[f"models/{item.variant}-{item.seed}", item.results["model"]] for item in items]
    return {"commit": [commit(Path())], "hashes": data + models, "stack": _stack()}


def _stack() -> list[list[str]]:
    found = [["python", platform.python_version()]]
    for package in STACK:
        try:
            found.append([package, version(package)])
        except PackageNotFoundError:
            found.append([package, "not installed"])
    return found
