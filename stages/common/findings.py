"""What a look at params, files and machines found: one type for all checks.

A check yields findings and raises nothing. ``refuse`` means that a stage would fail or that its
result would mean nothing: exit code 2 before anything is written. ``warn`` is said, and work goes on.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from stages.common.errors import UserError

Level = Literal["refuse", "warn"]


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or looks wrong, and what the user can do."""

    level: Level
    field: str
    """Of params.yaml or of a cluster file, the variable, or the option."""
    value: Any
    why: str
    fix: str
    whole: str | None = None
    """The line, where somebody else has worded it."""

    @property
    def line(self) -> str:
        """The finding in one line."""
        text = self.whole or f"{self.field} is {_short(self.value)}: {self.why}; {self.fix}"
        return " ".join(text.split())


def refuse(field: str, value: Any, why: str, fix: str) -> Finding:
    """A finding that ends the command."""
    return Finding("refuse", field, value, why, fix)


def warn(field: str, value: Any, why: str, fix: str) -> Finding:
    """A finding that is said."""
    return Finding("warn", field, value, why, fix)


def told(line: str) -> Finding:
    """A finding of a refusal that is worded already: ``FIELD is VALUE, WHY; FIX``."""
    field, _, rest = line.partition(" ")
    why, _, fix = rest.partition("; ")
    return Finding("refuse", field, None, why, fix, whole=line)


def stop(findings: Iterable[Finding]) -> list[Finding]:
    """The warnings; raises ``UserError`` with one line for each refusal, the same line once."""
    found = _once(findings)
    refused = [one.line for one in found if one.level == "refuse"]
    if refused:
        raise UserError("\n".join(refused))
    return found


def _once(findings: Iterable[Finding]) -> list[Finding]:
    return list({one.line: one for one in findings}.values())


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:117]}..."
