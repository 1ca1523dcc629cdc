"""The extension: frequencies that YaRN can still change, and lengths within what it reaches."""

from collections.abc import Iterator

from stages.common.findings import Finding, refuse, warn
from stages.common.seen import Seen
from stages.training import check as training

EXTENDABLE = ("default", "linear", "llama3")
"""rope_types that ``repo_model.extend`` takes; a test (tests/families) holds the two equal."""
FAR, BEYOND = 32.0, 1024.0
"""Factors of YaRN: 32 is the most that its paper shows (arXiv 2309.00071)."""


def check(seen: Seen) -> Iterator[Finding]:
    """Findings of ``extend``."""
    params = seen.params.extend
    if seen.base.config is not None and seen.base.rope_type not in EXTENDABLE:
        yield refuse(
            "base.source",
            seen.params.base.source,
            f"its frequencies are scaled already (rope_type {seen.base.rope_type!r}), and `extend` "
            "cannot scale them again",
            "take a base that is not, or run the stages before alone: `run train`",
        )
    if params.factor > FAR:
        level = refuse if params.factor > BEYOND else warn
        yield level(
            "extend.factor",
            params.factor,
            f"YaRN was shown to hold up to {FAR:g}",
            "the paper's is 4",
        )
    if params.training is not None:
        longest = max(seen.params.train_of(name).longest for name in seen.params.variants)
        window = int(longest * params.factor)
        if params.training.longest > window:
            yield refuse(
                "extend.training.lengths",
                params.training.longest,
                f"beyond the extended window of {window} tokens (the longest of train.lengths x "
                "extend.factor)",
                "raise extend.factor or shorten it",
            )
        yield from training.check(seen, "extend.training", params.training, None)
        if (depth := training.layers(seen)) is not None:
            names = seen.params.variants
            yield from training.trained(seen, "extend.training", params.training, names, depth)
