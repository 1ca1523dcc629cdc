"""Memory that ran out, told in one line: by Ray's monitor on a machine, by CUDA on a card.

Neither library is imported; the errors are known by name, and Ray's may stand inside another. Ray's
message has 45 lines, with a table of processes.
"""

import re
from collections.abc import Iterator

NAMES = ("OutOfMemoryError", "OOMError")
_RAY = re.compile(r"was ([\d.]+)GB used / ([\d.]+)GB limit")
SMALLER = "REPO_MICRO_BATCH_TOKENS (training) or REPO_EVAL_BATCH_TOKENS (evaluation)"


def told(error: BaseException) -> str | None:
    """One line for an error that says that memory ran out; none for any other."""
    if isinstance(error, MemoryError):
        return f"this process got no more memory; free some, or lower {SMALLER}, and run again"
    for one in _inside(error):
        text = str(one)
        if type(one).__name__ not in NAMES and not any(name in text for name in NAMES):
            continue
        if "CUDA" in text:
            return (
                f"a GPU's memory ran out; lower {SMALLER} or set REPO_GRADIENT_CHECKPOINTING=1, and "
                "run again to go on from here"
            )
        used = _RAY.search(text)
        how = f" ({used[1]} of {used[2]} GB used)" if used else ""
        return (
            f"the machine's memory ran out{how}, and Ray ended the workers; run again to go on from "
            f"here: end what else uses memory, or lower REPO_WORKERS, {SMALLER}"
        )
    return None


def _inside(error: BaseException) -> Iterator[BaseException]:
    """The error, and what it came from."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        one = waiting.pop()
        if isinstance(one, BaseException) and id(one) not in seen:
            seen.add(id(one))
            yield one
            waiting += [one.__cause__, one.__context__, getattr(one, "cause", None)]
