"""Two functions that transformers took away and lm_eval 0.4.13's task ``coqa`` still imports.

As SQuAD's own evaluation (evaluate-v2.0) defines them: exact match and
F1 over words in lower case, without punctuation and articles.
"""

import importlib.util
import sys
from types import ModuleType

from stages.evaluate.scorers import _words, qa_f1

_PACKAGE = "transformers.data.metrics"


def compute_exact(a_gold: str, a_pred: str) -> int:
    """1 where both are the same words, else 0."""
    return int(_words(a_gold) == _words(a_pred))


def compute_f1(a_gold: str, a_pred: str) -> float:
    """F1 of the words; without any in one of them, whether both have none."""
    if not _words(a_gold) or not _words(a_pred):
        return float(compute_exact(a_gold, a_pred))
    return qa_f1(a_pred, a_gold)


def provide() -> None:
    """Put this module where lm_eval imports it from, unless transformers has its own there."""
    import transformers.data

    if _PACKAGE in sys.modules or importlib.util.find_spec(_PACKAGE) is not None:
        return
    package = ModuleType(_PACKAGE)
    package.__path__ = []
    package.squad_metrics = sys.modules[__name__]  # type: ignore[attr-defined]
    transformers.data.metrics = package
    sys.modules[_PACKAGE] = package
    sys.modules[f"{_PACKAGE}.squad_metrics"] = sys.modules[__name__]
