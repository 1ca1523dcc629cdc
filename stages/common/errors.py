"""How a stage may end other than well, and the exit codes that say so.

DVC turns every exit code of a stage into 255, so the code also goes to ``$REPO_STATUS_FILE``
(``stages.common.status``).
"""

import unicodedata

DONE, FAILED, USER_MISTAKE, TRY_AGAIN = 0, 1, 2, 75


class UserError(Exception):
    """What the user did wrong, in one line: the field, the value and the fix. Exit code 2."""


class Mistakes(UserError):
    """Several of them; as text a line each."""

    def __init__(self, *lines: str) -> None:
        super().__init__(*lines)

    def __str__(self) -> str:
        return "\n".join(self.args)


class DoesNotFit(UserError):
    """A task that has no sample at a length: it can be left out, and the others measured."""

    def __init__(self, line: str, task: str, length: int) -> None:
        super().__init__(line, task, length)  # all of it, or it could not be sent between processes
        self.task, self.length = task, length

    def __str__(self) -> str:
        return str(self.args[0])


class TryAgain(Exception):
    """Nothing is wrong that a second attempt could not pass. Exit code 75 (EX_TEMPFAIL)."""

    code = TRY_AGAIN


def one_line(text: str) -> str:
    """The text on one line, in UTF-8: names of files may hold newlines and bytes of any encoding."""
    plain = text.encode("utf-8", "backslashreplace").decode()
    return "".join(c if _is_shown(c) else c.encode("unicode_escape").decode() for c in plain)


def _is_shown(letter: str) -> bool:
    return letter.isprintable() or unicodedata.category(letter) == "Zs"  # a space of any width
