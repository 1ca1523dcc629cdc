"""A plan with its estimate as a table for people, and the reasons behind its figures."""

from collections.abc import Iterator

from pipeline.estimate.estimate import Estimate, Row
from pipeline.estimate.grid import (
    BYTES,
    COUNTS,
    EACH,
    FLOPS,
    Column,
    Range,
    aligned,
    hours,
    in_unit,
)
from pipeline.estimate.machines import NETWORK_BYTES_PER_S
from stages.training.planned import Data


def table(found: Estimate) -> str:
    """Aligned columns, what would run in all, then machine, reasons and what does not fit.

    Seeds of a variant that take the same stand in one line, whose figures are those of each.
    """
    groups = list(_groups(found))
    costs = [group[0].cost for group in groups]
    sums = found.totals()
    memory = [cost.memory.total if cost.memory else None for cost in costs]
    money = [group[0].money for group in groups]
    device = "GPU" if found.machine.gpus else "worker"
    starts = [_start(found, group) for group in groups]
    whole = (sums["hours_low"], sums["hours"], sums["hours_high"])
    columns = [
        ("stage", [_name(group) for group in groups], "total"),
        ("does", [_does(group) for group in groups], f"{sums['run']} run"),
        hours("starts, {unit}", starts),
        hours("takes, {unit}", [group[0].hours for group in groups], whole),
        in_unit("tokens, {unit}", COUNTS, [cost.tokens for cost in costs]),
        in_unit("steps", EACH, [cost.steps for cost in costs], sums["steps"], places=0),
        in_unit("{unit}", FLOPS, [cost.flops for cost in costs], sums["flops"]),
        in_unit("params, {unit}", COUNTS, [cost.parameters for cost in costs]),
        in_unit(f"{{unit}}/{device}", BYTES, memory),
        in_unit("cost", EACH, money, sums["cost"], places=2),
        in_unit("disk, {unit}", BYTES, [cost.disk_bytes for cost in costs], sums["disk_bytes"]),
        ("why", [group[0].why for group in groups], ""),
    ]
    lines = aligned([column for column in columns if any(column[1])], ("stage", "does", "why"))
    data = [*_data(found.data), ""] if found.data and found.data.there else []
    return "\n".join([*lines, "", *data, *_reasons(found)])


def _groups(found: Estimate) -> Iterator[list[Row]]:
    """Rows that differ in their seed alone, together."""
    groups: dict[object, list[Row]] = {}
    for row in found.rows:
        variant, _, seed = row.name.rpartition("-")
        stem = variant if "@" in variant and seed.isdecimal() else row.name
        same = (stem, row.action, row.why, str(row.cost), row.hours, row.money)
        groups.setdefault(same, []).append(row)
    yield from groups.values()


def _name(group: list[Row]) -> str:
    """``train@repo-{42,43}``, as a shell expands it."""
    if len(group) == 1:
        return group[0].name
    seeds = ",".join(row.name.rpartition("-")[2] for row in group)
    return f"{group[0].name.rpartition('-')[0]}-{{{seeds}}}"


def _does(group: list[Row]) -> str:
    return group[0].action + (f" x {len(group)}" if len(group) > 1 else "")


def _start(found: Estimate, group: list[Row]) -> Range | None:
    """Hours from now until the first of them starts."""
    times = [found.times[row.name][0] for row in group if row.name in found.times]
    return (min(times),) * 3 if times else None


def _data(found: Data) -> list[str]:
    """A line for each source: its tokens, and by training what is taken, its share and the passes."""
    exact = [f"{'' if name in found.exact else '~'}" for name in found.there]
    places = 3 if any((size or 0) >= 1e9 for size in found.there.values()) else 1
    head, sizes, _ = in_unit(
        "tokens there, {unit}", COUNTS, list(found.there.values()), places=places
    )
    there = [mark + size if size else "?" for mark, size in zip(exact, sizes, strict=True)]
    columns: list[Column] = [("source", list(found.there), ""), (head, there, "")]
    for field, by_source in found.trainings.items():
        parts = [by_source.get(name) for name in found.there]
        none = "" if by_source else "?"
        tokens = [part.tokens if part else None for part in parts]
        taken = in_unit(f"{field} takes, {{unit}}", COUNTS, tokens, places=places)
        columns += [
            (taken[0], [cell or none for cell in taken[1]], ""),
            ("share", [f"{p.share:.1%}" if p else none for p in parts], ""),
            ("passes", [_passes(p.passes) if p else none for p in parts], ""),
        ]
    return aligned(columns, ("source",))[:-1]


def _passes(passes: float | None) -> str:
    return "?" if passes is None else f"{passes:.2f}"


def _reasons(found: Estimate) -> Iterator[str]:
    on = found.machine
    yield f"machine: {on.describe()}" + (
        f"; {on.price:g} per {'GPU-hour' if on.gpus else 'hour'}" if on.price is not None else ""
    )
    for speed in dict.fromkeys(row.speed for row in found.rows if row.speed and row.runs):
        yield (
            f"{speed.group}: {speed.flops / 1e9:,.0f} GFLOP/s a core, as this machine came to at "
            f"{speed.stage} on {speed.when[:10]}"
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
        a_gpu = f"{low:.1f} K" if on.measured else f"{low:.1f} to {high:.1f} K"
        yield (
            f"why: {row.name} takes {each / 1e9:.2f} GFLOP a token (forward and backward, causal "
            f"attention), so {a_gpu} tok/s/GPU: {_hours(row.hours)} hours for "
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
    tight = [group for group in _groups(found) if group[0].fits is False]
    for group in tight:
        yield (
            f"{_name(group)}: does not fit into {(on.memory_bytes or 0) / 1e9:.0f} GB with a tenth to "
            f"spare; {group[0].remedy}"
        )
    yield from _unknown(found)
    yield from found.positions
    for text in found.notes:
        yield f"to fit what was set: {text}"
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
    """When there is something to see."""
    end = max((end for _, end in found.times.values()), default=0.0)
    if found.first_score:
        name, first = found.first_score
        yield f"first score after {_clock(first)} ({name}), all after {_clock(end)}"


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
