"""What made a number: corpora, title, decoding."""

from pathlib import Path

import pytest

from stages.benchmarks import corpora as homes
from stages.benchmarks import made_of, official
from stages.common.files import write_json
from stages.evaluate.made import corpora, decoding, is_official, template, title
from stages.evaluate.shards import Model, Shard

TEXTS = {"prose": "generated", "squad": "generated", "hotpotqa": "/data/hotpot.json"}


def _manifest(file: Path, task: str, texts: dict[str, str], sha256: str) -> Path:
    corpus = made_of.text_of(task)
    made = {
        "settings": {"ruler": {**texts, "tasks": [task]}},
        "prose": "aa",
        "documents": {corpus: sha256} if corpus in ("squad", "hotpotqa") else {},
        "longbench": {},
        "words": "cc",
    }
    write_json(file, made)
    return file


def _found(folder: Path, tasks: tuple[str, ...], texts: dict[str, str], sha256: str = "bb"):
    files = [_manifest(folder / f"{task}.json", task, texts, sha256) for task in tasks]
    metrics = {"suite": "ruler", "protocol": "nvidia", "cells": dict.fromkeys(tasks)}
    return metrics | {"corpora": corpora(files)}


def test_seven_tasks_read_texts_from_outside() -> None:
    assert len([task for task in official.TASKS if made_of.text_of(task)]) == 7
    assert (made_of.text_of("qa_1"), made_of.text_of("qa_2")) == ("squad", "hotpotqa")
    assert made_of.text_of("niah_multikey_2") is None


def test_the_title_says_which_text_is_generated(tmp_path: Path) -> None:
    metrics = _found(tmp_path, ("vt", "niah_single_2", "qa_1", "qa_2"), TEXTS)
    found = metrics["corpora"]
    assert (found["generated"], found["own"]) == (["niah_single_2", "qa_1"], ["qa_2"])
    assert (found["prose"], found["squad"], found["hotpotqa"]) == ("aa", "bb", "bb")
    assert title(metrics) == "RULER rules (nvidia), generated text in 2 of 4 tasks"
    assert not is_official(metrics)


@pytest.mark.parametrize("kind", ["official", "own"])
def test_nvidia_s_title_is_for_the_official_files(tmp_path: Path, kind: str) -> None:
    digest = homes.digest("squad") if kind == "official" else "b" * 64
    metrics = _found(tmp_path, ("vt", "qa_1"), {**TEXTS, "squad": "dev-v2.0.json"}, digest)
    assert is_official(metrics) == (kind == "official")
    said = "RULER rules (nvidia), text of your own in 1 of 2 tasks"
    assert title(metrics) == ("ruler (nvidia)" if kind == "official" else said)
    assert not is_official(metrics | {"protocol": "repo-paper"})


def test_ruler_s_own_files_are_named(tmp_path: Path) -> None:
    file = _manifest(tmp_path / "m.json", "qa_1", TEXTS, "bb")
    write_json(file, {"settings": {}, "ruler": {"qa_1-4096": "dd"}, "longbench": {}})
    metrics = {"suite": "ruler", "protocol": "nvidia", "cells": {"qa_1": {}}}
    metrics |= {"corpora": corpora([file])}
    assert metrics["corpora"]["ruler"] == {"qa_1-4096": "dd"}
    assert title(metrics) == "ruler (nvidia), samples read from files"


def test_decoding_names_device_dtype_and_versions() -> None:
    model = Model("m", "aa")
    rows = [{"dtype": "bfloat16", "device": "cuda", "device_name": "H100", "decoded": "own"}] * 2
    found = decoding({Shard("samples", model, "f", "bb", (0, 1), 64, 8, (0,)): rows}, 100)
    assert (found["dtype"], found["device"], found["device_name"]) == (
        ["bfloat16"],
        ["cuda"],
        ["H100"],
    )
    assert (found["because"], found["batch_tokens"]) == ([], 100)
    assert {"commit", "python", "torch", "transformers"} <= set(found["versions"])


def test_a_template_s_file_is_known_by_its_content(tmp_path: Path) -> None:
    file = tmp_path / "t.txt"
    file.write_text("Q: {task_template}")
    assert len(template(str(file))["template_sha256"]) == 64
    assert template("auto") == {"template": "auto"}
