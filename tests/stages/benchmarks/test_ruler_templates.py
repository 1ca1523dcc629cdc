"""Prompts against RULER's own text, written out."""

import re
from random import Random

import pytest

from stages.benchmarks.draft import Draft
from stages.benchmarks.ruler import TASKS
from stages.benchmarks.templates import NOISE


def draft(make_cell, task: str, units: int, **changed) -> Draft:
    return TASKS[task].draft(make_cell(task, 4096, **changed), units, Random(5))


def test_noise_is_the_official_line() -> None:
    assert NOISE == (
        "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again."
    )


def test_single_needle_in_noise(make_cell, official) -> None:
    d = draft(make_cell, "niah_single_1", 3, base=official)
    (value,) = d.answers
    assert re.fullmatch(r"\d{7}", value)
    key = re.search(r"numbers for (.+?) is: ", d.context)[1]
    assert re.fullmatch(r"\S.*-.*\S", key)
    lines = d.context.split("\n")
    assert len(lines) == 4
    assert lines.count(f"One of the special magic numbers for {key} is: {value}.") == 1
    assert lines.count(NOISE) == 3
    assert d.input == (
        "A special magic number is hidden within the following text. Make sure to memorize it. "
        f"I will quiz you about the number afterwards.\n{d.context}\n"
        f"What is the special magic number for {key} mentioned in the provided text?"
    )
    assert d.prefix == (f" The special magic number for {key} mentioned in the provided text is")


def test_several_values_keep_the_plural(make_cell, official) -> None:
    d = draft(make_cell, "niah_multivalue", 400, base=official)
    assert d.head == (
        "Some special magic numbers are hidden within the following text. Make sure to memorize "
        "it. I will quiz you about the numbers afterwards.\n"
    )
    (key,) = set(re.findall(r"One of the special magic numbers for (.+?) is: \d{7}\.", d.context))
    assert d.tail == (
        f"\nWhat are all the special magic numbers for {key} mentioned in the provided text?"
    )
    assert d.prefix == (f" The special magic numbers for {key} mentioned in the provided text are")
    assert len(d.answers) == 4


def test_several_queries_are_joined_as_official(make_cell, official) -> None:
    d = draft(make_cell, "niah_multiquery", 400, base=official)
    told = dict(re.findall(r"magic numbers for (.+?) is: (\d{7})\.", d.context))
    asked = re.search(r"numbers for (.+) mentioned", d.tail)[1]
    a, b, c, last = re.fullmatch(r"(.+?), (.+?), (.+?), and (.+)", asked).groups()
    assert d.answers == tuple(told[key] for key in (a, b, c, last))


def test_uuids_lose_their_s_in_the_question_only(make_cell, official) -> None:
    d = draft(make_cell, "niah_multikey_3", 5, base=official)
    assert d.head.startswith("A special magic uuid is hidden")
    pattern = r"One of the special magic uuids for ([0-9a-f-]{36}) is: ([0-9a-f-]{36})\."
    told = dict(re.findall(pattern, d.context))
    assert len(told) == 6
    key = re.fullmatch(
        r"\nWhat is the special magic uuid for (.+) mentioned in the provided text\?", d.tail
    )[1]
    assert d.answers == (told[key],)
    assert all(value[14] == "4" for value in told.values())


def test_tracking(make_cell, official) -> None:
    d = draft(make_cell, "vt", 9, base=official)
    value = re.search(r"= (\d{5})$", d.context, re.MULTILINE)[1]
    a, b, c, e, f = d.answers
    chain = [line for line in d.context.split("\n") if line != NOISE]
    assert chain == [f"VAR {a} = {value}"] + [
        f"VAR {y} = VAR {x} " for x, y in ((a, b), (b, c), (c, e), (e, f))
    ]
    assert all(re.fullmatch("[A-Z]{5}", name) for name in d.answers)
    assert d.tail == (
        f"\nQuestion: Find all variables that are assigned the value {value} in the text above."
    )
    assert d.prefix == (
        " Answer: According to the chain(s) of variable assignment in the text above, 5 variables "
        f"are assigned the value {value}, they are: "
    )


def test_tracking_starts_with_a_solved_example(make_cell, official) -> None:
    cell = make_cell("vt", 4096, base=official)
    d = TASKS["vt"].draft(cell, 9, Random(5))
    opening = (
        "Memorize and track the chain(s) of variable assignment hidden in the following text.\n\n"
    )
    assert d.head.startswith(opening)
    assert d.head.endswith("\n\n" + opening)
    example = d.head.removesuffix("\n" + opening)
    names = re.search(r", they are:  ((?:[A-Z]{3} ?){5})\n$", example)[1].split()
    for name in names:
        assert f"VAR {name} = " in example
        assert f"VAR {name} = " not in d.context
    assert 300 < cell.encoder.count(example) <= 500


def test_common_words(make_cell, official) -> None:
    d = draft(make_cell, "cwe", 20, base=official)
    template = (
        "Below is a numbered list of words. In these words, some appear more often than others. "
        "Memorize the ones that appear most often.\n{}\n"
        "Question: What are the 10 most common words in the above list?"
    )
    prefix = " Answer: The top 10 words that appear most often in the list are:"
    assert d.prefix == prefix
    example, question = d.input.split("\nBelow", 1)
    assert "Below" + question == template.format(d.context)
    shown = re.fullmatch(
        re.escape(template + prefix).replace(r"\{\}", "(.*)") + " (.*)", example, re.DOTALL
    )
    listed, solution = (re.split(r" ?\d+\. ", text)[1:] for text in shown.groups())
    assert [listed.count(word) for word in solution] == [10] * 10
    assert len(listed) == 10 * 10 + 30 * 3
    words = re.split(r" ?\d+\. ", d.context)[1:]
    assert len(words) == 10 * 30 + 10 * 3
    assert {word for word in words if words.count(word) == 30} == set(d.answers)


def test_fewer_common_words_are_asked_for_by_number(make_cell) -> None:
    d = draft(make_cell, "cwe", 9)
    assert "What are the 3 most common words" in d.tail
    assert d.prefix == " Answer: The top 3 words that appear most often in the list are:"


def test_coded_words_ask_for_ranks_two_to_four(make_cell) -> None:
    d = draft(make_cell, "fwe", 400)
    words = d.context.split(" ")
    ranked = sorted(set(words), key=words.count, reverse=True)
    assert ranked[0] == "..."
    assert set(ranked[1:4]) == set(d.answers)
    assert d.head == (
        "Read the following coded text and track the frequency of each coded word. "
        "Find the three most frequently appeared coded words. "
    )
    assert d.prefix == (
        " Answer: According to the coded text above, the three most frequently appeared words are:"
    )


@pytest.mark.parametrize(("length", "repeats"), [(4095, 6), (4096, 30)])
def test_short_lengths_have_their_own_numbers(make_cell, official, length, repeats) -> None:
    cell = make_cell("cwe", length, base=official)
    d = TASKS["cwe"].draft(cell, 12, Random(1))
    words = re.split(r" ?\d+\. ", d.context)[1:]
    assert words.count(d.answers[0]) == repeats
    assert TASKS["vt"].step(cell) == (5 if length < 4096 else 10)
    assert TASKS["niah_single_1"].step(cell) == (5 if length < 4096 else 25)
    assert TASKS["niah_single_2"].step(cell) == 500
