"""Columns of figures for people: one unit a column, named in its head."""

from collections.abc import Sequence

Units = Sequence[tuple[float, str]]
Column = tuple[str, list[str], str]
"""Head, cells and what stands below them."""
Range = tuple[float, float, float]
COUNTS: Units = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "K"), (1.0, ""))
BYTES: Units = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "KB"))
FLOPS: Units = ((1e18, "EFLOP"), (1e15, "PFLOP"), (1e12, "TFLOP"), (1e9, "GFLOP"))
EACH: Units = ((1.0, ""),)
HOURS: Units = ((1.0, "h"), (1 / 60, "min"))
MINUTES_BELOW_H = 2.0


def in_unit(
    head: str,
    units: Units,
    values: Sequence[float | None],
    total: float | None = None,
    places: int = 1,
) -> Column:
    """Values in the largest unit that the largest of them fills; ``head`` may hold ``{unit}``."""
    size, name = _unit(units, max(value or 0.0 for value in (*values, total)))
    cells = [_number(value, size, places) for value in values]
    return head.format(unit=name).rstrip(", "), cells, _number(total, size, places)


def hours(head: str, ranges: Sequence[Range | None], total: Range | None = None) -> Column:
    """Least to most where they differ, in minutes where all are short."""
    most = max((one[2] for one in (*ranges, total) if one), default=0.0)
    size, name = HOURS[0] if most >= MINUTES_BELOW_H else HOURS[1]

    def cell(one: Range | None) -> str:
        if one is None:
            return ""
        least, middle, most = (value / size for value in one)
        return (
            f"{least:,.1f}-{most:,.1f}"
            if most - least >= 0.05
            else _number(middle, 1.0, 1) or "0.0"
        )

    return head.format(unit=name), [cell(one) for one in ranges], cell(total)


def aligned(columns: Sequence[Column], left: Sequence[str]) -> list[str]:
    """Lines of the columns; those whose head is in ``left`` begin at the left, others end right."""
    widths = [max(map(len, (head, *cells, below))) for head, cells, below in columns]
    rows = zip(*([head, *cells, below] for head, cells, below in columns), strict=True)
    sides = [str.ljust if head in left else str.rjust for head, _, _ in columns]
    return [
        "  ".join(
            side(cell, width) for side, cell, width in zip(sides, row, widths, strict=True)
        ).rstrip()
        for row in rows
    ]


def _unit(units: Units, largest: float) -> tuple[float, str]:
    return next((unit for unit in units if largest >= unit[0]), units[-1])


def _number(value: float | None, size: float, places: int) -> str:
    if not value:
        return ""
    least = 10**-places
    return f"{value / size:,.{places}f}" if value / size >= least / 2 else f"<{least:g}"
