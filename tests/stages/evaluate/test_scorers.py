"""Scores against values worked out by hand from the official scripts (EVALUATION.md section 3)."""

import pytest

from stages.evaluate import scorers
from stages.evaluate.scorers import score


def ruler(metric: str, prediction: str, *references: str) -> float:
    return score({"metric": metric, "outputs": list(references)}, prediction)


def longbench(metric: str, prediction: str, *answers: str, **fields) -> float:
    return score({"metric": metric, "outputs": list(answers), **fields}, prediction)


@pytest.mark.parametrize(
    ("prediction", "references", "expected"),
    [
        (" 1234567.", ["1234567"], 1.0),
        ("", ["1234567"], 0.0),
        ("1234567 and 7654321", ["1234567", "7654321", "1111111", "2222222"], 0.5),
        ("abcde", ["ABCDE"], 1.0),
        ("91234567890", ["1234567"], 1.0),  # a part of a longer number counts
        ("12\x0034", ["12\n34"], 1.0),  # control characters become newlines
        ("one\ttwo", ["one two"], 0.0),  # a tab too: it is no blank any more
        ("\x01 1234", ["1234"], 1.0),
    ],
)
def test_string_match_all(prediction: str, references: list[str], expected: float) -> None:
    assert ruler("string_match_all", prediction, *references) == expected


def test_string_match_part_takes_the_best_alias() -> None:
    assert ruler("string_match_part", "in Paris", "Paris", "the capital of France") == 1.0
    assert ruler("string_match_all", "in Paris", "Paris", "the capital of France") == 0.5
    assert ruler("string_match_part", "in Rome", "Paris", "the capital of France") == 0.0


@pytest.mark.parametrize(
    ("prediction", "answer", "expected"),
    [
        ("The Eiffel Tower!", "eiffel tower", 1.0),
        ("tower", "Eiffel Tower", 2 / 3),
        ("the the a an", "the", 0.0),  # nothing is left of articles
        ("red red", "red", 2 / 3),
        ("it's", "its", 1.0),
        ("", "x", 0.0),
    ],
)
def test_qa_f1(prediction: str, answer: str, expected: float) -> None:
    assert longbench("qa_f1", prediction, answer) == pytest.approx(expected)


def test_best_answer_counts() -> None:
    assert longbench("qa_f1", "Ada Hill", "Ada", "Ada Hill") == 1.0


def test_classification_shares_the_point_among_named_classes() -> None:
    classes = ["Person", "Place", "Date"]
    assert longbench("classification", "Person", "Person", all_classes=classes) == 1.0
    assert longbench("classification", "Person or Place", "Person", all_classes=classes) == 0.5
    assert longbench("classification", "Thing", "Person", all_classes=classes) == 0.0
    assert longbench("classification", "Place", "Person", all_classes=classes) == 0.0


def test_classification_drops_parts_of_the_right_class() -> None:
    classes = ["number", "Other number"]
    answer = "Other number"
    assert longbench("classification", "Other number", answer, all_classes=classes) == 1.0


def test_classification_keeps_the_official_skip() -> None:
    # "a" is removed, so the loop never looks at "ab", which then stays as a second class.
    assert scorers.classification("abc", "abc", ["a", "ab", "abc"]) == 0.5


def test_count_and_retrieval_share_over_all_numbers() -> None:
    assert longbench("count", "There are 7.", "7") == 1.0
    assert longbench("count", "7 of 9, so 7", "7") == pytest.approx(2 / 3)
    assert longbench("count", "seven", "7") == 0.0
    assert longbench("count", "17", "7") == 0.0
    assert longbench("retrieval", "Paragraph 12", "Paragraph 12") == 1.0
    assert longbench("retrieval", "Paragraph 12 or 3", "Paragraph 12") == 0.5
    assert longbench("retrieval", "", "Paragraph 12") == 0.0


def test_code_similarity_takes_the_first_line_of_code() -> None:
    prediction = "\n```python\n# a comment\n// another\nreturn x + 1\nmore"
    assert longbench("code_similarity", prediction, "return x + 1") == 1.0
    assert longbench("code_similarity", "abcd", "abxy") == 0.5
    assert longbench("code_similarity", "# only a comment", "x") == 0.0
    assert longbench("code_similarity", "abc", "abd") == 0.67  # whole percents


def test_rouge_l() -> None:
    assert longbench("rouge_l", "the cat sat", "the cat sat") == pytest.approx(1.0)
    assert longbench("rouge_l", "the cat", "the cat sat down") == pytest.approx(2 / 3, abs=1e-6)
    assert longbench("rouge_l", "", "the cat") == 0.0
    assert longbench("rouge_l", "...", "the cat") == 0.0


def test_only_the_first_line_counts_where_the_task_says_so() -> None:
    prediction = "\n\nParis\nQuestion: what next?"
    assert longbench("qa_f1", prediction, "Paris", first_line=True) == 1.0
    assert longbench("qa_f1", prediction, "Paris", first_line=False) < 0.5


def test_the_papers_f1_counts_a_word_once() -> None:
    assert longbench("set_f1", "red red", "red") == 1.0
    assert longbench("set_f1", "the red mill", "red barn", "red") == pytest.approx(2 / 3)
    assert longbench("set_f1", "", "red") == 0.0


@pytest.mark.parametrize(
    ("prediction", "answer", "expected"),
    [
        ("The cat, the dog.", "the CAT the dog", 1.0),
        ("a b c d", "b x d", 2 * (2 / 4) * (2 / 3) / (2 / 4 + 2 / 3)),
        ("d c b a", "a b c d", 0.25),
        ("don't", "don t", 1.0),  # what is no letter or digit of ASCII parts words
        ("", "a", 0.0),
        ("...", "a", 0.0),
    ],
)
def test_the_papers_rouge_l(prediction: str, answer: str, expected: float) -> None:
    assert longbench("rouge_l_words", prediction, answer) == pytest.approx(expected)
