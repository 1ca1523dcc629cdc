"""What made a number: corpora, title, decoding."""

from pathlib import Path

from stages.benchmarks import official
from stages.common.files import write_json
from stages.evaluate.made import corpora, decoding, text_of, title
from stages.evaluate.shards import Model, Shard

TEXTS = {"prose": "generated", "squad": "generated", "hotpotqa": "/data/hotpot.json"}


def _manifest(file: Path, task: str) -> Path:
    kind = text_of(task)
    made = {
        "settings": {"ruler": {**TEXTS, "tasks": [task]}},
        "prose": "aa",
        "documents": {kind: "bb"} if kind in ("squad", "hotpotqa") else {},
        "longbench": {},
        "words": "cc",
    }
    write_json(file, made)
    return file


def test_seven_tasks_read_texts_from_outside() -> None:
    assert len([task for task in official.TASKS if text_of(task)]) == 7
    assert (text_of("qa_1"), text_of("qa_2")) == ("squad", "hotpotqa")
    assert text_of("niah_multikey_2") is None


def test_the_title_says_which_text_is_generated(tmp_path: Path) -> None:
    tasks = ("vt", "niah_single_2", "qa_1", "qa_2")
    found = corpora([_manifest(tmp_path / f"{task}.json", task) for task in tasks])
    assert found["generated"] == ["niah_single_2", "qa_1"]
    assert (found["prose"], found["squad"], found["hotpotqa"]) == ("aa", "bb", "bb")
    metrics = {"suite": "ruler", "protocol": "nvidia", "cells": dict.fromkeys(tasks)}
    assert title({**metrics, "corpora": found}) == (
        "RULER rules (nvidia), generated text in 2 of 4 tasks"
    )
    assert title({**metrics, "corpora": {"generated": []}}) == "ruler (nvidia)"


def test_a_table_of_two_machines_shows_both() -> None:
    model = Model("m", "aa")
    results = {
        Shard("samples", model, "f", "bb", (row,), 64, 8, (0,)): [
            {"dtype": dtype, "device": device, "decoded": "own", "because": ""}
        ]
        for row, (dtype, device) in enumerate((("float32", "cpu"), ("bfloat16", "cuda")))
    }
    found = decoding(results, 100)
    assert (found["dtype"], found["device"]) == (["bfloat16", "float32"], ["cpu", "cuda"])
    assert found["because"] == []
