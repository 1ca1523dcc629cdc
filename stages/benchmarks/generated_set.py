"""Writes the small set of tasks that ships in ``data/generated``, in LongBench's own layout.

It is generated text, not LongBench: it shows that the chain from a LongBench file to a score works
without a download, and gives a small model short documents to be asked about. Every document has
other names, places and sizes. The files are the data; this says how they came about:

    python -m stages.benchmarks.generated_set FOLDER
"""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any

from stages.common.files import write_json, write_jsonl

SAMPLES = 30


def words(text: str) -> tuple[str, ...]:
    """The words of a text."""
    return tuple(text.split())


_PEOPLE = words("""
    Ada Anton Berta Boris Clara Conrad Dora Edith Emil Frida Georg Hanna Hugo Ida Jonas Klara Leon
    Marta Nils Olga Otto Paula Rosa Simon Tilda Viktor
""")
_TOWNS = words("""
    Aston Barrow Calder Denby Elton Farley Garston Hadley Ilford Keswick Langley Marlow Norton
    Oakham Preston Redhill Selby Thornton Upton Weston
""")
_TRADES = words("""
    baker carpenter doctor farmer gardener judge miller nurse painter pilot sailor singer tailor
    teacher
""")
_THINGS = words("""
    apples boats books chairs clocks goats hens lamps maps pots ropes shoes stones tables
""")
_FACTS: Mapping[str, tuple[tuple[str, ...], str, tuple[str, ...]]] = {
    "town": (
        ("{who} was born in {what}.", "The family of {who} comes from {what}."),
        "Where does {who} come from?",
        _TOWNS,
    ),
    "trade": (
        ("{who} works as a {what}.", "Everybody knows {who} as a good {what}."),
        "What is the trade of {who}?",
        _TRADES,
    ),
    "thing": (
        ("{who} sells {what} on the market.", "On Mondays {who} brings {what} to the square."),
        "What does {who} sell?",
        _THINGS,
    ),
}
_QUESTIONS: Mapping[str, tuple[str, ...]] = {
    "Person": ("Who built the {t} house in {p}?", "Which {t} first came to {p}?"),
    "Place": ("Where did the {t} leave his coat?", "In which town does the {t} of {p} live now?"),
    "Number": ("How many {o} did the {t} buy?", "How much does a {t} in {p} earn?"),
    "Date": ("When did the {t} move to {p}?", "In which year were the {o} of {p} sold?"),
}
TASKS: dict[str, Any] = {
    "generated_qa": {
        "prompt": "Read the text and answer the question in a few words.\n\n{context}\n\n"
        "Question: {input}\nAnswer:",
        "max_new_tokens": 8,
        "metric": "qa_f1",
        "first_line": True,
    },
    "generated_classes": {
        "prompt": "Determine the type of the last question. Here are some examples.\n\n"
        "{context}\n{input}",
        "max_new_tokens": 8,
        "metric": "classification",
        "first_line": True,
    },
    "generated_retrieval": {
        "prompt": "Here are some paragraphs, then a sentence. Which paragraph is it about?\n\n"
        "{context}\n\nSentence: {input}\n\nThe answer is:",
        "max_new_tokens": 8,
        "metric": "retrieval",
        "first_line": False,
    },
}


def question_answering(rng: Random) -> dict[str, Any]:
    """Facts about people; one of them is asked for."""
    people = rng.sample(_PEOPLE, rng.randint(3, 14))
    kinds = sorted(_FACTS)
    told = {}
    lines = []
    for kind in kinds[: rng.randint(1, 3)]:
        wordings, _, values = _FACTS[kind]
        some = rng.sample(people, min(len(people), len(values)))
        for who, what in zip(some, rng.sample(values, len(some)), strict=True):
            told[who, kind] = what
            lines.append(rng.choice(wordings).format(who=who, what=what))
    rng.shuffle(lines)
    who, kind = rng.choice(sorted(told))
    return {
        "context": " ".join(lines),
        "input": _FACTS[kind][1].format(who=who),
        "answers": [told[who, kind]],
        "all_classes": None,
        "candidates": sorted(what for (_, other), what in told.items() if other == kind),
    }


def classification(rng: Random) -> dict[str, Any]:
    """Questions with their types, then one without."""

    def question(kind: str) -> str:
        wording = rng.choice(_QUESTIONS[kind])
        drawn = {"t": rng.choice(_TRADES), "p": rng.choice(_TOWNS), "o": rng.choice(_THINGS)}
        return f"Question: {wording.format(**drawn)}\nType:"

    kinds = sorted(_QUESTIONS)
    shown = [kind for _ in range(rng.randint(1, 7)) for kind in rng.sample(kinds, len(kinds))]
    asked = rng.choice(kinds)
    return {
        "context": "\n".join(f"{question(kind)} {kind}" for kind in shown),
        "input": question(asked),
        "answers": [asked],
        "all_classes": kinds,
        "candidates": kinds,
    }


def retrieval(rng: Random) -> dict[str, Any]:
    """Numbered paragraphs, each about another person; a sentence retells one of them."""
    people = rng.sample(_PEOPLE, rng.randint(3, 9))
    towns, things = rng.sample(_TOWNS, len(people)), rng.sample(_THINGS, len(people))
    paragraphs = [
        f"Paragraph {i}: In {town} lives {who}, a {rng.choice(_TRADES)}. In the shed of the house "
        f"stand {rng.randint(2, 90)} {thing}, and {who} counts them every evening."
        for i, (who, town, thing) in enumerate(zip(people, towns, things, strict=True), start=1)
    ]
    place = rng.randrange(len(people))
    return {
        "context": "\n\n".join(paragraphs),
        "input": f"{people[place]} of {towns[place]} owns {things[place]}.",
        "answers": [f"Paragraph {place + 1}"],
        "all_classes": None,
        "candidates": [f"Paragraph {i}" for i in range(1, len(people) + 1)],
    }


_MAKERS: Mapping[str, Callable[[Random], dict[str, Any]]] = {
    "generated_qa": question_answering,
    "generated_classes": classification,
    "generated_retrieval": retrieval,
}


def write(folder: Path) -> None:
    """Write ``tasks.json`` and a JSONL file per task."""
    write_json(folder / "tasks.json", TASKS)
    for task, make in _MAKERS.items():
        rows = []
        for index in range(SAMPLES):
            row = make(Random(f"{task}/{index}"))
            row |= {"dataset": task, "language": "en", "_id": f"{task}-{index:02}"}
            row["length"] = len(row["context"].split())
            rows.append(row)
        write_jsonl(folder / f"{task}.jsonl", rows)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
