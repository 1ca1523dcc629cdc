"""Validation loss at every length, over the windows that ``tokenize`` chose."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from stages.common import windows
from stages.common.tokens import TokenStore
from stages.evaluate.shards import Model, Shard, batches
from stages.evaluate.statistics import mean, standard_error


def shards(
    store: TokenStore, sha256: str, model: Model, length: int, most_tokens: int, batch_tokens: int
) -> list[Shard]:
    """Windows of ``length`` tokens of every source, ``most_tokens`` of each source at most.

    A source with less text than one window has no shard, and so no loss, at that length.
    """
    return [
        Shard("windows", model, source, sha256, rows, length, 0, (store.eos_id,))
        for source in windows.sources(store)
        for rows in batches(
            [window.start for window in windows.windows(store, source, length, most_tokens)],
            length,
            batch_tokens,
        )
    ]


def records(
    shards: Sequence[Shard], results: Mapping[Shard, list[dict[str, Any]]]
) -> Iterator[dict[str, Any]]:
    """One record a window; ``start`` is its place in the source's stream, loss in nats per token.

    ``places``: the same over equal parts of the window, from its beginning to its end.
    """
    for shard in shards:
        for start, found in zip(shard.rows, results[shard], strict=True):
            yield {
                "source": shard.source,
                "length": shard.length,
                "start": start,
                **found,
                "yarn_factor": shard.model.yarn_factor or 1.0,
            }


def cells(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """``{source: {length: figures}}`` of records; loss in nats per token, its error over windows."""
    found: dict[str, Any] = {}
    for (source, length), group in _cells(rows).items():
        losses = [row["loss"] for row in group]
        found.setdefault(source, {})[str(length)] = {
            "windows": len(group),
            "tokens": len(group) * (length - 1),
            **_figures("loss", losses),
            "yarn_factor": group[0]["yarn_factor"],
        }
    return found


def differences(
    rows: Sequence[Mapping[str, Any]], others: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """``{source: {length: {n, value, stderr}}}``: loss minus the others', window by window.

    What makes a window easy or hard for both cancels out. Only windows that both have count.
    """
    theirs = {(row["source"], row["length"], row["start"]): row["loss"] for row in others}
    found: dict[str, Any] = {}
    for (source, length), group in _cells(rows).items():
        both = [
            row["loss"] - theirs[source, length, row["start"]]
            for row in group
            if (source, length, row["start"]) in theirs
        ]
        if both:
            found.setdefault(source, {})[str(length)] = {"n": len(both), **_figures("value", both)}
    return found


def _cells(
    rows: Sequence[Mapping[str, Any]],
) -> dict[tuple[str, int], list[Mapping[str, Any]]]:
    found: dict[tuple[str, int], list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault((row["source"], row["length"]), []).append(row)
    return found


def _figures(name: str, values: Sequence[float]) -> dict[str, float | None]:
    error = standard_error(values)
    return {name: round(mean(values), 6), "stderr": None if error is None else round(error, 6)}
