"""Standard streams that are closed, full or not listened to any more."""

import errno
import os
import sys
from typing import Any, cast

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""Numbers of what a file on a disk answers that takes no more."""


def open_closed() -> None:
    """Put the null device where a standard stream is closed (``>&-``).

    The next file that is opened would take its number, and what a child says would end up in it.
    """
    while (free := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(free, True)
    os.close(free)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 - as long as the process lives


class _Unheard:
    """A stream whose output goes nowhere from the first error of given numbers on."""

    def __init__(self, stream: Any, numbers: tuple[int, ...]) -> None:
        self._stream: Any = stream
        self._numbers = set(numbers)
        if isinstance(stream, _Unheard):  # asked for before: a sweep asks once for each of its runs
            self._stream = stream._stream
            self._numbers |= stream._numbers

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        try:
            self._stream.write(text)
        except OSError as error:
            self._give_up(error)
        return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        if error.errno not in self._numbers:
            raise error
        _silence(self._stream)


def go_on_unheard(*numbers: int) -> None:
    """Let errors of these numbers end nobody: children, too, write to the null device from then on."""
    sys.stdout = cast(Any, _Unheard(sys.stdout, numbers))
    sys.stderr = cast(Any, _Unheard(sys.stderr, numbers))


def _silence(stream: Any) -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)


def give_up_unwritable() -> None:
    """Drop what the output cannot take: Python would try again at its end and show a trace."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            _silence(stream)
