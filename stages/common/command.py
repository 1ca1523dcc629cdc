"""How a command that is not a stage ends: as a stage does, by exit code and one line on stderr."""

import argparse
import os
import signal
import sys
import traceback
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

from stages.common.errors import DONE, FAILED, TRY_AGAIN, USER_MISTAKE, TryAgain, UserError


class Parser(argparse.ArgumentParser):
    """A parser whose mistakes are one line, without the usage before it."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and exit with the code of the user's mistakes."""
        line = message.replace("\n", " ")
        sys.exit(_say(USER_MISTAKE, f"{line}; see {self.prog} --help"))


def ended(work: Callable[[], None]) -> NoReturn:
    """Do ``work`` and exit: 0, 2 for the user's mistake, 75 for "run again", 1 for a failure."""
    signal.signal(signal.SIGTERM, _stop)
    sys.exit(_code(work))


def _code(work: Callable[[], None]) -> int:
    try:
        work()
    except UserError as error:
        return _say(USER_MISTAKE, str(error))
    except (TryAgain, KeyboardInterrupt) as error:
        return _say(TRY_AGAIN, str(error) or "interrupted; run again to go on from here")
    except BrokenPipeError:
        # Whoever read our output has closed it; nothing may be flushed there at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except OSError as error:
        return _say(FAILED, f"{error.strerror or error}: {error.filename or 'unnamed file'}")
    except Exception as error:
        if os.environ.get("REPO_DEBUG"):
            traceback.print_exc()
        return _say(FAILED, f"{type(error).__name__}: {str(error).strip() or 'no message'}")
    return DONE


def _say(code: int, line: str) -> int:
    print(f"repo-pipeline: {line}", file=sys.stderr, flush=True)
    return code


def _stop(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise TryAgain("stopped by SIGTERM; run again to go on from here")
