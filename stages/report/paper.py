"""The paper's numbers (arXiv 2512.14391 v3, PAPER.md section 5), printed beside ours."""

from typing import NamedTuple


class PaperTable(NamedTuple):
    """A table of the paper; ``ours`` names the task of this project behind each column, if any."""

    title: str
    columns: tuple[str, ...]
    ours: tuple[str | None, ...]
    rows: dict[str, tuple[float, ...]]


LABELS = {"rope": "RoPE", "nope": "NoPE", "r2n1": "R2N1", "n2r1": "N2R1", "repo": "RePo"}

TABLE_1 = PaperTable(
    title="Table 1: needle in a haystack at 4K, score",
    columns=("S", "MV", "MK", "MQ", "avg"),
    ours=("niah_single_1", "niah_multivalue", "niah_multikey_1", "niah_multiquery", None),
    rows={
        "1B RoPE": (100.0, 78.5, 86.0, 79.0, 85.9),
        "1B NoPE": (83.0, 83.3, 76.0, 78.5, 80.2),
        "1B R2N1": (100.0, 91.8, 82.0, 88.3, 90.5),
        "1B N2R1": (95.0, 89.8, 84.0, 84.3, 88.3),
        "1B RePo": (100.0, 89.3, 86.0, 89.8, 91.3),
        "7B RoPE": (100.0, 97.3, 97.0, 94.8, 97.3),
        "7B RePo": (100.0, 100.0, 96.0, 95.5, 97.9),
    },
)

HYBRIDQA = PaperTable(
    title="HybridQA: tables, normalised substring",
    columns=("tables",),
    ours=("tables",),
    rows={
        "1B RoPE": (24.43,),
        "1B NoPE": (23.52,),
        "1B R2N1": (25.11,),
        "1B N2R1": (23.86,),
        "1B RePo": (26.70,),
        "7B RoPE": (33.52,),
        "7B RePo": (37.61,),
    },
)
"""Of about 880 questions; which ones, and the prompt, are not published."""

TABLE_3 = PaperTable(
    title="Table 3: LongBench with YaRN x4, score",
    columns=("2Wiki", "MSQ", "MFQA", "NQA", "GovR", "QMSum", "TQA", "avg"),
    ours=(
        "2wikimqa",
        "musique",
        "multifieldqa_en",
        "narrativeqa",
        "gov_report",
        "qmsum",
        "triviaqa",
        None,
    ),
    rows={
        "1B RoPE": (23.32, 7.24, 27.37, 12.94, 6.23, 7.96, 61.47, 20.93),
        "1B NoPE": (9.11, 0.33, 13.64, 1.80, 5.15, 0.68, 18.12, 6.98),
        "1B R2N1": (25.88, 7.31, 31.28, 16.24, 4.53, 8.74, 66.67, 22.95),
        "1B N2R1": (16.24, 0.40, 21.88, 1.26, 8.74, 5.31, 25.18, 11.29),
        "1B RePo": (30.86, 13.45, 33.12, 15.24, 16.80, 12.53, 73.02, 27.86),
        "7B RoPE": (22.10, 6.69, 32.61, 16.38, 11.19, 6.63, 83.97, 25.65),
        "7B RePo": (33.41, 19.55, 40.37, 22.64, 12.30, 10.41, 85.50, 32.03),
    },
)

TABLE_5 = PaperTable(
    title="Table 5: general benchmarks, score",
    columns=("ARC-C", "ARC-E", "BoolQ", "CoQA", "DROP", "HellaSwag", "MMLU-Pro", "TriviaQA", "avg"),
    ours=(None,) * 9,
    rows={
        "1B RoPE": (47.99, 75.25, 72.12, 56.87, 37.90, 70.68, 13.77, 54.98, 53.70),
        "1B NoPE": (44.05, 73.64, 66.70, 44.52, 33.22, 65.68, 10.70, 43.43, 47.74),
        "1B RePo": (47.61, 74.87, 73.58, 57.44, 38.17, 70.08, 13.52, 54.56, 53.73),
        "7B RoPE": (78.92, 85.74, 84.02, 69.73, 61.07, 82.36, 27.97, 77.56, 70.92),
        "7B RePo": (78.46, 85.61, 84.32, 68.59, 59.59, 81.92, 27.15, 76.80, 70.30),
    },
)

ATTENTION_MASS = {
    "rope": {"needle": 0.01754, "query": 0.01123, "rest": 0.00014},
    "nope": {"needle": 0.01572, "query": 0.01135, "rest": 0.00014},
    "repo": {"needle": 0.02013, "query": 0.01046, "rest": 0.00015},
}
"""Mean attention per token on NIAH at 4K, 1B, from generated tokens."""

PATTERNS = {"monotone": 0.04, "constant": 0.22, "hybrid": 0.74}
"""Shares on RULER, chunks of 16 tokens, epsilon 0.2; hybrid is the rest."""


def as_metrics() -> dict[str, object]:
    """The same as JSON; tables as lists, which ``dvc metrics`` passes over."""
    tables = (TABLE_1, TABLE_3, TABLE_5)
    return {
        "tables": [
            {
                "title": table.title,
                "columns": list(table.columns),
                "rows": [[name, *values] for name, values in table.rows.items()],
            }
            for table in tables
        ],
        "attention_mass": [[name, *mass.values()] for name, mass in ATTENTION_MASS.items()],
        "patterns": [[name, share] for name, share in PATTERNS.items()],
    }
