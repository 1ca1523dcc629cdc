"""Standard streams that are closed, full or not listened to any more."""

import os
import sys


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


def give_up_unwritable() -> None:
    """Drop what the output cannot take: Python would try again at its end and show a trace."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, stream.fileno())
            os.close(null)
