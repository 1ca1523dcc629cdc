"""Samples for the page's browser: the score of every one, the text of a few of each cell.

The page has to stay small: a score is one character, and a text is cut around what was hidden in the
context and around the question. ``repo-pipeline sample ID`` shows any sample whole.
"""

import json
import string
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from statistics import fmean
from typing import Any

from stages.benchmarks import ruler
from stages.common import paths
from stages.common.errors import UserError
from stages.report.compared import Records
from stages.report.formats import label
from stages.report.inputs import Item

MOST_TEXTS = 20
"""Samples of a cell whose text is in the page."""
TEXT_BYTES = 3_000_000
"""About what all texts together may take; with many variants and cells fewer are shown of each."""
BEFORE, NEEDLES, QUESTION, ANSWER = 160, 3, 320, 120
"""Characters to either side of a needle, needles of a sample, characters of its end, of an answer."""
RIGHT = 0.5
"""A score from which on an answer counts as right, where samples are sorted by who is."""
_PLAIN = [c for c in string.printable[:94] if c not in "\"&'<>\\"]
_BY_USE = (0, 100, *range(1, 100))
CODES = "".join(
    code for _, code in sorted(zip(_BY_USE, [*_PLAIN, *map(chr, range(0xC0, 0xD4))], strict=False))
)
"""The character of each score in percent; 0 and 100 are plain ones."""


def data(
    items: Sequence[Item], records: Mapping[str, Records], focus: str, reference: str
) -> dict[str, Any]:
    """What the page's script reads: variants, and by cell scores and texts."""
    if not records:
        return {"variants": [], "cells": []}
    first = next(iter(records.values()))
    seeds = {item.variant: item.seed for item in reversed(items)}
    chosen_of = {
        cell: _mixed(first.scores[cell][0], records, cell, (focus, reference))
        for cell in sorted(first.scores, key=_order)
    }
    most = _room(len(chosen_of), len(records))
    return {
        "variants": [label(variant) for variant in records],
        "pair": [list(records).index(v) for v in (focus, reference) if v in records],
        "codes": CODES,
        "cells": [
            _cell(cell, records, seeds, sorted(chosen[:most])) for cell, chosen in chosen_of.items()
        ],
    }


def _order(cell: tuple[str, str, str]) -> tuple[Any, ...]:
    """RULER's cells first, in its authors' order."""
    suite, task, length = cell
    known = list(ruler.TASKS)
    return (
        suite != ruler.SUITE,
        known.index(task) if task in known else 99,
        suite,
        task,
        int(length),
    )


def dumped(found: Mapping[str, Any]) -> str:
    """JSON that may stand in a ``<script>``: nothing in it can end the element."""
    text = json.dumps(found, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _room(cells: int, variants: int) -> int:
    """Texts a cell, so that all fit."""
    each = 900 + variants * (ANSWER + 10)
    return max(2, min(MOST_TEXTS, TEXT_BYTES // max(1, cells * each)))


def _mixed(
    ids: Mapping[str, float],
    records: Mapping[str, Records],
    cell: Any,
    pair: tuple[str, str],
) -> list[int]:
    """Places of samples in their file, those of each outcome in turn, at most ``MOST_TEXTS``."""
    kinds: dict[tuple[bool, ...], list[int]] = {}
    for index, sample in enumerate(ids):
        outcome = tuple(
            fmean(run[sample] for run in records[v].scores[cell]) >= RIGHT
            for v in pair
            if v in records
        )
        kinds.setdefault(outcome, []).append(index)
    # The most telling first: one right and the other wrong.
    order = sorted(kinds, key=lambda outcome: (len(set(outcome)) == 1, not outcome[0]))
    in_turn = zip_longest(*(kinds[outcome] for outcome in order))
    return [i for turn in in_turn for i in turn if i is not None][:MOST_TEXTS]


def _cell(
    cell: tuple[str, str, str],
    records: Mapping[str, Records],
    seeds: Mapping[str, int],
    chosen: Sequence[int],
) -> dict[str, Any]:
    suite, task, length = cell
    ids = list(next(iter(records.values())).scores[cell][0])
    scores = {
        variant: [fmean(run[i] for run in found.scores[cell]) for i in ids]
        for variant, found in records.items()
    }
    texts = {index: _text(sample) for index, sample in samples(suite, task, length, chosen)}
    said = {v: dict(_answers(f"{v}-{seeds[v]}", cell, chosen)) for v in records}
    usual = all(sample == f"{task}-{length}-{i:04}" for i, sample in enumerate(ids))
    return {
        "suite": suite,
        "task": task,
        "length": int(length),
        "n": len(ids),
        **({} if usual else {"ids": ids}),
        "scores": ["".join(CODES[round(100 * s)] for s in of) for of in scores.values()],
        "texts": [
            {"i": index, **texts.get(index, {}), "said": [said[v].get(index, "") for v in records]}
            for index in chosen
        ],
    }


def samples(
    suite: str, task: str, length: str, chosen: Sequence[int]
) -> Iterator[tuple[int, dict[str, Any]]]:
    """The chosen samples of a cell, by their place in the file; the others are not parsed."""
    return _chosen(paths.BENCHMARKS / suite / f"{task}-{length}.jsonl", chosen)


def _answers(
    item: str, cell: tuple[str, str, str], chosen: Sequence[int]
) -> Iterator[tuple[int, str]]:
    """What a model said, beginning and no more."""
    file = paths.results(item) / "samples" / f"{'-'.join(cell)}.jsonl"
    for index, row in _chosen(file, chosen):
        yield index, cut(row.get("prediction", ""), ANSWER)


def _chosen(file: Path, chosen: Sequence[int]) -> Iterator[tuple[int, dict[str, Any]]]:
    if not file.is_file():
        raise UserError(f"{file}: no such file; run the stage that makes it, or `dvc pull`")
    wanted = set(chosen)
    with file.open("rb") as lines:
        for index, line in enumerate(lines):
            if index in wanted:
                wanted.discard(index)
                yield index, json.loads(line)
            if not wanted:
                return


def cut(text: str, most: int) -> str:
    """The beginning of a text."""
    return text if len(text) <= most else text[: most - 1] + "…"


def _text(sample: Mapping[str, Any]) -> dict[str, Any]:
    """What was wanted, and the prompt in parts: plain, needle (1), left out (2), question (3)."""
    prompt = sample["input"] + sample["answer_prefix"]
    return {
        "want": [cut(str(answer), ANSWER) for answer in sample["outputs"][:6]],
        "depth": sample["depth"],
        "parts": parts(prompt, sample["outputs"]),
    }


def parts(prompt: str, answers: Sequence[str]) -> list[list[Any]]:
    """Pieces of a prompt with their kind: around the first answers in it, and its end."""
    end = max(0, len(prompt) - QUESTION)
    places = []
    for answer in answers:
        at = prompt.find(answer) if answer else -1
        if 0 <= at < end:
            places.append((at, at + len(answer)))
    found: list[list[Any]] = []
    seen = 0
    for start, stop in sorted(set(places))[:NEEDLES]:
        if start < seen:
            continue
        begin = max(seen, start - BEFORE)
        if begin > seen:
            found.append([2, begin - seen])
        after = min(end, stop + BEFORE)
        found += [[0, prompt[begin:start]], [1, prompt[start:stop]], [0, prompt[stop:after]]]
        seen = after
    if end > seen:
        found.append([2, end - seen])
    return [*found, [3, prompt[end:]]]
