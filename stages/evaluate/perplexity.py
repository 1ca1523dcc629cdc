"""Validation loss at every length, over non-overlapping windows of the validation stream."""

from collections.abc import Mapping, Sequence
from typing import Any

from stages.common.tokens import TokenStore
from stages.evaluate.shards import SPLIT, Model, Shard, batches
from stages.evaluate.statistics import mean, standard_error


def shards(
    store: TokenStore, sha256: str, model: Model, length: int, most_tokens: int, batch_tokens: int
) -> list[Shard]:
    """Windows of ``length`` tokens of every source, over its first ``most_tokens``.

    A source with less text than one window has no shard, and so no loss, at that length.
    """
    return [
        Shard("windows", model, source, sha256, rows, length, 0, store.eos_id)
        for source in store.sources(SPLIT)
        for rows in batches(
            range(min(len(store.stream(SPLIT, [source])), most_tokens) // length),
            length,
            batch_tokens,
        )
    ]


def cells(shards: Sequence[Shard], results: Mapping[Shard, list[float]]) -> dict[str, Any]:
    """``{source: {length: figures}}``; loss in nats per token, its error over windows."""
    losses: dict[tuple[str, int], list[float]] = {}
    factors: dict[int, float] = {}
    for shard in shards:
        losses.setdefault((shard.source, shard.length), []).extend(results[shard])
        factors[shard.length] = shard.model.yarn_factor or 1.0
    found: dict[str, Any] = {}
    for (source, length), values in losses.items():
        error = standard_error(values)
        found.setdefault(source, {})[str(length)] = {
            "tokens": len(values) * (length - 1),
            "loss": round(mean(values), 6),
            "stderr": None if error is None else round(error, 6),
            "yarn_factor": factors[length],
        }
    return found
