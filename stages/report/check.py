"""The report: names that tell the variants apart."""

from collections.abc import Iterator

from stages.common.findings import Finding, refuse
from stages.common.seen import Seen


def check(seen: Seen) -> Iterator[Finding]:
    """Findings of ``report``."""
    given: dict[str, str] = {}
    for name in seen.params.variants:
        label = seen.params.definitions[name].report.label
        if label is None:
            continue
        field, shown = f"definitions.{name}.report.label", label.strip()
        if not shown:
            yield refuse(field, label, "nothing to see", "write a word, or leave it out")
        elif shown in given:
            yield refuse(field, label, f"{given[shown]} has the same", "give another")
        given.setdefault(shown, name)
