"""How each length was read: sentences made from the records, never from the configuration."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from stages.report.formats import label, listing, suites

SCOPES = {
    "all": "on RoPE and RePo layers, as the official code does",
    "rope": "on RoPE layers only, as the paper words it",
}
KINDS = ("trained", "extended")
"""Of lengths: read as the model was trained; beyond that."""


def as_trained(reading: Mapping[str, Any], length: int) -> bool:
    """Whether a length was read without extension and is not beyond the trained one."""
    return bool(length <= reading["length"] and reading["factors"].get(str(length), 1.0) == 1.0)


def by_kind(reading: Mapping[str, Any], lengths: Iterable[int]) -> dict[str, list[int]]:
    """``{"trained": [...], "extended": [...]}``, rising; the longest of each speaks for its kind."""
    found: dict[str, list[int]] = {}
    for length in sorted(lengths):
        found.setdefault(KINDS[not as_trained(reading, length)], []).append(length)
    return found


def first_suite(names: Iterable[str]) -> str | None:
    """The suite whose mean speaks for all: the first of ``names`` in the page's order."""
    return next(iter(suites(set(names))), None)


def reading(results: Mapping[str, Any]) -> dict[str, Any]:
    """Of one evaluated model: its trained length and, by length, the YaRN factor it was read with."""
    cells = [lengths for tasks in results["cells"].values() for lengths in tasks.values()]
    cells += list(results["validation"].values())
    return {
        **results["trained"],
        "extension": results["extension"],
        "factors": {
            length: cell["yarn_factor"] or 1.0
            for lengths in cells
            for length, cell in lengths.items()
        },
    }


def sentences(metrics: Mapping[str, Any]) -> Iterator[str]:
    """At what length the models were trained, and how each length was read."""
    groups: list[tuple[list[str], dict[str, Any]]] = []
    for variant, found in metrics["readings"].items():
        same = next((names for names, other in groups if other == found), None)
        if same is None:
            groups.append(([label(variant)], found))
        else:
            same.append(label(variant))
    for names, found in groups:
        of = "" if len(groups) == 1 else f"{listing(names)}: "
        yield f"{of}{_trained(found)} and measured at {how(found)}."
    yield from _plain(metrics)
    base = metrics["base"]["reading"] if metrics.get("base") else None
    if base:
        known = "" if base["recorded"] else ", its window"
        yield (
            f"The base model was measured on the same samples and windows, at {how(base)}; its "
            f"trained length is taken to be {base['length']:,}{known}."
        )


def _trained(found: Mapping[str, Any]) -> str:
    if not found["recorded"]:
        return (
            f"Trained at {found['length']:,} tokens (the model's window: its folder records no "
            "trained length)"
        )
    text = f"Trained at {found['length']:,} tokens"
    if found["window"] != found["length"]:
        text += f" (the base's window is {found['window']:,})"
    return text


def how(found: Mapping[str, Any]) -> str:
    """``256 as trained, 512 with YaRN x2 and 1,024 with YaRN x4, ... without further training``."""
    parts: list[str] = []
    for length, factor in sorted(found["factors"].items(), key=lambda entry: int(entry[0])):
        way = "as trained" if factor == 1.0 else f"with YaRN x{factor:g}"
        parts.append(f"{int(length):,} {way}")
    text = listing(parts)
    if all(factor == 1.0 for factor in found["factors"].values()):
        return text
    steps = found["extension"]["steps"]
    tuned = f"after {steps:,} steps of training" if steps else "without further training"
    return f"{text} ({SCOPES[found['extension']['layers']]}, {tuned})"


def _plain(metrics: Mapping[str, Any]) -> Iterator[str]:
    lengths: dict[tuple[str, ...], list[str]] = {}
    for variant, ways in metrics["plain"].items():
        tables = [cells for tasks in ways["scores"].values() for cells in tasks.values()]
        both = {length for cells in (*tables, *ways["validation"].values()) for length in cells}
        lengths.setdefault(tuple(sorted(both, key=int)), []).append(label(variant))
    for found, names in lengths.items():
        yield (
            f"{listing(names)} read {listing(f'{int(length):,}' for length in found)} also without "
            "YaRN: these lengths are beyond the trained one, but inside the base's window. Both "
            "readings stand side by side; every other figure here is of the extended one."
        )
