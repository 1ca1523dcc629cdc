"""RULER's files byte for byte as NVIDIA/RULER@c3f5e3b writes them: its random calls in its order.

``repo-pipeline samples --exact`` writes them, ``evaluate --data`` reads them. The rest of
``stages.benchmarks`` builds better samples by the same rules (docs/ruler.md); these are for comparing
with published numbers.

Equal bytes need the official texts. Essays are cut into sentences by our rule where RULER asks
NLTK's punkt (a download): the random calls are the same, a needle may stand a sentence further.
"""

from collections.abc import Iterator
from typing import Any

from stages.benchmarks.exact import needles, questions, tracking, words
from stages.benchmarks.exact.calls import Calls
from stages.benchmarks.niah import Niah
from stages.benchmarks.questions import Questions
from stages.benchmarks.ruler import TASKS

__all__ = ["Calls", "rows"]


def rows(calls: Calls) -> Iterator[dict[str, Any]]:
    """The rows of ``<task>/validation.jsonl``, their fields in RULER's order."""
    task = TASKS[calls.task]
    if isinstance(task, Niah):
        return needles.rows(calls, task)
    if isinstance(task, Questions):
        return questions.rows(calls, task.kind)
    others = {"vt": tracking.rows, "cwe": words.common, "fwe": words.coded}
    return others[calls.task](calls)
