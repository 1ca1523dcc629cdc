"""What a process that holds no model imports: no torch, no model files, no Prefect, no Ray.

Each entry is started as a user starts it, in a process of its own that tells what it imported.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("torch", "transformers.modeling_utils", "prefect", "ray")
"""Seconds each. ``transformers`` alone is lazy, ``modeling_utils`` is what every model file needs."""
ENTRIES = {
    "--help": (("pipeline.cli", "--help"), ("httpx", "pydantic", "psutil", "ruamel", "rich")),
    "plan": (("pipeline.cli", "plan"), ("numpy", "pyarrow", "httpx")),
    "corpus": (("stages.corpus", "--help"), ()),
    "tokenizer": (("stages.tokenizer", "--help"), ("transformers",)),
    "tokenize": (("stages.tokenize", "--help"), ("transformers",)),
    "report": (("stages.report", "--help"), ("transformers",)),
    "summary": (("stages.report.summary",), ("transformers",)),
    "score": (("stages.evaluate.score_file", "--help"), ("transformers",)),
}
"""Module and options, and what it has to do without besides."""
TELL = """
import atexit, json, os, runpy, sys
target, sys.argv = sys.argv[1], sys.argv[2:]
atexit.register(lambda: open(target, "w").write(json.dumps(sorted(sys.modules))))
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


def imported(options: tuple[str, ...], root: Path, target: Path) -> set[str]:
    """Modules of a process that ran ``python -m`` with ``options``."""
    command = [sys.executable, "-c", TELL, str(target), *options]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert target.is_file(), done.stderr
    return set(json.loads(target.read_text()))


@pytest.mark.parametrize("name", ENTRIES)
def test_a_process_without_a_model_imports_no_heavy_library(
    name: str, project_root: Path, tmp_path: Path
) -> None:
    options, besides = ENTRIES[name]
    found = imported(options, project_root, tmp_path / "modules")
    assert not found & {*HEAVY, *besides}
    assert options[0].partition(".")[0] in found


def test_the_flow_needs_no_model_and_no_ray(project_root: Path, tmp_path: Path) -> None:
    """Prefect is what the flow is; the libraries of the stages stay in the stages' processes."""
    found = imported(("pipeline.flow",), project_root, tmp_path / "modules")
    assert not found & {"torch", "transformers", "ray"}
    assert "prefect" in found


def test_the_driver_of_a_training_needs_no_model(project_root: Path, tmp_path: Path) -> None:
    """torch comes with Ray Train's trainer; what makes models is for the workers."""
    found = imported(("stages.train", "--help"), project_root, tmp_path / "modules")
    assert not found & {"transformers", "repo_model", "deepspeed", "ray"}
    assert "stages.base.stage" in found


def test_a_tokenizer_is_trained_without_torch(tmp_path: Path) -> None:
    """The stage's own work, not only its import: transformers' tokenizer, and none of its models."""
    work = tmp_path / "work.py"
    work.write_text(
        "from stages.tokenizer.stage import train\n"
        "train(iter(['one two three four'] * 9), 270).save_pretrained('out')\n"
    )
    found = imported(("work",), tmp_path, tmp_path / "modules")
    assert (tmp_path / "out" / "tokenizer.json").is_file()
    assert "transformers" in found
    assert not found & set(HEAVY)
