"""``python -m pipeline.leash COMMAND...``: become a command that ends when its parent does.

Linux ends a process with its parent if the process asks for it (``PR_SET_PDEATHSIG``, prctl(2), kept
over exec), even when the parent was killed with -9; elsewhere the command just runs.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Ask for it and become the command."""
    parent = os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it died before the question
            sys.exit(0)
    os.execv(sys.argv[1], sys.argv[1:])


if __name__ == "__main__":
    main()
