"""What the results say, in plain words, and what they do not say."""

from collections.abc import Iterator
from typing import Any

from stages.evaluate.significance import ALPHA
from stages.params import Params
from stages.report import compared, readings
from stages.report.formats import each_cell, label, listing
from stages.training.schedule import map_travel


def statements(metrics: dict[str, Any], params: Params) -> list[str]:
    """The summary, one sentence or two per entry."""
    return [
        *_what_was_done(metrics, params),
        *_retrieval(metrics),
        *_validation(metrics),
        *compared.sentences(metrics),
        *_heads(metrics),
    ]


def _what_was_done(metrics: dict[str, Any], params: Params) -> Iterator[str]:
    variants = listing(label(variant) for variant in params.variants)
    shape = params.base.architecture
    if params.base.source == "scratch" and shape and params.base.training:
        base = (
            f"A small OLMo-2 ({shape.num_hidden_layers} layers, width {shape.hidden_size}) was "
            f"trained from scratch with RoPE on {params.base.training.tokens:,} tokens"
        )
    else:
        base = f"The base model is {params.base.source}"
    yield (
        f"{base}. Its pre-training was continued on {params.train.tokens:,} tokens as {variants}: "
        "same data, same order, same number of steps; only the positions differ."
        + "".join([*_trained(params), *_left_zero(metrics, params)])
    )
    yield from readings.sentences(metrics)
    if params.corpus.generated:
        yield (
            "The training text is partly generated: documents that state facts and ask for them "
            "again, much like the retrieval tests. The scores say how well a very small model "
            "learned that, nothing about language at large."
        )
    if len(params.seeds) == 1:
        yield f"There is one seed ({params.seeds[0]}): standard errors are of sampling alone."


def _trained(params: Params) -> Iterator[str]:
    """Which weights, where not all."""
    wanted = params.train.trainable
    if wanted != "all":
        parts = [*(["the position maps"] if wanted.maps else []), *wanted.attention]
        yield (
            f" Trained were {listing(parts)} of layers from {wanted.from_layer} on; all other "
            "weights are the base's."
        )


def _left_zero(metrics: dict[str, Any], params: Params) -> Iterator[str]:
    """How far positions could go, where they are, and so what was compared."""
    for variant, heads in metrics["heads"].items():
        if "std_low" not in heads:
            continue
        left = heads["heads"] - heads["flat"]
        line = (
            f" {label(variant)}'s maps could travel {map_travel(params.train_of(variant)):.2g} (the "
            f"sum of their learning rates); at the end std(z) is {heads['std_low']:.2g} to "
            f"{heads['std_high']:.2g} tokens, and positions have left zero in {left} of "
            f"{heads['heads']} heads"
        )
        yield line + (": mostly NoPE is compared here." if 2 * left < heads["heads"] else ".")


def _retrieval(metrics: dict[str, Any]) -> Iterator[str]:
    """Per variant, the cells above their shortcut, those not above, and those that cannot be."""
    hopeless: set[tuple[str, str]] = set()
    sentences = []
    for variant, cells in metrics["scores"].items():
        above, below = [], []
        for _, task, length, cell in each_cell(cells):
            if cell["shortcut"] is None:
                continue
            if cell["shortcut"] >= 100.0:
                hopeless.add((task, length))
            elif cell["above_shortcut"]:
                above.append((task, length))
            elif cell["above_shortcut"] is not None:
                below.append((task, length))
        if above or below:
            sentences.append(
                f"{label(variant)} is above the random-guess baseline in {len(above)} of "
                f"{len(above) + len(below)} retrieval cells: {_cells(above)}. Not above: "
                f"{_cells(below)}."
            )
    if sentences:
        yield (
            "The random-guess baseline of a retrieval cell is what naming any candidate value of "
            "the context would score. A score is called above it by the rule of all comparisons: "
            f"paired by sample, {100 * ALPHA:g} % for the whole table."
        )
    yield from sentences
    if hopeless:
        yield (
            f"With a single candidate value the random guess scores 100: {_cells(sorted(hopeless))} "
            "can show copying, but no matching of keys to values."
        )


def _cells(cells: list[tuple[str, str]]) -> str:
    """``vt (256, 512) and cwe (256)``."""
    lengths: dict[str, list[str]] = {}
    for task, length in cells:
        lengths.setdefault(task, []).append(length)
    for found in lengths.values():
        found.sort(key=int)
    return listing(f"{task} ({', '.join(found)})" for task, found in lengths.items()) or "none"


def _validation(metrics: dict[str, Any]) -> Iterator[str]:
    """Where each variant's loss is below the base model's, window by window."""
    below: dict[str, list[str]] = {}
    judged = 0
    for variant, sources in metrics["validation"].items():
        for source, lengths in sources.items():
            found = [(source, length) for length, entry in lengths.items() if entry["below_base"]]
            judged += sum(entry["below_base"] is not None for entry in lengths.values())
            if found:
                below.setdefault(label(variant), []).append(_cells(found))
    if judged:
        cells = listing(f"{name} on {listing(texts)}" for name, texts in below.items())
        where = f"is lower for {cells}; nowhere else" if below else "is lower for no variant"
        yield (
            f"Compared with the base model on the same windows, validation loss {where} "
            f"({100 * ALPHA:g} % for all texts and lengths of a variant)."
        )


def _heads(metrics: dict[str, Any]) -> Iterator[str]:
    for variant, heads in metrics["heads"].items():
        yield (
            f"{label(variant)} has {heads['heads']} heads with learned positions; "
            f"{heads['flat']} of them give all tokens nearly the same position (no position, in "
            f"effect) and {heads['linear']} only count tokens (RoPE, in effect)."
        )
