"""What runs first on the head: says in one line when this Python cannot run the job, else runs it.

Kept readable for old Pythons and without a package beside the standard library: a cluster of another
version must get to the line that says so.
"""

import datetime
import json
import platform
import sys

PREFIX = "::repo-event "
"""``pipeline.remote.events.PREFIX``, which an old Python could not import."""
FIX = "give it an image of infra/docker, or submit from that version"


def another_version(wish):  # type: ignore[no-untyped-def]
    """What differs between this Python and Ray and those a run was sent with; none: too little."""
    found = (
        ("Python", platform.python_version(), wish["python"]),
        ("Ray", _ray(), wish["ray"]),
    )
    for name, theirs, ours in found:
        if theirs.split(".")[:2] != ours.split(".")[:2]:
            return f"the cluster has {name} {theirs}, the run was sent with {ours}; {FIX}"
    return None


def _ray():  # type: ignore[no-untyped-def]
    try:
        from importlib.metadata import version

        return version("ray")
    except Exception:  # old Pythons have no importlib.metadata, and thus nothing to compare
        return "unknown"


def _end(line):  # type: ignore[no-untyped-def]
    now = datetime.datetime.now(datetime.timezone.utc).isoformat()  # noqa: UP017 - 3.11 has UTC
    event = {"time": now, "stage": None, "state": "failed", "line": line}
    print(PREFIX + json.dumps(event) + "\n[job] " + line, flush=True)
    sys.exit(2)


def main():  # type: ignore[no-untyped-def]
    """Check, then hand over to ``pipeline.remote.job``."""
    with open("submission.json") as file:
        problem = another_version(json.load(file))
    if problem:
        _end(problem)
    try:
        from pipeline.remote import job
    except ModuleNotFoundError as error:
        _end(
            f"the cluster's Python ({sys.executable}) has no package {error.name!r}; give it an image "
            "of infra/docker, or `pip install -c constraints.txt -e '.[pipeline]'` there"
        )
    job.main()


if __name__ == "__main__":
    main()
