"""An evaluation as lines for a terminal: scores with standard errors, then what they come to."""

from collections.abc import Iterator

from stages.evaluate import verdicts
from stages.evaluate.buckets import BUCKETS
from stages.evaluate.comparison import EFFECTIVE
from stages.evaluate.made import title
from stages.evaluate.measured import Measured
from stages.evaluate.significance import Cell, Runs, compare
from stages.evaluate.statistics import mean


def lines(outcome: Measured, against: Measured | None = None) -> Iterator[str]:
    """The table, the figures over lengths, odd outputs, and the comparison if there is one."""
    metrics, cells = outcome.metrics, outcome.cells
    lengths = sorted({int(length) for row in cells.values() for length in row})
    width = max(len(task) for task in [*cells, "tasks in the mean"])
    yield f"{title(metrics)}, score ± standard error, {metrics['model']}"
    yield f"{'':{width}}" + "".join(f"{length:>15}" for length in lengths)
    for task, row in cells.items():
        yield f"{task:{width}}" + "".join(_score(row.get(str(length))) for length in lengths)
    means = metrics["mean"]
    yield f"{'mean over tasks':{width}}" + "".join(
        _score(means.get(str(length))) for length in lengths
    )
    counts = [means[str(length)]["tasks"] for length in lengths]
    if len(set(counts)) > 1:
        yield f"{'tasks in the mean':{width}}" + "".join(f"{count:>15}" for count in counts)
    yield from _readings(outcome)
    yield from _over_lengths(outcome, lengths)
    yield from _buckets(outcome)
    yield from _odd(outcome)
    yield from (f"left out: {line}" for line in metrics.get("left_out", []))
    if against is not None:
        yield from _compared(outcome, against)


def _score(cell: dict[str, float | None] | None) -> str:
    if cell is None:
        return f"{'':>15}"
    error = "" if cell["stderr"] is None else f" ± {cell['stderr']:.1f}"
    text = f"{cell['score']:.2f}{error}"
    return f"{text:>15}"


def _readings(outcome: Measured) -> Iterator[str]:
    """How each length was read, by the cells' own factors."""
    trained = outcome.metrics.get("trained")
    if trained is None:
        return
    factors = {
        int(length): cell["yarn_factor"]
        for row in outcome.cells.values()
        for length, cell in row.items()
    }
    known = "recorded" if trained["recorded"] else "its window; none is recorded"
    ways = ", ".join(
        f"{length} x{factor:g}" if factor > 1 else f"{length} plain"
        for length, factor in sorted(factors.items())
    )
    yield f"trained length {trained['length']} ({known}); YaRN: {ways}"


def _over_lengths(outcome: Measured, lengths: list[int]) -> Iterator[str]:
    metrics = outcome.metrics
    if len(lengths) > 1 and "wavg_inc" in metrics:
        yield (
            f"over the {metrics['common_tasks']} tasks that all lengths have: weighted mean "
            f"{metrics['wavg_inc']:.2f} (inc), {metrics['wavg_dec']:.2f} (dec)"
        )
        kept = ", ".join(
            f"{length} {share:.3f}"
            for length, share in metrics["retention"].items()
            if share is not None
        )
        yield f"retention against {lengths[0]}: {kept or 'unknown, for that scores 0'}"
    if "effective_length" in metrics:
        reached = metrics["effective_length"]
        yield f"effective length (mean above {EFFECTIVE} up to it): {reached or 'none of these'}"


def _buckets(outcome: Measured) -> Iterator[str]:
    for task, scores in outcome.metrics["buckets"].items():
        by = "by words of the context" if set(scores) <= set(BUCKETS) else "by difficulty and size"
        shown = ", ".join(f"{name} {score:.2f}" for name, score in scores.items())
        yield f"{task} {by}: {shown}"
    if len(outcome.metrics["buckets"]) > 1:
        found = outcome.metrics["buckets"].values()
        means = {
            name: mean([scores[name] for scores in found if name in scores])
            for name in BUCKETS
            if any(name in scores for scores in found)
        }
        shown = ", ".join(f"{name} {score:.2f}" for name, score in means.items())
        yield f"mean over tasks by words of the context: {shown}"


def _odd(outcome: Measured) -> Iterator[str]:
    rows = [cell for row in outcome.cells.values() for cell in row.values()]
    counts = {
        name: sum(row[name] for row in rows) for name in ("n", "empty", "truncated", "unended")
    }
    fill = sum(row["fill"] * row["n"] for row in rows) / counts["n"]
    yield (
        f"{counts['n']} samples: mean fill {100 * fill:.1f} %, {counts['empty']} empty answers, "
        f"{counts['truncated']} prompts cut, {counts['unended']} answers that used up their budget"
    )


def _compared(outcome: Measured, against: Measured) -> Iterator[str]:
    other = f"{against.metrics['model']}"
    yield f"against {other}, paired by sample:"
    ours: dict[Cell, Runs] = {}
    theirs: dict[Cell, Runs] = {}
    for (task, length), rows in outcome.records.items():
        if against.samples(task, length) != outcome.samples(task, length):
            yield f"  {task} {length}: not compared, it was not measured on the same samples"
            continue
        cell = (str(outcome.metrics["suite"]), task, str(length))
        ours[cell] = [{row["id"]: row["score"] for row in rows}]
        theirs[cell] = [{row["id"]: row["score"] for row in against.records[task, length]}]
    found = compare(ours, theirs)
    if not found.cells:
        yield "  no sample in common"
    yield from (f"  {line}" for line in verdicts.lines(found))
    yield from verdicts.sentences(found, f"{outcome.metrics['model']}", other)
