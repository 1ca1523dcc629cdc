"""The report's tables as data: every number in them is one of ``report/figures.json``."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from stages.evaluate.comparison import EFFECTIVE
from stages.evaluate.significance import BETTER, WORSE
from stages.report import forest, formats
from stages.report.formats import NONE, label, number


class Cell(NamedTuple):
    """A text; a mark has a meaning, which is read out instead of it."""

    text: str
    mark: str = ""
    meaning: str = ""


class Row(NamedTuple):
    """A row under a group's name (empty: no group)."""

    name: str
    cells: Sequence[Cell]


class Group(NamedTuple):
    """Rows that share their first column."""

    name: str
    rows: Sequence[Row]


@dataclass(frozen=True)
class Table:
    """Caption, names of the columns (the group's and the row's first) and rows."""

    caption: str
    columns: Sequence[str]
    groups: Sequence[Group]

    @property
    def grouped(self) -> bool:
        """Whether the first column holds the groups' names."""
        return any(group.name for group in self.groups)


ABOVE = ("▲", "above its random-guess baseline")
DIFFERS = {BETTER: ("●", "better"), WORSE: ("○", "worse")}
BELOW = ("▼", "below the base model")


def plain(caption: str, columns: Sequence[str], rows: Iterable[tuple[str, Sequence[str]]]) -> Table:
    """A table without groups or marks."""
    body = [Row(name, [Cell(text) for text in texts]) for name, texts in rows]
    return Table(caption, columns, [Group("", body)])


def scores(metrics: dict[str, Any], silent: bool = False) -> Table | None:
    """Task by length: shortcut, the base, every variant, and one minus the reference.

    ``silent``: the cells in which no variant scores, else all others; none without a cell.
    """
    variants, compared = list(metrics["scores"]), metrics["comparison"]["cells"]
    first = metrics["scores"][variants[0]]
    groups = []
    for suite in formats.suites(first):
        for task, lengths in first[suite].items():
            rows = []
            for length in sorted(lengths, key=int):
                if forest.nobody(metrics["scores"], suite, task, length) != silent:
                    continue
                base = metrics["base"]["scores"].get(suite, {}).get(task, {}).get(length)
                cells = [
                    Cell(number(lengths[length]["shortcut"], 1)),
                    Cell(NONE if base is None else formats.score(base)),
                ]
                for variant in variants:
                    found = metrics["scores"][variant][suite][task][length]
                    mark = ABOVE if found["above_shortcut"] else ()
                    cells.append(Cell(formats.score(found), *mark))
                if compared:
                    cells.append(_difference(compared.get(suite, {}).get(task, {}).get(length)))
                rows.append(Row(length, cells))
            if rows:
                groups.append(Group(formats.task_name(suite, task), rows))
    if not groups:
        return None
    columns = ["task", "length", "random guess", "base", *map(label, variants)]
    return Table(
        "Score in percent ± standard error, per task (RULER's, where no suite is named) and length "
        "in tokens. ▲ above its random-guess baseline; the difference with its 95 % interval, "
        "● better, ○ worse, 5 % for the whole table (Holm).",
        [*columns, _against(metrics)] if compared else columns,
        groups,
    )


def _against(metrics: dict[str, Any]) -> str:
    """``RePo − RoPE``."""
    return f"{label(metrics['focus'])} − {label(metrics['reference'])}"


def _difference(found: dict[str, Any] | None) -> Cell:
    if found is None:
        return Cell(NONE)
    text = formats.between(found["value"], found["low"], found["high"])
    return Cell(text, *DIFFERS.get(found["verdict"], ()))


def suites(metrics: dict[str, Any]) -> Table:
    """Every variant's mean over tasks at each length, and what the lengths come to."""
    found = metrics["suites"]
    by_length = [cells["mean"] for suites in found.values() for cells in suites.values()]
    lengths = sorted({length for means in by_length for length in means}, key=int)
    groups = []
    for suite in formats.suites(next(iter(found.values()))):
        rows = []
        for variant, suites in (("base", metrics["base"]["suites"]), *found.items()):
            figures = suites.get(suite)
            if figures is None:
                continue
            means = [figures["mean"].get(length) for length in lengths]
            texts = [_mean(mean, means) for mean in means]
            longest = max(figures.get("retention", ()), key=int, default=None)
            texts += [
                number(figures.get("wavg_inc"), 1),
                number(figures.get("wavg_dec"), 1),
                NONE if longest is None else number(figures["retention"][longest], 2),
                _effective(figures),
            ]
            rows.append(Row(label(variant), [Cell(text) for text in texts]))
        groups.append(Group(suite, rows))
    return Table(
        "Mean over a suite's tasks ± standard error by length; means weighted linearly, the longest "
        "length most (inc) and least (dec); the longest length's share of the shortest's score; "
        f"RULER's effective length, the last before the first whose mean is not above {EFFECTIVE}.",
        ["suite", "variant", *lengths, "inc", "dec", "retention", "effective"],
        groups,
    )


def _mean(mean: dict[str, Any] | None, means: Sequence[dict[str, Any] | None]) -> str:
    """A mean over tasks; of how many, where that differs between the lengths."""
    if mean is None:
        return NONE
    counts = {found["tasks"] for found in means if found is not None}
    more = f" ({mean['tasks']} tasks)" if len(counts) > 1 else ""
    return formats.score(mean) + more


def _effective(figures: dict[str, Any]) -> str:
    """RULER's effective length; it is defined over its own tasks."""
    if "effective_length" not in figures:
        return NONE
    return f"{figures['effective_length'] or 'none'}"


def means(metrics: dict[str, Any]) -> Table | None:
    """Each variant minus the reference, mean over tasks at each length; none without two."""
    reference = label(metrics["reference"])
    groups = [
        Group(
            f"{label(variant)} − {reference}, {suite}", [_mean_row(*row) for row in means.items()]
        )
        for variant, comparison in metrics["comparisons"].items()
        for suite, means in comparison["means"].items()
    ]
    if not groups:
        return None
    return Table(
        f"Difference to {reference}, mean over the tasks of a length, with its 95 % interval (each "
        "task's samples vary by themselves; from three seeds on, the runs vary). ● better, ○ worse "
        "(Holm, over each variant's own table).",
        ["variant and suite", "length", "tasks", "samples", "difference", "verdict"],
        groups,
    )


def _mean_row(length: str, found: dict[str, Any]) -> Row:
    cells = [Cell(f"{found['tasks']}"), Cell(f"{found['n']}"), _difference(found)]
    return Row(length, [*cells, Cell(found["verdict"])])


def cells(metrics: dict[str, Any]) -> Table:
    """What lies behind each score: samples, fill, empty and truncated outputs, YaRN's factor."""
    groups = []
    for variant, found in metrics["scores"].items():
        rows = []
        for suite, task, length, cell in formats.each_cell(found):
            texts = [
                f"{cell['n']}",
                number(cell["fill"], 2),
                f"{cell['empty']}",
                f"{cell['truncated']}",
                f"{cell['unended']}",
                NONE if cell["yarn_factor"] is None else f"{cell['yarn_factor']:g}",
            ]
            name = f"{formats.task_name(suite, task)}, {length}"
            rows.append(Row(name, [Cell(text) for text in texts]))
        groups.append(Group(label(variant), rows))
    return Table(
        "Behind the scores: samples over all seeds, prompt and answer budget over length, answers "
        "that were empty, prompts that were truncated, answers cut by the budget, YaRN factor.",
        ["variant", "task and length", "samples", "fill", "empty", "truncated", "unended", "YaRN"],
        groups,
    )


def validation(metrics: dict[str, Any]) -> Table:
    """Loss per source and length, the base model's beside it."""
    variants = list(metrics["validation"])
    groups = []
    for source, lengths in metrics["validation"][variants[0]].items():
        rows = []
        for length in sorted(lengths, key=int):
            base = metrics["base"]["validation"].get(source, {}).get(length)
            row = [Cell(NONE if base is None else formats.loss(base))]
            for variant in variants:
                found = metrics["validation"][variant][source][length]
                row.append(Cell(formats.loss(found), *(BELOW if found["below_base"] else ())))
            rows.append(Row(length, row))
        groups.append(Group(source, rows))
    return Table(
        "Validation loss in nats per token ± standard error over windows. ▼ below the base model's "
        "window by window, 5 % for all texts and lengths of a variant.",
        ["text", "length", "base", *map(label, variants)],
        groups,
    )


def differences(metrics: dict[str, Any]) -> Table:
    """Loss minus the base's on the same windows, and RePo's minus RoPE's."""
    variants, compared = list(metrics["validation"]), metrics["paired_losses"]
    groups = []
    for source, lengths in metrics["validation"][variants[0]].items():
        rows = []
        for length in sorted(lengths, key=int):
            found = [metrics["validation"][name][source][length] for name in variants]
            pairs = [entry["difference"] for entry in found]
            if compared:
                pairs.append(compared.get(source, {}).get(length))
            row = [Cell(f"{found[0]['windows']}")]
            for pair in pairs:
                text = (
                    NONE if pair is None else formats.signed_error(pair["value"], pair["noise"], 3)
                )
                row.append(Cell(text))
            rows.append(Row(length, row))
        groups.append(Group(source, rows))
    columns = ["text", "length", "windows", *(f"{label(name)} − base" for name in variants)]
    return Table(
        "Difference in validation loss, nats per token, window by window ± its standard error: what "
        "makes a window easy or hard for both models cancels out. Below 0 is better.",
        [*columns, _against(metrics)] if compared else columns,
        groups,
    )


def plain_scores(metrics: dict[str, Any]) -> Table:
    """Lengths that were read both ways: each variant's score plain, and extended."""
    plain, found = metrics["plain"], metrics["scores"]
    texts = {
        variant: {
            (formats.task_name(suite, task), length): (
                formats.score(cell),
                formats.score(found[variant][suite][task][length]),
                found[variant][suite][task][length]["yarn_factor"],
            )
            for suite, task, length, cell in formats.each_cell(ways["scores"])
        }
        for variant, ways in plain.items()
    }
    return _both_ways("Score in percent", "task", texts)


def plain_losses(metrics: dict[str, Any]) -> Table:
    """The same of validation losses."""
    found = metrics["validation"]
    texts = {
        variant: {
            (source, length): (
                formats.loss(ways["validation"][source][length]),
                formats.loss(found[variant][source][length]),
                found[variant][source][length]["yarn_factor"],
            )
            for source, lengths in ways["validation"].items()
            for length in sorted(lengths, key=int)
        }
        for variant, ways in metrics["plain"].items()
    }
    return _both_ways("Validation loss in nats per token", "text", texts)


def _both_ways(
    what: str, first: str, texts: dict[str, dict[tuple[str, str], tuple[str, str, float]]]
) -> Table:
    groups = [
        Group(
            name,
            [
                Row(
                    f"{length}, {label(variant)}",
                    [Cell(plain), Cell(extended), Cell(f"{factor:g}")],
                )
                for variant, cells in texts.items()
                for (group, length), (plain, extended, factor) in cells.items()
                if group == name
            ],
        )
        for name in dict.fromkeys(key[0] for cells in texts.values() for key in cells)
    ]
    return Table(
        f"{what} at lengths beyond the trained one that the base's own window holds: read without "
        "YaRN, and extended.",
        [first, "length, variant", "plain", "extended", "YaRN"],
        groups,
    )


def training(metrics: dict[str, Any]) -> Table:
    """First and last point of each loss curve."""
    rows = [
        (
            label(variant),
            (
                f"{found['steps']:,}",
                f"{found['tokens']:,}",
                number(found["first_loss"], 3),
                formats.plus_minus(found["last_loss"], found["spread"], 3),
            ),
        )
        for variant, found in metrics["training"].items()
    ]
    return plain(
        "Training loss, first and last point of the curve (± spread between seeds, if several).",
        ["variant", "steps", "tokens", "first", "last"],
        rows,
    )


def heads(metrics: dict[str, Any]) -> Table:
    """Range and deviation of learned positions per layer."""
    groups = []
    for variant, probes in metrics["positions"].items():
        for probe, layers in probes.items():
            rows = []
            for layer, found in sorted(layers.items(), key=lambda entry: int(entry[0])):
                keys = ("range_mean", "range_max", "std_mean")
                texts = [f"{found['tokens']}", *(number(found[key], 3) for key in keys)]
                rows.append(Row(layer, [Cell(text) for text in texts]))
            groups.append(Group(f"{label(variant)}, {probe}", rows))
    return Table(
        "Learned positions z per layer: highest minus lowest (mean and greatest over heads) and "
        "standard deviation over the tokens (mean over heads).",
        ["input", "layer", "tokens", "range, mean", "range, greatest", "std, mean"],
        groups,
    )
