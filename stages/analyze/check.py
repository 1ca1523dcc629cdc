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
