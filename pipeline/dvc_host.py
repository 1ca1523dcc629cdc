"""``python -m pipeline.dvc_host FD``: DVC imported once, a fork of this process for each command.

A start of DVC costs 0.4 CPU seconds, 0.3 of them imports, and a run needs one for each stage.
This process opens no repository: its forks share code and nothing else. It ends when the other end of
the socket ``FD`` closes; ``pipeline.dvc_child`` is that end and says what goes over it.
"""

import contextlib
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import sys
from typing import Any

WARM = (
    *("dvc.cli.parser", "dvc.repo.reproduce", "dvc.cachemgr", "dvc.data_cloud", "dvc.lock"),
    *("dvc.repo.artifacts", "dvc.repo.datasets", "dvc.repo.metrics", "dvc.repo.params"),
    *("dvc.repo.plots", "dvc.repo.stage", "dvc.rwlock", "dvc.scm", "dvc.utils.strictyaml"),
    *("dvc_render", "scmrepo.git", "dulwich.client", "ruamel.yaml"),
)
"""What `dvc repro` imports, most of it not before it is needed."""
LENGTH = 8
"""Bytes, big endian, before a request's JSON; the file descriptors come with them."""


def main() -> int:
    """Serve until nobody asks any more; a fork returns from here with its command's exit code."""
    _warm()
    gc.freeze()  # no fork looks through what it shares
    asked = socket.socket(fileno=int(sys.argv[1]))
    woken, wake = os.pipe()
    os.set_blocking(woken, False)
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    ended: dict[int, int] = {}
    with selectors.DefaultSelector() as selector:
        for readable in (asked.fileno(), woken):
            selector.register(readable, selectors.EVENT_READ)
        while True:
            ready = {key.fd for key, _ in selector.select()}
            if woken in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(woken, 4096)
                _tell(ended)
            if asked.fileno() in ready:
                request = _receive(asked)
                if request is None:
                    return 0
                arguments, output, telling = request
                try:
                    pid = os.fork()
                except OSError:  # no process to be had: who asked reads the end of its pipe
                    os.close(output)
                    os.close(telling)
                    continue
                if pid == 0:
                    break
                os.close(output)
                with contextlib.suppress(BrokenPipeError):
                    os.write(telling, b"%d\n" % pid)
                ended[pid] = telling
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number in (asked.detach(), woken, wake, telling, *ended.values()):
        os.close(number)
    return _run(output, **arguments)


def _warm() -> None:
    """Import what the forks need. A module that another DVC lacks costs them time and nothing else.

    DVC looks at its import whether standard error is a terminal, and colours what it logs; that of the
    forks is a pipe.
    """
    kept = os.dup(2)
    os.dup2(1, 2)
    try:
        for module in WARM:
            with contextlib.suppress(ImportError):
                importlib.import_module(module)
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _receive(asked: socket.socket) -> tuple[dict[str, Any], int, int] | None:
    """A request: what to run, where its output goes, and where its pid and its end are told."""
    head, descriptors, _, _ = socket.recv_fds(asked, LENGTH, 2)
    if len(head) < LENGTH:
        return None
    left, text = int.from_bytes(head, "big"), b""
    while left > len(text):
        piece = asked.recv(left - len(text))
        if not piece:
            return None
        text += piece
    output, telling = descriptors
    return json.loads(text), output, telling


def _tell(ended: dict[int, int]) -> None:
    """Write the exit code of each fork that has ended; a signal's is negative."""
    while ended:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        telling = ended.pop(pid)
        with contextlib.suppress(BrokenPipeError):
            os.write(telling, b"%d\n" % os.waitstatus_to_exitcode(status))
        os.close(telling)


def _run(output: int, arguments: list[str], cwd: str, environment: dict[str, str]) -> int:
    """Be the command, in a session of its own; all it says goes to ``output``."""
    os.setsid()
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    os.close(null)
    os.close(output)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["dvc", *arguments]
    from dvc.cli import main as dvc

    return int(dvc(arguments) or 0)


if __name__ == "__main__":
    sys.exit(main())
