"""Memory that ran out is one line that says what to do, and may be tried again."""

import pytest
import ray.exceptions
import torch

from stages.common.errors import FAILED, TRY_AGAIN
from stages.common.status import ended

RAY = """3 worker(s) were killed due to the node running low on memory. Memory on the node (ID: 2faee0)
was 22.64GB used / 23.54GB limit (0.961702)
OOM kill reason: Memory usage 24134574080B exceeded threshold of 24012677120B
Top 10 memory users:
PID MEM(GB) COMMAND
2892 20.92 python fuzz.py"""


def within(error: Exception) -> Exception:
    """As Ray Train hands it on: inside another."""
    outer = RuntimeError("the worker group failed")
    outer.__cause__ = error
    return outer


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ray.exceptions.OutOfMemoryError(RAY), ("22.64 of 23.54 GB", "REPO_WORKERS")),
        (within(ray.exceptions.OutOfMemoryError(RAY)), ("22.64 of 23.54 GB",)),
        (RuntimeError(f"ray::Worker died: OutOfMemoryError: {RAY}"), ("22.64 of 23.54 GB",)),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), ("GPU's memory",)),
        (within(torch.OutOfMemoryError("CUDA out of memory.")), ("REPO_GRADIENT_CHECKPOINTING",)),
        (MemoryError(), ("no more memory",)),
    ],
)
def test_it_is_one_line_and_may_be_tried_again(error: Exception, words: tuple[str, ...]) -> None:
    def work() -> None:
        raise error

    status = ended(work, trace=False)
    assert status.code == TRY_AGAIN
    assert "\n" not in status.line and "run again" in status.line
    assert not [word for word in words if word not in status.line], status.line


@pytest.mark.parametrize("text", ["", "one", "one\ntwo\nthree"])
def test_any_other_failure_is_one_line_too(text: str) -> None:
    def work() -> None:
        raise ValueError(text)

    status = ended(work, trace=False)
    assert status.code == FAILED
    more = " (and 2 lines more)" if "three" in text else ""
    assert status.line == f"ValueError: {text.partition(chr(10))[0] or 'no message'}{more}"
