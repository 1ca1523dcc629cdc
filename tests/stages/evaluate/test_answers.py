"""Answers that are complete end, and their score is what it would have been."""

import pytest

from stages.evaluate import engine
from stages.evaluate.answers import prediction, stopper
from stages.evaluate.scorers import score


class Letters:
    """Every id is a character."""

    def text(self, ids: list[int]) -> str:
        return "".join(chr(i) for i in ids)


class Signs:
    """As ``Letters``, with no control characters: every id is a Chinese sign."""

    def text(self, ids: list[int]) -> str:
        return "".join(chr(0x4E00 + i) for i in ids)


def ids(text: str) -> list[int]:
    return [ord(character) for character in text]


def ruler(*outputs: str, metric: str = "string_match_all") -> dict:
    return {"metric": metric, "outputs": list(outputs)}


def test_all_references_end_an_answer() -> None:
    stop = stopper(
        [ruler("12", "34"), ruler("12", "34", metric="string_match_part")], Letters(), True
    )
    assert not stop(0, ids(" 12, 3"))
    assert stop(0, ids(" 12, 34"))
    assert stop(1, ids(" 12"))


def test_nothing_ends_other_metrics_or_when_not_asked() -> None:
    assert stopper([ruler("12")], Letters(), False) is None
    assert stopper([ruler("12", metric="qa_f1")], Letters(), True) is None


@pytest.mark.parametrize(
    ("first_line", "text", "kept"),
    [(True, "\n\nyes\nno", "\n\nyes"), (False, "yes\nno", "yes"), (False, "\nno", "")],
)
def test_a_newline_ends_where_the_task_says_so(first_line: bool, text: str, kept: str) -> None:
    sample = ruler("yes", metric="rouge_l") | {"ends_at_newline": True, "first_line": first_line}
    assert prediction(sample, text) == kept
    stop = stopper([sample], Letters(), True)
    assert stop(0, ids(text))
    assert not stop(0, ids(kept))
    assert prediction(ruler("yes"), text) == text


def test_a_blank_line_ends_where_the_task_says_so() -> None:
    sample = ruler("yes", metric="qa_f1") | {"ends_at_blank_line": True}
    assert prediction(sample, "one\ntwo\n\nthree") == "one\ntwo"
    stop = stopper([sample], Letters(), True)
    assert stop(0, ids("one\ntwo\n\n"))
    assert not stop(0, ids("one\ntwo\n"))


@pytest.mark.parametrize("positions", ["rope", "repo"])
def test_stopped_answers_are_the_beginnings_of_whole_ones(make_model, positions) -> None:
    model = make_model(positions)
    prompts = [[(7 * i + 11 * row) % 290 + 2 for i in range(30 + 5 * row)] for row in range(6)]
    whole = engine.generate(model, prompts, 12, 0)
    told = (Signs().text(done.ids[row : row + 2]) for row, done in enumerate(whole))
    samples = [ruler(text) for text in told]
    samples[5] = ruler("never written")
    stop = stopper(samples, Signs(), True)
    found = engine.generate(model, prompts, 12, 0, stop)
    assert found == engine.by_generate(model, prompts, 12, 0, stop)
    for row, (short, full) in enumerate(zip(found, whole, strict=True)):
        assert full.ids[: len(short.ids)] == short.ids
        text, complete = Signs().text(short.ids), Signs().text(full.ids)
        assert score(samples[row], text) == score(samples[row], complete)
        assert short.stopped == (row < 5)
    assert len(found[0].ids) == 2


def test_marked_positions_are_the_models(make_model) -> None:
    import torch

    import repo_model

    model = make_model("repo")
    prompts = [[(3 * i + row) % 290 + 2 for i in range(20 + row)] for row in range(3)]
    found = engine.generate(model, prompts, 2, 0, None, [4, None, 19])
    assert found[1].position is None
    for row, mark in ((0, 4), (2, 19)):
        with torch.inference_mode(), repo_model.record_positions(model) as recorded:
            model(torch.tensor([prompts[row]]))
            expected = [recorded[i][0, :, mark].mean().item() for i in recorded.layers]
        assert found[row].position == pytest.approx(expected, abs=1e-3)
    assert engine.generate(make_model("rope"), prompts, 2, 0, None, [4, 4, 4])[0].position is None
