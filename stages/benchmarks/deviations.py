"""Where this RULER differs from NVIDIA/RULER@c3f5e3b: the table of docs/ruler.md.

``python -m stages.benchmarks.deviations`` prints it. What is a number here is read off the code.
"""

from collections.abc import Iterator
from typing import NamedTuple

from stages.benchmarks import official
from stages.benchmarks.made_of import TEXTS, text_of


class Row(NamedTuple):
    """A deviation."""

    tasks: str
    theirs: str
    ours: str
    effect: str


def rows() -> Iterator[Row]:
    """All that are known."""
    params = official.ruler("nvidia", official.TASKS)
    assert params.short is not None
    outside = [task for task in official.TASKS if text_of(task)]
    yield Row(
        _listed(outside),
        "Paul Graham's essays, SQuAD v2 dev, HotpotQA dev",
        f"generated text unless {', '.join(f'`ruler.{kind}`' for kind in TEXTS)} name files",
        f"another text in {len(outside)} of {len(official.TASKS)} tasks: the title says so, and no "
        "effective length is told",
    )
    yield Row(
        "all niah, vt",
        "needles are shuffled, and words of cwe and fwe placed, by one fixed seed",
        "every sample has places of its own",
        "depths are spread evenly over the samples",
    )
    yield Row(
        "niah with 4 values, vt",
        "two needles may share a value by chance",
        "never",
        "the random-guess baseline (naming any candidate) is exact",
    )
    yield Row(
        "essay tasks",
        "a sample that is too long loses 500 words",
        f"{params.steps.prose} words, below {params.short.below} tokens {params.short.steps.prose}",
        "fuller prompts: 3,960 against 3,667 tokens at 4,096 in the mean",
    )
    yield Row(
        "fwe",
        "grows by a thirty-second of the length",
        "grows by single words",
        "11 % more words at 4,096",
    )
    yield Row(
        "qa_1, qa_2",
        "sized by the first question, ten documents fewer where too long; one shuffle for all, so the "
        "gold document's place follows from the number of documents alone (4K: 24 of 26, 8K: 20 of "
        "50, 16K: 68 of 95)",
        "every question has as many whole documents as fit, in an order of its own",
        "6 to 17 % more tokens; the gold document stands anywhere",
    )
    yield Row(
        "qa_1, qa_2",
        "documents are repeated where there are too few for the length",
        "refused, the collection named",
        "none where the collection is large enough",
    )
    yield Row(
        "all",
        "a length that a task does not fit gives prompts that are too long, or does not end",
        "left out and named with its least length (`--strict`, and in a run's params: refused)",
        "no number where NVIDIA's would be of other lengths",
    )
    yield Row(
        "all with an opening token",
        "counted without it by `tokenize`, read with it",
        "the same",
        "a prompt of Llama's takes one token more than its length says",
    )
    yield Row(
        "scores that cannot fall",
        "the whole budget is written",
        "writing ends once every reference has appeared (`--full`: the whole budget)",
        "none: the metric only looks for the references",
    )


def table() -> str:
    """As Markdown."""
    lines = ["| tasks | NVIDIA/RULER | here | effect |", "|---|---|---|---|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows())])


def _listed(tasks: list[str]) -> str:
    return ", ".join(tasks)


if __name__ == "__main__":
    print(table())
