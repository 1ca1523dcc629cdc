"""Our figures in the paper's tables, row under row."""

from typing import Any

from stages.report.formats import NONE, label, number, plus_minus
from stages.report.paper import (
    ATTENTION_MASS,
    HYBRIDQA,
    PATTERNS,
    TABLE_1,
    TABLE_3,
    TABLE_5,
    PaperTable,
)
from stages.report.tables import Cell, Group, Row, Table


def paper_tables(metrics: dict[str, Any]) -> list[Table]:
    """Tables 1, 3 and 5, and HybridQA's where it was run; ours at the greatest length in 3.

    The others are at the trained length, the greatest measured one that is not beyond it.
    """
    lengths = metrics["lengths"]
    trained = min((found["length"] for found in metrics["readings"].values()), default=lengths[0])
    short = max((length for length in lengths if length <= trained), default=min(lengths))
    tables = [
        _beside(TABLE_1, metrics, "ruler", short),
        _beside(TABLE_3, metrics, "longbench", max(lengths)),
        _beside(TABLE_5, metrics, "general", short),
    ]
    if any("hybridqa" in suites for suites in metrics["scores"].values()):
        tables.append(_beside(HYBRIDQA, metrics, "hybridqa", short))
    return tables


def attention(metrics: dict[str, Any]) -> Table:
    """Attention mass of ours and of the paper, in its unit of 10^-2 per token."""
    spans = ("needle", "query", "rest")
    ours = [
        Row(
            label(variant),
            [
                *(Cell(plus_minus(100 * m[span], 100 * m["stderr"][span], 3)) for span in spans),
                Cell(number(100 * m["uniform"], 3)),
            ],
        )
        for variant, m in metrics["attention_mass"].items()
    ]
    paper = [
        Row(label(name), [*(Cell(number(100 * m[span], 3)) for span in spans), Cell(NONE)])
        for name, m in ATTENTION_MASS.items()
    ]
    return Table(
        "Mean attention per token, in 10⁻², from the tokens that choose the answer, over heads and "
        "layers. Even: what each token would get from attention spread evenly, 1 over the context; "
        "the paper's contexts are far longer than a small model's.",
        ["model", "variant", "needle", "query", "rest", "even"],
        [Group("this run", ours), Group("paper, 1B, 4K", paper)],
    )


def patterns(metrics: dict[str, Any]) -> Table:
    """Pattern shares of ours and of the paper, percent."""
    names = tuple(PATTERNS)
    rows = [
        Row(
            f"{label(variant)}, this run",
            [*(Cell(number(100 * p[name], 1)) for name in names), Cell(f"{p['chunks']}")],
        )
        for variant, p in metrics["patterns"].items()
    ]
    paper = [*(Cell(number(100 * PATTERNS[name], 1)) for name in names), Cell(NONE)]
    rows.append(Row("RePo, paper (1B, RULER)", paper))
    return Table(
        "Share of chunks in percent whose positions are strictly monotone, constant or neither.",
        ["model", *names, "chunks"],
        [Group("", rows)],
    )


def _beside(table: PaperTable, metrics: dict[str, Any], suite: str, length: int) -> Table:
    paper = [
        Row(name, [Cell(f"{value:.{_digits(table)}f}") for value in values])
        for name, values in table.rows.items()
    ]
    groups = [Group("paper", paper)]
    ours = []
    for variant, suites in metrics["scores"].items():
        tasks = suites.get(suite, {})
        found = [tasks.get(task, {}).get(str(length)) if task else None for task in table.ours]
        if any(found):
            texts = [number(cell["score"], 1) if cell else NONE for cell in found]
            ours.append(Row(f"{label(variant)}", [Cell(text) for text in texts]))
    if ours:
        groups.append(Group(f"this run, {length} tokens", ours))
    return Table(table.title, ["from", "model", *table.columns], groups)


def _digits(table: PaperTable) -> int:
    """Table 1 is printed with one digit, the others with two."""
    return 1 if table is TABLE_1 else 2
