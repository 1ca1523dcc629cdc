"""Text from outside on a terminal: a model's answer or a job's log may hold what commands it."""

import re

_COMMANDS = re.compile(r"(\x1b\[[0-9;]*m)|[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def printable(text: str) -> str:
    """``text`` with control characters shown as such; line ends, tabs and colours stay."""
    return _COMMANDS.sub(lambda found: found[1] or repr(found[0])[1:-1], text)
