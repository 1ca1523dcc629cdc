"""Every figure of the report as one dictionary: ``report/figures.json``.

Over seeds: a score is the mean, ``stderr`` its sampling error (the seeds share their samples, so it
does not shrink with them), ``spread`` the standard deviation between seeds (none with one seed). What
differs from what is decided by ``stages.evaluate.significance`` alone.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

from stages.benchmarks import official, ruler
from stages.evaluate.comparison import suite_means, summary
from stages.evaluate.significance import WORSE, Comparison, corrected, from_error
from stages.report import compared, depth, places
from stages.report.compared import Records
from stages.report.inputs import Item
from stages.report.readings import reading
from stages.report.verdict import verdict

Cells = dict[str, dict[str, dict[str, dict[str, Any]]]]
"""Suite -> task -> length -> figures."""


def collect(
    items: Sequence[Item],
    reference: str,
    records: Mapping[str, Records] | None = None,
    costs: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The measured figures, per variant; the caller adds identity and provenance.

    Every variant is compared with ``reference``; ``comparison`` is the one that has a column.
    """
    records = compared.read(items) if records is None else records
    by_variant: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        by_variant[item.variant].append(item)

    def each(section: Callable[[list[Item]], Any]) -> dict[str, Any]:
        found = {variant: section(group) for variant, group in by_variant.items()}
        return {variant: value for variant, value in found.items() if value}

    base = items[0].results["base"]
    focus = compared.focus_of(list(by_variant), reference)
    measured = {
        variant: compared.compare(records, variant, reference)
        for variant in by_variant
        if variant != reference
    }
    comparisons = {
        variant: compared.as_metrics(found, variant, reference)
        for variant, found in measured.items()
    }
    scores = each(lambda group: _scores(group, records.get(group[0].variant)))
    readings = each(lambda group: reading(group[0].results))
    seen = measured.get(focus, Comparison())
    answer = verdict(items, seen, readings[focus], focus, reference, costs or {})
    return {
        "verdict": answer,
        "focus": focus,
        "reference": reference,
        "scores": scores,
        "depths": depth.depths(records, focus, reference),
        "places": places.places(items),
        "suites": each(_suites),
        "comparison": comparisons.get(focus) or compared.as_metrics(Comparison(), focus, reference),
        "comparisons": comparisons,
        "paired_losses": compared.losses(items, focus, reference),
        "validation": each(_validation),
        "base": _base(base),
        "readings": readings,
        "plain": each(_plain),
        "training": each(_training),
        "attention_mass": each(_attention),
        "patterns": each(_patterns),
        "positions": each(_positions),
        "heads": each(_heads),
    }


def _map_cells(cells: Cells, value: Callable[[str, str, str], dict[str, Any]]) -> Cells:
    return {
        suite: {
            task: {length: value(suite, task, length) for length in lengths}
            for task, lengths in tasks.items()
        }
        for suite, tasks in cells.items()
    }


def _scores(group: list[Item], records: Records | None) -> Cells:
    above = compared.above(records) if records else {}
    return _merged([item.results["cells"] for item in group], above)


def _merged(seeds: Sequence[Cells], above: Mapping[tuple[str, str, str], bool | None]) -> Cells:
    """The cells of one variant over its seeds."""

    def merge(suite: str, task: str, length: str) -> dict[str, Any]:
        cells = [seed[suite][task][length] for seed in seeds]
        first = cells[0]
        score, stderr, spread = _over_seeds(cells, "score")
        return {
            "score": score,
            "stderr": stderr,
            "spread": spread,
            "shortcut": first["shortcut"],
            "above_shortcut": None
            if first["shortcut"] is None
            else above.get((suite, task, length), False),
            "n": sum(cell["n"] for cell in cells),
            "empty": sum(cell["empty"] for cell in cells),
            "truncated": sum(cell["truncated"] for cell in cells),
            "unended": sum(cell["unended"] for cell in cells),
            "fill": first["fill"],
            "yarn_factor": first["yarn_factor"],
        }

    return _map_cells(seeds[0], merge)


def _base(found: dict[str, Any]) -> dict[str, Any]:
    """The base's figures, as a variant's of one seed; differences from it are the variants'."""
    scores = _merged([found["cells"]], {})
    suites = _summaries(scores)
    for figures in suites.values():
        for row in figures["mean"].values():
            row["spread"] = None
    validation = _losses([found["validation"]])
    for lengths in validation.values():
        for entry in lengths.values():
            entry.pop("difference", None)
    return {
        "scores": scores,
        "suites": suites,
        "validation": validation,
        "reading": reading(found),
    }


def _suites(group: list[Item]) -> dict[str, Any]:
    """Per suite the mean over tasks by length, its weighted means, effective length, retention.

    ``spread`` of a mean: between the seeds.
    """
    found = _summaries(_scores(group, None))
    for suite, figures in found.items():
        seeds = [suite_means(item.results["cells"][suite]) for item in group]
        for length, row in figures["mean"].items():
            row["spread"] = _spread([means[int(length)]["score"] for means in seeds])
    return found


def _summaries(scores: Cells) -> dict[str, Any]:
    return {
        suite: summary(tasks, official.TASKS if suite == ruler.SUITE else ())
        for suite, tasks in scores.items()
    }


def _spread(values: Sequence[float]) -> float | None:
    """Standard deviation between seeds; none of a single one."""
    return round(stdev(values), 6) if len(values) > 1 else None


def _over_seeds(
    cells: Sequence[dict[str, Any]], key: str
) -> tuple[float, float | None, float | None]:
    """Mean, mean sampling error (none of a single sample) and spread between seeds of a figure."""
    values = [cell[key] for cell in cells]
    errors = [cell["stderr"] for cell in cells]
    return _mean(values), None if None in errors else _mean(errors), _spread(values)


def _mean(values: Iterable[float]) -> float:
    return round(fmean(values), 6)


def _validation(group: list[Item]) -> dict[str, Any]:
    found = _losses([item.results["validation"] for item in group])
    table = {}
    for source, lengths in found.items():
        for length, entry in lengths.items():
            entry["difference"] = pair = _from_base(group, source, length)
            entry["below_base"] = None
            if pair is not None and pair["noise"] is not None:
                table[source, length] = from_error(pair["n"], pair["value"], pair["noise"])
    for (source, length), judged in corrected(table).items():
        if judged.p is not None:
            found[source][length]["below_base"] = judged.mark == WORSE  # its value is below 0
    return found


def _from_base(group: list[Item], source: str, length: str) -> dict[str, Any] | None:
    """Loss minus the base's, window by window, mean over seeds; none where it was not measured."""
    cells = [item.results["base"]["validation"].get(source, {}).get(length) for item in group]
    found = [cell["difference"] for cell in cells if cell and cell["difference"]]
    if len(found) < len(group):
        return None
    value, stderr, _ = _over_seeds(found, "value")
    return {"n": found[0]["n"], "value": value, "noise": stderr}


def _plain(group: list[Item]) -> dict[str, Any]:
    """What was read without YaRN beyond the trained length; empty where nothing was."""
    found = [item.results["plain"] for item in group]
    if not found[0]["cells"] and not found[0]["validation"]:
        return {}
    return {
        "scores": _merged([ways["cells"] for ways in found], {}),
        "validation": _losses([ways["validation"] for ways in found]),
    }


def _losses(seeds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Source -> length -> loss over seeds."""
    found: dict[str, Any] = {}
    for source, lengths in seeds[0].items():
        found[source] = {}
        for length, first in lengths.items():
            loss, stderr, spread = _over_seeds([seed[source][length] for seed in seeds], "loss")
            found[source][length] = {
                **first,
                "loss": loss,
                "stderr": stderr,
                "spread": spread,
            }
    return found


def _training(group: list[Item]) -> dict[str, Any]:
    """Of the items that were trained here; empty for a variant that was taken from elsewhere."""
    group = [item for item in group if item.curve]
    if not group:
        return {}
    last = [item.curve[-1] for item in group]
    return {
        "first_loss": _mean(item.curve[0].loss for item in group),
        "last_loss": _mean(point.loss for point in last),
        "spread": round(stdev(point.loss for point in last), 6) if len(last) > 1 else None,
        "steps": last[0].step,
        "tokens": last[0].tokens,
        "seen": _last_seen(group),
    }


def _last_seen(group: list[Item]) -> dict[str, float]:
    """What the trainings saw last, by column of the curve: the mean of those that looked."""
    ends = [
        {name: value for point in item.curve for name, value in point.seen.items()}
        for item in group
    ]
    names = sorted({name for end in ends for name in end})
    return {name: _mean(end[name] for end in ends if name in end) for name in names}


def _attention(group: list[Item]) -> dict[str, Any] | None:
    masses = [item.analysis["attention_mass"] for item in group]
    if any(mass is None for mass in masses):
        return None
    spans = ("needle", "query", "rest", "uniform")
    found: dict[str, Any] = {span: round(fmean(m[span] for m in masses), 9) for span in spans}
    found["stderr"] = {
        span: round(fmean(mass["stderr"][span] for mass in masses), 9) for span in spans[:3]
    }
    found["samples"] = masses[0]["samples"]
    return found


def _patterns(group: list[Item]) -> dict[str, Any] | None:
    shares = [item.analysis["patterns"] for item in group]
    if any(share is None for share in shares):
        return None
    names = ("monotone", "constant", "hybrid")
    found: dict[str, Any] = {name: _mean(share[name] for share in shares) for name in names}
    return {**found, "chunks": sum(share["chunks"] for share in shares)}


def _positions(group: list[Item]) -> dict[str, Any]:
    """Probe -> layer -> ranges and deviations over heads and seeds."""
    found: dict[str, Any] = {}
    for probe, layers in group[0].analysis["positions"].items():
        for layer in layers:
            analyses = [item.analysis["positions"][probe][layer] for item in group]
            heads = [head for analysis in analyses for head in analysis["heads"]]
            ranges = [head["max"] - head["min"] for head in heads]
            found.setdefault(probe, {})[layer] = {
                "tokens": len(analyses[0]["z"][0]),
                "range_mean": _mean(ranges),
                "range_max": round(max(ranges), 6),
                "std_mean": _mean(head["std"] for head in heads),
            }
    return found


def _std_of_z(group: list[Item]) -> dict[str, float]:
    """Least and greatest std(z) of a head on a probe, in tokens."""
    found = [
        head["std"]
        for item in group
        for layers in item.analysis["positions"].values()
        for layer in layers.values()
        for head in layer["heads"]
    ]
    return {"std_low": min(found), "std_high": max(found)} if found else {}


def _heads(group: list[Item]) -> dict[str, float] | None:
    """Heads with learned positions, how many collapsed (flat or linear), and the thresholds."""
    collapsed, linear = (
        [flag for item in group for layer in item.analysis[name].values() for flag in layer]
        for name in ("collapsed", "linear")
    )
    if not collapsed:
        return None
    return {
        "heads": len(collapsed),
        "collapsed": sum(collapsed),
        "linear": sum(linear),
        "flat": sum(collapsed) - sum(linear),
        **_std_of_z(group),
        **group[0].analysis["thresholds"],
    }
