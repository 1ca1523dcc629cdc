"""The generated documents: deterministic, in their shares, always right, never in one layout."""

import random
import re
from collections import Counter
from itertools import islice

import pytest

from stages.corpus import generated

NEEDLE = re.compile(r"One of the special magic numbers for (\S+) is: (\d+)\.")
ANSWER = re.compile(r"The special magic number for (\S+) mentioned in the provided text is (\d+)\.")


def sample(kind: str, count: int = 200, seed: int = 3) -> list[str]:
    return list(islice(generated.documents({kind: 1.0}, seed), count))


def test_same_seed_gives_the_same_documents() -> None:
    kinds = dict.fromkeys(generated.KINDS, 1.0)
    first = list(islice(generated.documents(kinds, 7), 50))
    assert first == list(islice(generated.documents(kinds, 7), 50))
    assert first != list(islice(generated.documents(kinds, 8), 50))


def test_shares_are_shares_of_words() -> None:
    shares = {"lists": 0.6, "facts": 0.3, "quiz": 0.1, "pairs": 0.0}
    written = Counter()
    for document in islice(generated.documents(shares, 1), 2000):
        kind = (
            "quiz"
            if document.startswith("A special magic")
            else "facts"
            if re.search(r"\d", document)
            else "lists"
        )
        written[kind] += len(document.split())
    total = sum(written.values())
    assert {kind: written[kind] / total for kind in written} == pytest.approx(
        {"lists": 0.6, "facts": 0.3, "quiz": 0.1}, abs=0.01
    )


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match=r"fact.*facts"):
        next(generated.documents({"fact": 1.0}, 0))


def test_a_quiz_answers_with_the_value_stated_for_the_key() -> None:
    for document in sample("quiz"):
        stated, answered = dict(NEEDLE.findall(document)), ANSWER.findall(document)
        assert answered
        assert all(stated[key] == value for key, value in answered)


def test_a_table_repeats_every_row_with_its_value() -> None:
    for document in sample("pairs"):
        rows = re.findall(r"([a-z]+(?:-[a-z]+)?)(?: is|:| =| ->)? (\d+)", document)
        assert len(set(rows)) == len({key for key, _ in rows})
        assert min(Counter(rows).values()) >= 2


def test_every_fact_is_stated_and_asked() -> None:
    for document in sample("facts"):
        values = Counter(re.findall(r"\d+", document))
        assert len(values) >= 2
        assert min(values.values()) >= 2


def test_chains_name_every_variable_of_the_asked_value() -> None:
    asked = re.compile(r"assigned the value (\d+), they are: ([A-Z ]+)$", re.MULTILINE)
    for document in sample("assignments"):
        values: dict[str, str] = {}
        for name, source in re.findall(r"^VAR ([A-Z]+) = (?:VAR )?(\w+)$", document, re.MULTILINE):
            values[name] = values.get(source, source)
        assert asked.findall(document)
        for value, names in asked.findall(document):
            assert set(names.split()) == {name for name in values if values[name] == value}


def test_common_words_are_the_most_frequent() -> None:
    for document in sample("word_counts"):
        listed, answer = document.split("\nQuestion")
        counts = Counter(re.findall(r"\d+\. (\w+)", listed))
        answers = re.findall(r"\d+\. (\w+)", answer)
        assert set(answers) == {word for word, _ in counts.most_common(len(answers))}


def test_no_layout_can_be_learned_by_heart() -> None:
    distances, lengths, digits, needles = set(), set(), set(), set()
    for document in sample("quiz", 400):
        stated = dict(NEEDLE.findall(document))
        key, value = ANSWER.findall(document)[0]
        asked_at = document.index("What is the special")
        distances.add(len(document[document.index(value) : asked_at].split()))
        lengths.add(len(key))
        digits.add(len(value))
        needles.add(len(stated))
    assert len(distances) > 30
    assert len(lengths) > 8
    assert digits == {2, 3, 4, 5, 6, 7}
    assert needles >= {1, 2, 3, 4}


def test_keys_are_seldom_seen_twice_with_one_value() -> None:
    pairs = Counter(pair for document in sample("quiz", 500) for pair in NEEDLE.findall(document))
    assert pairs.most_common(1)[0][1] <= 2


def test_made_up_words_are_not_in_the_lists() -> None:
    rng = random.Random(0)
    known = {*generated.NOUNS, *generated.ADJECTIVES}
    drawn = [word for _ in range(300) for word in generated.lists(rng, 12).split()]
    assert any(re.fullmatch(r"[a-z]+", word) and word not in known for word in drawn)
