"""What schema 1 left: its params file is read, and state under its keys goes on being used."""

import importlib
from dataclasses import replace
from pathlib import Path

import pytest

from stages.common import runs
from stages.common.entry import job_of
from stages.common.stage import Job
from stages.params import load

KEYS = {
    "corpus": (1, "48f45554c7d38eb0"),
    "tokenizer": (1, "7924c24cdfc44168"),
    "tokenize": (1, "ecff555f3fb009b6"),
    "base": (1, "c7cb7ba3539c8939"),
    "benchmarks": (3, "4731293800767a1b"),
    "train": (1, "32133db4aacc9aa3"),
    "extend": (1, "26fe0818bd338d3c"),
    "evaluate": (3, "f504c42f6cfe2b9a"),
    "analyze": (1, "25af8f0a4761d730"),
}
"""VERSION and key, without inputs, as commit 4d2a5fa made them of ``schema_1.yaml``."""


def job(name: str) -> Job:
    stage = importlib.import_module(f"stages.{name}.stage").STAGE
    params = load(Path(__file__).with_name("schema_1.yaml"))
    item = ("repo", 42) if stage.matrix else (None, None)
    return job_of(replace(stage, version=KEYS[name][0]), params, *item)


@pytest.mark.parametrize("name", KEYS)
def test_a_folder_under_a_key_of_schema_1_is_used(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPO_RUNS", str(tmp_path))
    asked, old = job(name), tmp_path / name / KEYS[name][1]
    with runs.workspace(asked, []) as folder:
        assert folder.name == runs.key(asked, [])  # nothing of then is here: today's key
    if folder != old:  # a section without a param at its default has one key then and now
        folder.rename(old)
    with runs.workspace(asked, []) as again:
        assert again == old
