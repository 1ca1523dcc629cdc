"""Where the records of an evaluation lie under its out ``samples``."""

from pathlib import Path
from typing import Any

from stages.common.files import read_jsonl

WINDOWS, PLAIN = "windows", "plain"
"""Folders: of validation windows, and of what was read without YaRN beyond the trained length."""


def window_records(samples: Path) -> list[dict[str, Any]]:
    """The records of all validation windows."""
    return [row for file in sorted((samples / WINDOWS).glob("*.jsonl")) for row in read_jsonl(file)]
