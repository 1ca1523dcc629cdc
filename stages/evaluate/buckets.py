"""LongBench-E's buckets of context length, in words."""

BUCKETS = ("0-4k", "4-8k", "8k+")


def bucket(words: float) -> str:
    """The bucket of a context of so many words."""
    if words < 4000:
        return BUCKETS[0]
    return BUCKETS[1] if words < 8000 else BUCKETS[2]
