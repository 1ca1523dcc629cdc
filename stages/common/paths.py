"""Where the outs of the graph stand, relative to the project's root (the working directory)."""

from pathlib import Path

CORPUS = Path("data/corpus")
TOKENIZER = Path("data/tokenizer")
TOKENS = Path("data/tokens")
BENCHMARKS = Path("data/benchmarks")
BASE = Path("models/base")
RESULTS = Path("results")
ANALYSIS = Path("analysis")
REPORT = Path("report")
FIGURES = REPORT / "figures.json"
"""Every figure of the report; ``metrics.json`` beside it has the few that DVC shows."""


def model(item: str) -> Path:
    """Trained model of ``<variant>-<seed>``."""
    return Path("models") / item


def extended(item: str) -> Path:
    """The same model with YaRN in its config."""
    return Path("models") / f"{item}-extended"


def results(item: str) -> Path:
    """What was measured on ``<variant>-<seed>``: its loss curve, samples and metrics."""
    return RESULTS / item


def curve(item: str) -> Path:
    """Loss curve of the training of ``<variant>-<seed>``."""
    return results(item) / "loss.csv"
