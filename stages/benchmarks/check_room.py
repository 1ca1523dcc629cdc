"""Room for prompts and answers: what RULER's settings ask for against the lengths.

The smallest prompts are drafted as the stage drafts them and their letters counted: no tokenizer is
needed to see that a length cannot hold them.
"""

from collections.abc import Iterator
from math import ceil
from random import Random
from typing import cast

from stages.benchmarks import ruler
from stages.benchmarks.documents import load
from stages.benchmarks.draft import Cell, Draft, styled
from stages.benchmarks.haystack import Prose
from stages.benchmarks.params import RulerParams
from stages.benchmarks.questions import Questions, least_draft
from stages.benchmarks.words import Words
from stages.common.encoder import Encoder
from stages.common.errors import UserError
from stages.common.findings import Finding, refuse, told
from stages.common.seen import Seen

LETTERS, DIGITS = 8, 4
"""At most so many letters, digits of a token: large vocabularies have half of it on average."""
NEEDLE_TOKENS = 25
"""Of a line that states a number, at most (official: about 20)."""
FIELD = "benchmarks.ruler"


def check(seen: Seen) -> Iterator[Finding]:
    """Findings of ``benchmarks.ruler`` beside ``benchmarks.lengths``."""
    ruler_, lengths = seen.params.benchmarks.ruler, seen.params.benchmarks.lengths
    never = {t: ruler_.from_length[t] for t in ruler_.tasks if not _built(ruler_, t, lengths)}
    if never:
        yield refuse(
            f"{FIELD}.from_length",
            never,
            f"benchmarks.lengths end at {lengths[-1]}: these tasks would never be built",
            f"give {lengths[-1]} at most, or leave them out of {FIELD}.tasks",
        )
        return
    yield from _steps(ruler_, lengths)
    if ruler_.data is not None:
        return  # prompts are NVIDIA's
    odd = [*_word_lists(ruler_), *_values(ruler_, lengths)]
    yield from odd
    if odd:
        return
    for task in ruler_.tasks:
        built = _built(ruler_, task, lengths)
        found = list(_least(seen, task, built[0])) if built else []
        yield from found
        if found:
            return  # one task stands for all


def _built(params: RulerParams, task: str, lengths: tuple[int, ...]) -> list[int]:
    return [length for length in lengths if params.samples_at(task, length)]


def _steps(params: RulerParams, lengths: tuple[int, ...]) -> Iterator[Finding]:
    for field, length in (("steps", lengths[-1]), ("short.steps", lengths[0])):
        if field != "steps" and (params.short is None or length >= params.short.below):
            continue
        for kind, step in params.steps_at(length).model_dump().items():
            if step > length:
                yield refuse(
                    f"{FIELD}.{field}.{kind}",
                    step,
                    f"a sample of {length} tokens has fewer to be cut by",
                    "lower it",
                )


def _word_lists(params: RulerParams) -> Iterator[Finding]:
    """Words that are more common than others, and enough of them."""
    if "cwe" not in params.tasks:
        return
    there = len(Words(len, None).all)
    lists = {"cwe": params.cwe} | ({"short.cwe": params.short.cwe} if params.short else {})
    for name, words in lists.items():
        field, example = f"{FIELD}.{name}", words.example
        repeats = {"repeats": words.repeats} | (
            {"example.repeats": example.repeats} if example else {}
        )
        for key, times in repeats.items():
            if times[0] <= times[1]:
                yield refuse(
                    f"{field}.{key}",
                    list(times),
                    "the common words stand there no more often than the others",
                    "the official are [30, 3]",
                )
        if example and not words.common < example.words <= there:
            yield refuse(
                f"{field}.example.words",
                example.words,
                f"the list has {words.common} common words and others, of {there} that there are",
                "the official are 40",
            )
        if words.common > there:
            yield refuse(
                f"{field}.common", words.common, f"there are {there}", "the official are 10"
            )


def _values(params: RulerParams, lengths: tuple[int, ...]) -> Iterator[Finding]:
    """Enough different names and numbers, that a draw of them ends."""
    if "niah_multikey_2" in params.tasks:
        wanted, there = lengths[-1] // NEEDLE_TOKENS, 9 * 10 ** (params.value_digits - 1)
        if wanted > there:
            yield refuse(
                f"{FIELD}.value_digits",
                params.value_digits,
                f"niah_multikey_2 states some {wanted} different numbers at {lengths[-1]} tokens",
                "the official are 7",
            )
    if "vt" not in params.tasks:
        return
    vt = params.vt
    if vt.example_tokens is not None and vt.example_tokens >= lengths[-1]:
        yield refuse(
            f"{FIELD}.vt.example_tokens",
            vt.example_tokens,
            f"an example as long as the longest prompt, {lengths[-1]} tokens",
            "the official are 500, null is none",
        )
    names, there = vt.chains * (vt.hops + 1), int(26**vt.name_letters)
    built = _built(params, "vt", lengths)
    if built and names > built[0]:
        yield refuse(
            f"{FIELD}.vt.chains",
            vt.chains,
            f"{vt.hops} hops each make {names:,} assignments, more than {built[0]} tokens hold",
            "lower one of them (official: 1 chain of 4 hops)",
        )
    elif 2 * names > there:
        yield refuse(
            f"{FIELD}.vt.name_letters",
            vt.name_letters,
            f"{names:,} variables need names of their own, there are {there:,}",
            "the official are 5",
        )
    elif 2 * vt.chains > 9 * 10 ** (vt.value_digits - 1):
        yield refuse(
            f"{FIELD}.vt.value_digits",
            vt.value_digits,
            f"{vt.chains} chains need values of their own",
            "the official are 5",
        )


class _Letters:
    """Stands in for the tokenizer: no text has fewer tokens than this counts."""

    def count(self, text: str) -> int:
        return ceil(len(text) / LETTERS)


def _least(seen: Seen, task: str, length: int) -> Iterator[Finding]:
    """The smallest prompt and the shortest answer against what the task has."""
    params = seen.params.benchmarks.ruler
    try:
        draft = _smallest(seen, task, length)
    except UserError as error:
        yield told(str(error))
        return
    if draft is None:
        return
    budget, prompt = params.new_tokens[task], ceil(len(draft.prompt) / LETTERS)  # type: ignore[index]
    answers = draft.answers if _all_asked(task) else (min(draft.answers, key=len),)
    answer = sum(ceil(len(one) / (DIGITS if one.isdecimal() else LETTERS)) for one in answers)
    if budget < answer:
        yield refuse(
            f"{FIELD}.new_tokens.{task}",
            budget,
            f"its answer takes {answer} tokens at the least, e.g. {' '.join(answers)!r}",
            "raise it",
        )
    elif budget >= length:
        yield refuse(
            f"{FIELD}.new_tokens.{task}",
            budget,
            f"no room for a prompt at the length {length}",
            "lower it, or measure at longer lengths",
        )
    elif prompt + budget > length:
        yield refuse(
            "benchmarks.lengths",
            length,
            f"{task} as {FIELD} has it asks in {prompt:,} tokens at the least and answers in {budget}",
            f"begin at a longer length, give {FIELD}.from_length.{task}, or leave the task out",
        )


def _all_asked(task: str) -> bool:
    """Whether all answers are asked for, not any one of them."""
    return ruler.TASKS[task].metric == "string_match_all"


def _smallest(seen: Seen, task: str, length: int) -> Draft | None:
    """A task's smallest sample; none where its documents are not here."""
    params, row = seen.params.benchmarks.ruler, ruler.TASKS[task]
    words = Words(len, None)
    cell = Cell(
        task, length, params, 0, cast(Encoder, _Letters()), words, Prose("generated", words)
    )
    if isinstance(row, Questions):
        source = _documents(seen, getattr(params, row.kind))
        return None if source is None else least_draft(cell, load(row.kind, source))
    return styled(cell, row.draft(cell, row.least(cell), Random(0)))


def _documents(seen: Seen, source: str) -> str | None:
    """A collection that is here, by its whole path."""
    if source == "generated":
        return source
    file = seen.path(source)
    return str(file) if "://" not in source and file.is_file() else None
