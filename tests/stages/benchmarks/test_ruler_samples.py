"""Samples of a cell: fitted, placed, scored, and the same whatever the order they are made in."""

from pathlib import Path
from random import Random

import pytest

from stages.benchmarks.draft import Cell
from stages.benchmarks.fitting import fit, fitted, largest
from stages.benchmarks.haystack import Prose
from stages.benchmarks.params import RulerParams
from stages.benchmarks.ruler import TASKS, record, samples
from stages.benchmarks.words import Words, distinct, number
from stages.common.encoder import Encoder
from stages.common.errors import UserError
from stages.evaluate.scorers import score

LONG_VALUES = ("niah_single_3", "niah_multikey_3")


@pytest.mark.parametrize("task", list(TASKS))
def test_never_over_and_well_filled(make_cell, task: str) -> None:
    for length in (512, 777):
        cell = make_cell(task, length)
        found = [len(s["prompt_ids"]) + s["max_new_tokens"] for s in samples(cell)]
        assert max(found) <= length
        assert sum(found) / len(found) > (0.8 if task in LONG_VALUES else 0.9) * length


@pytest.mark.parametrize("task", ["niah_single_1", "niah_multikey_1", "vt", "cwe"])
def test_official_settings_fill_4096_tokens(official, shared: Path, task: str) -> None:
    encoder = Encoder(shared / "data/dolma2_tokenizer")
    params = RulerParams.model_validate(official | {"samples": 12})
    words = Words(encoder.count, None)
    cell = Cell(task, 4096, params, 42, encoder, words, Prose("generated", words))
    found = [len(s["prompt_ids"]) + s["max_new_tokens"] for s in samples(cell)]
    assert max(found) <= 4096
    assert sum(found) / len(found) >= 0.95 * 4096


@pytest.mark.parametrize("task", list(TASKS))
def test_a_length_below_the_minimum_is_refused_by_name(make_cell, task: str) -> None:
    with pytest.raises(UserError, match=rf"24 is too short for {task}: .* need about \d+;"):
        list(samples(make_cell(task, 24)))


def test_tracking_goes_below_rulers_smallest_haystack(official, shared: Path) -> None:
    encoder = Encoder(shared / "data/dolma2_tokenizer")
    params = RulerParams.model_validate(official | {"samples": 8})
    words = Words(encoder.count, None)
    for length in (320, 400, 480):
        cell = Cell("vt", length, params, 42, encoder, words, Prose("generated", words))
        for sample in samples(cell):
            assert len(sample["prompt_ids"]) + sample["max_new_tokens"] <= length
            context = sample["input"].rpartition("hidden in the following text.")[2]
            lines = [line for line in context.split("\n") if line.startswith("VAR ")]
            names = [line.split(" ")[1] for line in lines]
            assert names == sample["outputs"]
            assert lines[0].split(" = ")[1] in sample["answer_prefix"]


def test_the_named_minimum_is_enough(make_cell) -> None:
    with pytest.raises(UserError) as refused:
        list(samples(make_cell("niah_single_1", 50)))
    minimum = int(str(refused.value).split("need about ")[1].split(";")[0])
    assert minimum > 50
    assert list(samples(make_cell("niah_single_1", minimum + 4)))


def test_a_text_too_small_for_the_length_is_refused(make_cell, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("One short sentence. And another one. " * 5)
    with pytest.raises(UserError, match=r"512 is too long for niah_single_2: .* only 30 words"):
        list(samples(make_cell("niah_single_2", 512, prose=str(text))))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"\xff\xfe", "not UTF-8 text"),
        ("a.txt", b" \n", "no words in it"),
        ("a.json", b'{"x": 1}', "not JSON with a text under the key 'text'"),
        ("a.json", b'{"text": 5}', "not JSON with a text under the key 'text'"),
        ("a.json", b"[" * 100_000, "not JSON with a text under the key 'text'"),
    ],
)
def test_other_prose_is_refused(
    make_cell, tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=rf"ruler.prose is '.*{name}': {message}"):
        make_cell("niah_single_2", 512, prose=str(tmp_path / name))


def test_prose_of_a_file_is_taken_from_its_start(make_cell, tmp_path: Path) -> None:
    text = tmp_path / "essays.json"
    text.write_text(
        '{"text": "First  sentence here.\\nThe second, Mr. Hill said! %s"}' % ("x " * 99)
    )
    cell = make_cell("niah_single_2", 512, prose=str(text))
    assert cell.prose.sentences(6, Random(0)) == ["First sentence here.", "The second, Mr."]
    assert cell.prose.sentences(4, Random(1)) == cell.prose.sentences(4, Random(2))


@pytest.mark.parametrize("task", list(TASKS))
def test_spans_hold_the_answers_and_the_question(make_cell, encoder, task: str) -> None:
    for sample in samples(make_cell(task, 640)):
        ids = sample["prompt_ids"]
        assert encoder.text(ids) == sample["input"] + sample["answer_prefix"]
        texts = {encoder.text(ids[a:b]).strip(" .\n") for a, b in sample["needle_span"]}
        assert all(any(answer in text for text in texts) for answer in sample["outputs"])
        assert all(any(answer in text for answer in sample["outputs"]) for text in texts)
        ((start, end),) = sample["query_span"]
        assert end == len(ids)
        question = encoder.text(ids[start:end])
        assert question.endswith(sample["answer_prefix"])
        assert "?" in question or "Question:" in question
        assert max(b for _, b in sample["needle_span"]) <= start + 1


def test_depth_is_the_needles_place_in_the_context(make_cell, encoder) -> None:
    cell = make_cell("niah_single_1", 640)
    draft = fitted(TASKS["niah_single_1"], cell, 10, 0)
    found = {}
    for place in (0, 5, 10):
        lines = [line for line in draft.context.split("\n") if draft.answers[0] not in line]
        needle = next(line for line in draft.context.split("\n") if draft.answers[0] in line)
        context = "\n".join([*lines[:place], needle, *lines[place:]])
        moved = type(draft)(**{**vars(draft), "context": context})
        found[place] = record(cell, moved, "string_match_all", 0)["depth"]
    assert found[0] < 0.1 < 0.4 < found[5] < 0.6 < 0.9 < found[10] <= 1


def test_layouts_vary_between_samples(make_cell) -> None:
    rows = list(samples(make_cell("niah_multikey_1", 512, samples=40)))
    assert len({row["depth"] for row in rows}) > 25
    assert len({len(row["prompt_ids"]) for row in rows}) > 5
    assert len({row["outputs"][0] for row in rows}) > 35
    order = [row["candidates"].index(row["outputs"][0]) for row in rows]
    assert len(set(order)) == 4


def test_a_sample_depends_on_its_own_seed_only(make_cell) -> None:
    cell = make_cell("vt", 512)
    task = TASKS["vt"]
    units = fit(task, cell)
    alone = fitted(task, cell, units, 7)
    assert list(samples(cell))[7]["input"] == alone.input
    assert fitted(task, make_cell("vt", 512, seed=2), units, 7) != alone
    assert list(samples(cell)) == list(samples(make_cell("vt", 512)))


@pytest.mark.parametrize("task", list(TASKS))
def test_an_oracle_scores_one_and_silence_zero(make_cell, task: str) -> None:
    for sample in samples(make_cell(task, 640, samples=4)):
        assert score(sample, " " + ", ".join(sample["outputs"]).upper() + ".") == 1.0
        assert score(sample, "") == 0.0


@pytest.mark.parametrize(
    ("task", "shortcut"),
    [
        ("niah_single_1", 1.0),
        ("niah_multikey_1", 0.25),
        ("niah_multivalue", 1.0),
        ("vt", 0.5),
    ],
)
def test_shortcut_is_what_random_candidates_score(make_cell, task: str, shortcut: float) -> None:
    rows = list(samples(make_cell(task, 512, samples=60)))
    rng = Random(3)
    scores = []
    for row in rows:
        assert row["shortcut"] == shortcut
        assert set(row["outputs"]) <= set(row["candidates"])
        assert all(value in row["input"] for value in row["candidates"])
        drawn = rng.sample(row["candidates"], len(row["outputs"]))
        scores.append(score(row, " ".join(drawn)))
    assert abs(sum(scores) / len(scores) - shortcut) < 0.15


def test_official_tracking_cannot_beat_its_shortcut(make_cell, official) -> None:
    cell = make_cell("vt", 2048, base=official | {"samples": 1})
    assert next(samples(cell))["shortcut"] == 1.0


def test_largest_finds_the_last_that_fits() -> None:
    for room in (10, 11, 99, 1000):
        assert largest(lambda units: 3 * units + 1, room, least=2) == (room - 1) // 3
    assert largest(lambda units: 3 * units, 5, least=2) is None
    assert largest(lambda units: units, 10**6, least=1, most=77) == 77
    assert largest(lambda units: units, 10, least=10) == 10


def test_values_are_distinct_or_refused() -> None:
    rng = Random(0)
    assert len(set(distinct(lambda: number(rng, 2), 90))) == 90
    with pytest.raises(UserError, match="91 different values are needed"):
        distinct(lambda: number(rng, 2), 91)


def test_too_few_short_words_are_refused(encoder) -> None:
    with pytest.raises(UserError, match=r"word_tokens is 1: .* raise it"):
        Words(encoder.count, 1)


def test_a_task_without_a_budget_is_refused(official) -> None:
    with pytest.raises(ValueError, match="new_tokens has no entry for vt"):
        RulerParams.model_validate(official | {"tasks": ["vt"], "new_tokens": {"cwe": 8}})
