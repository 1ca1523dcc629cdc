"""A local Ray's parent: a process in a session of its own that ends when whoever started it does.

A script, started by ``ray_start.Host``: settings of ``ray.init`` as its argument, ``{"address"}`` or
``{"error"}`` as its one line, then it waits. A signal to a whole process group (``timeout``, a
scheduler, an init that forwards) would end Ray's own processes together with the run, which could not
save any more. Ray lets nobody choose a process group, so its parent has one. Nothing of ours is
imported: this is run by path.
"""

import json
import os
import select
import signal
import sys

LOOK_S = 1.0
"""The pipe closes at once with its other end, unless a fork of the starter holds that too."""
END_S = 10
"""For Ray to end in order; then the kernel ends its processes with this one (PR_SET_PDEATHSIG)."""


def main() -> None:
    """Start a Ray, tell its address, hold it until the starter is gone or closes our input."""
    starter = os.getppid()
    told, sys.stdout = sys.stdout, sys.stderr
    import ray

    try:
        ray.init(address="local", **json.loads(sys.argv[1]))
        answer = {"address": ray.get_runtime_context().gcs_address}
    except Exception as error:
        answer = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer), file=told, flush=True)
    if "address" in answer:
        while os.getppid() == starter and not select.select([sys.stdin], [], [], LOOK_S)[0]:
            pass
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(END_S)
    ray.shutdown()


if __name__ == "__main__":
    main()
