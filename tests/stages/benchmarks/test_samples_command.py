"""``repo-pipeline samples``: RULER's own lines, by itself, and one clear line where it refuses."""

import json
from pathlib import Path
from typing import Any

import pytest

from stages.benchmarks import official, ruler, samples
from stages.common.encoder import Encoder
from stages.common.files import read_json, sha256

FIELDS = ["index", "input", "outputs", "length", "answer_prefix"]


@pytest.fixture(autouse=True)
def _kept_elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("REPO_RUNS", str(tmp_path / "runs"))


@pytest.fixture(scope="module")
def folder(tokenizer_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("with-eos")
    text = (tokenizer_folder / "tokenizer.json").read_text(encoding="utf-8")
    (out / "tokenizer.json").write_text(text, encoding="utf-8")
    (out / "tokenizer_config.json").write_text('{"eos_token": {"content": "<|endoftext|>"}}')
    return out


def call(capsys, *arguments: Any) -> tuple[int, str]:
    with pytest.raises(SystemExit) as end:
        samples.main([str(argument) for argument in arguments])
    shown = capsys.readouterr()
    return end.value.code, (shown.out + shown.err).strip()


def write(capsys, folder: Path, out: Path, task: str, length: int, *more: Any) -> list[Any]:
    arguments = ("--task", task, "--length", length, "--tokenizer", folder, "--out", out, *more)
    code, line = call(capsys, *arguments)
    assert code == 0, line
    return [json.loads(row) for row in out.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("task", official.TASKS)
def test_every_task_has_rulers_fields(capsys, folder: Path, tmp_path: Path, task: str) -> None:
    length = 6000 if task == "cwe" else 1800
    rows = write(capsys, folder, tmp_path / "x.jsonl", task, length, "--num", 3)
    encoder = Encoder(folder)
    budget = official.ruler("nvidia", [task]).new_tokens[task]
    for index, row in enumerate(rows):
        more = ["token_position_answer"] if task.startswith("niah") else []
        assert list(row) == FIELDS + more
        assert row["index"] == index
        prompt = row["input"] + row["answer_prefix"]
        assert row["length"] == encoder.count(prompt) + budget
        assert 0.9 * length < row["length"] <= length
        if not task.startswith("qa"):
            assert all(answer in row["input"] for answer in row["outputs"])
        if more:
            before = row["input"][: row["input"].find(row["outputs"][0])]
            assert row["token_position_answer"] == encoder.count(before)
    assert len(rows) == 3


def test_the_same_seed_gives_the_same_bytes(capsys, folder: Path, tmp_path: Path) -> None:
    files = [tmp_path / name for name in "abc"]
    for file, seed in zip(files, (1, 1, 2), strict=True):
        write(capsys, folder, file, "niah_multivalue", 1500, "--num", 2, "--seed", seed)
    assert files[0].read_bytes() == files[1].read_bytes() != files[2].read_bytes()


def test_a_second_build_takes_the_kept_samples(
    capsys, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = write(capsys, folder, tmp_path / "a.jsonl", "niah_single_2", 1500, "--num", 2)
    (full,) = (tmp_path / "runs" / "benchmarks").glob("*/ruler/niah_single_2-1500.jsonl")
    before = full.stat().st_mtime_ns
    manifest = read_json(full.parents[1] / "manifest.json")
    assert manifest["hashes"] == {"ruler/niah_single_2-1500.jsonl": sha256(full)}
    assert manifest["settings"]["ruler"]["prose"] == "generated"
    assert manifest["tokenizer"] == sha256(folder / "tokenizer.json")
    monkeypatch.setattr(ruler, "samples", None)  # whatever is built now fails
    assert write(capsys, folder, tmp_path / "b.jsonl", "niah_single_2", 1500, "--num", 2) == first
    more = ("--num", 2, "--full")
    rows = write(capsys, folder, tmp_path / "c.jsonl", "niah_single_2", 1500, *more)
    assert [row["input"] for row in rows] == [row["input"] for row in first]
    assert full.stat().st_mtime_ns == before


def test_all_tasks_go_into_a_folder(capsys, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "all"
    arguments = ("--task", "all", "--length", 3000, "--tokenizer", folder, "--num", 1)
    code, lines = call(capsys, *arguments, "--out", out)
    assert code == 0, lines
    assert {file.stem for file in out.iterdir()} == set(official.TASKS)
    # The same as one task by itself, in this process or in another.
    alone = write(capsys, folder, tmp_path / "vt.jsonl", "vt", 3000, "--num", 1)
    assert [json.loads(line) for line in (out / "vt.jsonl").read_text().splitlines()] == alone


def test_full_rows_hold_token_ids_and_depth(capsys, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.jsonl"
    (row,) = write(capsys, folder, out, "niah_single_1", 1500, "--num", 1, "--full")
    assert Encoder(folder).ids(row["input"] + row["answer_prefix"]) == row["prompt_ids"]
    assert 0 <= row["depth"] <= 1


def test_the_papers_protocol(capsys, folder: Path, tmp_path: Path) -> None:
    more = ("--num", 1, "--protocol", "repo-paper")
    (row,) = write(capsys, folder, tmp_path / "x.jsonl", "niah_single_1", 1500, *more)
    assert row["answer_prefix"].startswith("\nThe special magic number for ")
    assert row["length"] == Encoder(folder).count(row["input"] + row["answer_prefix"]) + 50


def test_own_essays_are_the_haystack(capsys, folder: Path, tmp_path: Path) -> None:
    essays = tmp_path / "essays.txt"
    essays.write_text(" ".join(f"Sentence {i} of mine." for i in range(2000)))
    more = ("--num", 1, "--essays", essays)
    (row,) = write(capsys, folder, tmp_path / "x.jsonl", "niah_single_2", 1500, *more)
    assert "Sentence 0 of mine. Sentence 1 of mine." in row["input"]


@pytest.mark.parametrize(
    ("task", "length", "more", "message"),
    [
        ("vtx", 4096, (), "--task is 'vtx': unknown; known are niah_single_1,"),
        ("vt", "4k", (), "argument --length: invalid int value: '4k'"),
        ("vt", 3, (), "--length is 3: give a whole number from 16 up"),
        ("vt", 4096, ("--num", 0), "--num is 0: give a whole number from 1 up"),
        (
            "vt",
            128,
            (),
            "length 128 is too short for vt: its shortest prompt and its 30 new tokens",
        ),
        ("qa_1", 4096, ("--squad", "nowhere"), "--squad is 'nowhere': no such file"),
        ("niah_single_2", 4096, ("--essays", "nowhere"), "--essays is 'nowhere': no such file"),
        (
            "niah_single_2",
            9000,
            ("--essays", ruler.__file__),
            "length 9000 is too long for niah_single_2",
        ),
    ],
)
def test_mistakes_are_one_line(capsys, folder, tmp_path, task, length, more, message) -> None:
    out = tmp_path / "x.jsonl"
    arguments = ("--task", task, "--length", length, "--tokenizer", folder, "--out", out, *more)
    code, line = call(capsys, *arguments)
    assert code == 2
    assert message in line
    assert "\n" not in line
    assert not out.exists()


def test_a_place_that_cannot_be_written_is_named(capsys, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    for out in ("folder", "file/x.jsonl", "/proc/x.jsonl", "/dev/null"):
        place = tmp_path / out
        arguments = ("--task", "fwe", "--length", 600, "--tokenizer", folder, "--num", 1)
        code, line = call(capsys, *arguments, "--out", place)
        assert (code, "\n" in line) == (2, False), line
        assert f"--out is {str(place)!r}: " in line
    assert sorted(path.name for path in tmp_path.iterdir()) in (
        ["file", "folder"],
        ["file", "folder", "runs"],
    )


def test_a_tokenizer_without_eos_is_refused(capsys, tokenizer_folder: Path, tmp_path: Path) -> None:
    arguments = ("--task", "vt", "--length", 4096, "--out", tmp_path / "x.jsonl", "--tokenizer")
    code, line = call(capsys, *arguments, tokenizer_folder)
    assert (code, "a tokenizer without eos" in line) == (2, True)
    code, line = call(capsys, *arguments, tmp_path)
    assert (code, "tokenizer.json: no such file" in line) == (2, True)
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "tokenizer.json").write_text("{}")
    code, line = call(capsys, *arguments, bad)
    assert (code, "not a tokenizer" in line, "\n" in line) == (2, True, False)
    good = (tokenizer_folder / "tokenizer.json").read_bytes()
    (bad / "tokenizer.json").write_bytes(good)
    for content in (b"\xff\xfe", b"{oops", b'{"eos_token": 5}', b'{"eos_token": "<nowhere>"}'):
        (bad / "tokenizer_config.json").write_bytes(content)
        code, line = call(capsys, *arguments, bad)
        assert (code, "tokenizer_config.json" in line, "\n" in line) == (2, True, False), line
