"""A plan with its estimate as a table for people, and the reasons behind its figures."""

from collections.abc import Iterator, Sequence

from pipeline.estimate.estimate import Estimate, Row
from pipeline.estimate.machines import NETWORK_BYTES_PER_S
from stages.training.planned import Data

_HEAD = ("stage", "does", "tokens", "steps", "FLOPs", "params", "GB/GPU", "hours", "cost", "disk")

_HEAD_ON_CPU = tuple("GB/worker" if name == "GB/GPU" else name for name in _HEAD)


def table(found: Estimate) -> str:
    """Aligned columns, a line of totals, then machine, reasons and what does not fit."""
    head = _HEAD if found.machine.gpus else _HEAD_ON_CPU
    lines = _aligned([head, *(_cells(row) for row in found.rows), _totals(found)], names=2)
    lines[1:-1] = [f"{line}  {row.why}" for line, row in zip(lines[1:-1], found.rows, strict=True)]
    data = [*_data(found.data), ""] if found.data and found.data.there else []
    return "\n".join([*(line.rstrip() for line in lines), "", *data, *_reasons(found)])


def _aligned(rows: Sequence[Sequence[str]], names: int) -> list[str]:
    """Rows as lines; the first ``names`` columns begin at the left, the others end at the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if column < names else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]


def _data(found: Data) -> Iterator[str]:
    """A line for each source: its tokens, and by training what is taken, its share and the passes."""
    head = ["source", "tokens there"]
    for field in found.trainings:
        head += [f"{field} takes", "share", "passes"]
    rows = [head]
    for name, there in found.there.items():
        size = f"{'' if name in found.exact else '~'}{_count(there)}" if there else "?"
        row = [name, size]
        for parts in found.trainings.values():
            part = parts.get(name)
            if part is None:
                row += ["", "", ""] if parts else ["?", "?", "?"]
            else:
                passes = "?" if part.passes is None else f"{part.passes:.2f}"
                row += [_count(part.tokens), f"{part.share:.1%}", passes]
        rows.append(row)
    yield from (line.rstrip() for line in _aligned(rows, names=1))


def _cells(row: Row) -> tuple[str, ...]:
    cost = row.cost
    return (
        row.name,
        row.action,
        _count(cost.tokens),
        f"{cost.steps:,}" if cost.steps else "",
        f"{cost.flops:.3g}" if cost.flops else "",
        _count(cost.parameters),
        f"{cost.memory.total / 1e9:.3g}" if cost.memory else "",
        _hours(row.hours),
        "" if row.money is None else f"{row.money:,.2f}",
        _bytes(cost.disk_bytes),
    )


def _totals(found: Estimate) -> tuple[str, ...]:
    sums = found.totals()
    hours = (sums["hours_low"], sums["hours"], sums["hours_high"])
    return (
        "total",
        f"{sums['run']} run",
        _count(sums["tokens"]),
        f"{sums['steps']:,}",
        f"{sums['flops']:.3g}",
        "",
        "",
        _hours(hours),
        "" if sums["cost"] is None else f"{sums['cost']:,.2f}",
        _bytes(sums["disk_bytes"]),
    )


def _reasons(found: Estimate) -> Iterator[str]:
    on = found.machine
    yield f"machine: {on.describe()}" + (
        f"; {on.price:g} per {'GPU-hour' if on.gpus else 'hour'}" if on.price is not None else ""
    )
    sums = found.totals()
    if sums["fetch_bytes"]:
        wanted, each_s = sums["fetch_bytes"], NETWORK_BYTES_PER_S
        counted = found.data and all(n in found.data.exact for n in found.data.there)
        yield (
            f"to fetch: {_bytes(wanted)}{'' if counted else ' (from rounded counts)'}, "
            f"{wanted / each_s / 3600:.1f} h at {each_s / 1e6:.0f} MB/s (assumed)"
        )
        yield f"disk at its peak: {_bytes(sums['disk_bytes'])}, the fetched files and checkpoints in it"
    trained = [row for row in found.rows if row.cost.memory and row.cost.tokens and row.cost.flops]
    if on.gpus and trained:
        row = trained[-1]
        cost, memory = row.cost, row.cost.memory
        assert cost.flops and cost.tokens and memory
        each = cost.flops / cost.tokens
        low, high = (on.flops * mfu / each / 1e3 for mfu in on.mfu)
        speed = f"{low:.1f} K" if on.measured else f"{low:.1f} to {high:.1f} K"
        yield (
            f"why: {row.name} takes {each / 1e9:.2f} GFLOP a token (forward and backward, causal "
            f"attention), so {speed} tok/s/GPU: {_hours(row.hours)} hours for "
            f"{_count(cost.tokens)} tokens"
        )
        parts = ", ".join(f"{name} {size / 1e9:.1f}" for name, size in vars(memory).items())
        yield (
            f"memory per GPU, GB: {parts} (ZeRO {found.layout.zero_stage}, "
            f"{found.layout.micro_batch_tokens:,} tokens a pass"
            + (", recomputed)" if found.layout.gradient_checkpointing else ")")
        )
        if not on.measured:
            yield (
                "MFU is assumed: 35.6 % is AI2's own OLMo-2 1B run end to end, 50 % what good loops "
                "reach; --mfu says what was measured"
            )
    for row in found.rows:
        if row.fits is False:
            yield (
                f"{row.name}: does not fit into {(on.memory_bytes or 0) / 1e9:.0f} GB with a tenth to "
                "spare; lower REPO_MICRO_BATCH_TOKENS, set REPO_GRADIENT_CHECKPOINTING=1 or raise "
                "REPO_ZERO"
            )
    yield from _unknown(found)
    yield from found.positions
    for text in found.notes:
        yield f"to fit the base model: {text}"
    yield from _order(found)
    for one in found.warnings:
        yield f"warning: {one.line}"
    if not on.gpus:
        yield "other machines: --gpu h200 --gpus 8 --price 3, or --cluster FILE"


def _unknown(found: Estimate) -> Iterator[str]:
    """What the totals lack, by reason: a sum that is silent about it would look like all of it."""
    reasons: dict[str, list[str]] = {}
    for row in found.rows:
        if row.runs and row.cost.note:
            reasons.setdefault(row.cost.note, []).append(row.name)
    for reason, names in reasons.items():
        shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        yield f"not in the totals: {shown}: {reason}"


def _order(found: Estimate) -> Iterator[str]:
    """What runs when, those that begin together in one step, and when there is something to see."""
    steps: dict[float, list[str]] = {}
    for name, (start, _) in found.times.items():
        steps.setdefault(start, []).append(name)
    if not steps:
        return
    yield "order: " + "; ".join(
        f"at {_clock(start)} {', '.join(names)}" for start, names in sorted(steps.items())
    )
    end = max(end for _, end in found.times.values())
    if found.first_score:
        name, hours = found.first_score
        yield f"first score after {_clock(hours)} ({name}), all after {_clock(end)}"


def _clock(hours: float) -> str:
    return f"{hours:.1f} h" if hours >= 1 else f"{hours * 60:.1f} min"


def _count(value: float | None) -> str:
    if not value:
        return ""
    for size, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "K")):
        if value >= size:
            return f"{value / size:.4g} {letter}"
    return f"{value:.0f}"


def _bytes(value: float | None) -> str:
    if not value:
        return ""
    for size, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB")):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value / 1e3:.0f} KB"


def _hours(hours: tuple[float, float, float] | None) -> str:
    if hours is None:
        return ""
    least, middle, most = hours
    if most < 0.1:
        return f"{middle * 60:.1f} min"
    return f"{middle:.1f}" if most - least < 0.05 else f"{least:.1f}-{most:.1f}"
