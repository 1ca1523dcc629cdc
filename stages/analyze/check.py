"""The analysis: chunks that fit into a sample."""

from collections.abc import Iterator

from stages.common.findings import Finding, refuse
from stages.common.seen import Seen


def check(seen: Seen) -> Iterator[Finding]:
    """Findings of ``analyze``."""
    chunk, length = seen.params.analyze.chunk_tokens, seen.params.benchmarks.lengths[0]
    if chunk > length:
        yield refuse(
            "analyze.chunk_tokens",
            chunk,
            f"no sample of {length} tokens holds one chunk",
            "the paper's is 16",
        )
    epsilon = seen.params.analyze.epsilon
    if chunk > 1 and 2 * epsilon >= chunk - 1:
        yield refuse(
            "analyze.epsilon",
            epsilon,
            f"a chunk of {chunk} tokens in a row, as RoPE counts them, would be constant too",
            "the paper's is 0.2",
        )
    there = _samples(seen)
    if there and seen.params.analyze.samples > there:
        yield refuse(
            "analyze.samples",
            seen.params.analyze.samples,
            f"the benchmarks hold {there} retrieval samples at the trained length",
            f"give {there} at most, or raise benchmarks.ruler.samples",
        )


def _samples(seen: Seen) -> int:
    """Needle-in-a-haystack samples at the length that the analysis looks at."""
    ruler, lengths = seen.params.benchmarks.ruler, seen.params.benchmarks.lengths
    trained = seen.params.train.longest
    length = max((n for n in lengths if n <= trained), default=min(lengths))
    return sum(ruler.samples_at(task, length) for task in ruler.tasks if task.startswith("niah_"))
