"""How a stage tells its caller the way it ended.

DVC turns every exit code of a stage into 255 (seen in DVC 3.67), so the code and the last line go
to the file that ``$REPO_STATUS_FILE`` names, when a caller asks for it.
"""

import os
import signal
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import NamedTuple

from stages.common import memory_out
from stages.common.errors import (
    DONE,
    FAILED,
    TRY_AGAIN,
    USER_MISTAKE,
    Mistakes,
    TryAgain,
    UserError,
    one_line,
)
from stages.common.files import read_json, write_json

VARIABLE = "REPO_STATUS_FILE"


class Status(NamedTuple):
    """An exit code of ``stages.common.errors`` and one line for a person."""

    code: int
    line: str


def ended(work: Callable[[], None], trace: bool) -> Status:
    """Do ``work`` and say how it ended; ``trace``: a failure's trace goes to stderr first."""
    try:
        work()
    except UserError as error:
        lines = error.args if isinstance(error, Mistakes) else [str(error)]
        return Status(USER_MISTAKE, "; ".join(map(one_line, lines)))
    except (TryAgain, KeyboardInterrupt) as error:
        return Status(TRY_AGAIN, str(error) or "interrupted; run again to go on from here")
    except Exception as error:
        if trace:
            traceback.print_exc()
        if isinstance(error, OSError):
            named = f"{error.strerror or error}: {error.filename or 'unnamed file'}"
            return Status(FAILED, named)
        if memory := memory_out.told(error):
            return Status(TRY_AGAIN, memory)
        first, *more = str(error).strip().splitlines() or ["no message"]
        rest = f" (and {len(more)} lines more)" if more else ""
        return Status(FAILED, f"{type(error).__name__}: {first}{rest}")
    return Status(DONE, "done")


def stop_at_sigterm() -> None:
    """SIGTERM ends this process as ``TryAgain``, once; another one while it ends is ignored."""

    def stop(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise TryAgain("stopped by SIGTERM; run again to go on from here")

    signal.signal(signal.SIGTERM, stop)


def report(status: Status) -> None:
    """Write the status where the caller asked for it; nothing when nobody asked."""
    target = os.environ.get(VARIABLE)
    if target:
        write_json(Path(target), status._asdict())


def read(path: Path) -> Status | None:
    """The status that a stage left, or none when it was killed before it could."""
    return Status(**read_json(path)) if path.is_file() else None
