"""The report: names that tell the variants apart."""

from collections.abc import Iterator

from stages.common.findings import Finding, refuse
from stages.common.seen import Seen
from stages.report.paper import LABELS

LONGEST = 64
"""Letters of a profile's name: more is no name but a text."""


def check(seen: Seen) -> Iterator[Finding]:
    """Findings of ``report``."""
    name = seen.params.profile
    if not (name.strip() and name.isprintable() and len(name) <= LONGEST):
        yield refuse(
            "profile",
            name,
            "no name that a page can show",
            f"give a word, {LONGEST} letters at most",
        )
    labels = {name: seen.params.definitions[name].report.label for name in seen.params.variants}
    given = {"base": "the base model"}
    given |= {
        LABELS.get(name, name).casefold(): name for name, label in labels.items() if label is None
    }
    for name, label in labels.items():
        if label is None:
            continue
        field, shown = f"definitions.{name}.report.label", label.strip()
        if not shown:
            yield refuse(field, label, "nothing to see", "write a word, or leave it out")
        elif not label.isprintable():
            yield refuse(field, label, "some of it cannot be seen", "write letters alone")
        elif shown.casefold() in given:
            yield refuse(field, label, f"{given[shown.casefold()]} has the same", "give another")
        given.setdefault(shown.casefold(), name)
