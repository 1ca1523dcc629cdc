"""The report's tables as data: every number in them is one of ``report/metrics.json``."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from stages.evaluate.comparison import EFFECTIVE
from stages.report import formats
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


_RULER_TASKS = 13
ABOVE = ("▲", "above its shortcut")
BEYOND = ("●", "beyond noise")
BELOW = ("▼", "below the base model")


def plain(caption: str, columns: Sequence[str], rows: Iterable[tuple[str, Sequence[str]]]) -> Table:
    """A table without groups or marks."""
    body = [Row(name, [Cell(text) for text in texts]) for name, texts in rows]
    return Table(caption, columns, [Group("", body)])


def scores(metrics: dict[str, Any]) -> Table:
    """Task by length: shortcut, every variant, and RePo minus RoPE."""
    variants, compared = list(metrics["scores"]), metrics["difference"]
    first = metrics["scores"][variants[0]]
    groups = []
    for suite in formats.suites(first):
        for task, lengths in first[suite].items():
            rows = []
            for length in sorted(lengths, key=int):
                cells = [Cell(number(lengths[length]["shortcut"], 1))]
                for variant in variants:
                    found = metrics["scores"][variant][suite][task][length]
                    mark = ABOVE if found["above_shortcut"] else ()
                    cells.append(Cell(formats.score(found), *mark))
                if compared:
                    found = compared[suite][task][length]
                    text = formats.signed(found["value"], found["noise"], 1)
                    cells.append(Cell(text, *(BEYOND if found["beyond_noise"] else ())))
                rows.append(Row(length, cells))
            groups.append(Group(formats.task_name(suite, task), rows))
    columns = ["task", "length", "shortcut", *map(label, variants)]
    return Table(
        "Score in percent ± standard error, per task (RULER's, where no suite is named) and length "
        "in tokens. ▲ above its shortcut, ● a difference beyond two standard errors.",
        [*columns, "RePo − RoPE"] if compared else columns,
        groups,
    )


def suites(metrics: dict[str, Any]) -> Table:
    """Every variant's mean over tasks at each length, and what the lengths come to."""
    found = metrics["suites"]
    by_length = [cells["mean"] for suites in found.values() for cells in suites.values()]
    lengths = sorted({length for means in by_length for length in means}, key=int)
    groups = []
    for suite in formats.suites(next(iter(found.values()))):
        rows = []
        for variant, suites in found.items():
            figures = suites[suite]
            means = [figures["mean"].get(length) for length in lengths]
            texts = [NONE if mean is None else formats.score(mean) for mean in means]
            longest = max(figures["mean"], key=int, default=None)
            texts += [
                number(figures.get("wavg_inc"), 1),
                number(figures.get("wavg_dec"), 1),
                NONE if longest is None else number(figures["retention"][longest], 2),
                _effective(suite, figures),
            ]
            rows.append(Row(label(variant), [Cell(text) for text in texts]))
        groups.append(Group(suite, rows))
    return Table(
        "Mean over a suite's tasks ± standard error by length; means weighted linearly, the longest "
        "length most (inc) and least (dec); the longest length's share of the shortest's score; "
        f"RULER's effective length, the longest whose mean over all 13 tasks passes {EFFECTIVE}.",
        ["suite", "variant", *lengths, "inc", "dec", "retention", "effective"],
        groups,
    )


def _effective(suite: str, figures: dict[str, Any]) -> str:
    """RULER's effective length; it is defined over all 13 tasks."""
    counts = {mean["tasks"] for mean in figures["mean"].values()}
    if suite != "ruler" or counts != {_RULER_TASKS}:
        return NONE
    return f"{figures['effective_length'] or 'none'}"


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
            unextended = lengths[length]["below_base"] is not None
            base = metrics["base_validation"].get(source) if unextended else None
            row = [Cell(number(base, 3))]
            for variant in variants:
                found = metrics["validation"][variant][source][length]
                row.append(Cell(formats.loss(found), *(BELOW if found["below_base"] else ())))
            rows.append(Row(length, row))
        groups.append(Group(source, rows))
    return Table(
        "Validation loss in nats per token ± standard error. ▼ below the base model, which was "
        "measured at the trained length only.",
        ["text", "length", "base", *map(label, variants)],
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
