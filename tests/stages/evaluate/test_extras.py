"""What is handed to lm_eval and to vLLM, and what is made of their answers; neither is needed."""

import importlib
import tomllib
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest

from stages.common.errors import UserError
from stages.evaluate import extras, general, squad_metrics

CONFIG = {"model_type": "llama", "max_position_embeddings": 4096}


def options(**changed: Any) -> Namespace:
    asked = {"model": "m", "tasks": None, "num": None, "seed": 7, "out": None}
    return Namespace(**{**asked, **dict.fromkeys(general._NOT_HERE), **changed})


def test_the_papers_eight_tasks_by_default() -> None:
    assert general.tasks(options()) == list(general.TASKS)
    assert len(general.TASKS) == 8
    assert general.tasks(options(tasks="drop, coqa")) == ["drop", "coqa"]
    for name in ("lengths", "data", "against", "yarn", "full"):
        with pytest.raises(UserError, match=f"--{name} is not for --suite general"):
            general.tasks(options(**{name: "x"}))


def test_lm_eval_s_arguments() -> None:
    found = general.arguments(options(num=5), ["drop"])
    assert found["tasks"] == ["drop"]
    assert found["limit"] == 5
    assert {value for name, value in found.items() if name.endswith("_seed")} == {7}
    assert found["log_samples"] is found["confirm_run_unsafe_code"] is False


def test_lm_eval_s_model_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REPO_TRUST_REMOTE_CODE", raising=False)
    found = general.model_arguments(Path("/t"), CONFIG, 16384)
    assert found == {
        "backend": "causal",
        "tokenizer": "/t",
        "max_length": 4096,
        "batch_size": 4,
        "trust_remote_code": False,
    }
    monkeypatch.setenv("REPO_TRUST_REMOTE_CODE", "1")
    assert general.model_arguments(Path("/t"), CONFIG, 100)["trust_remote_code"] is True
    assert general.model_arguments(Path("/t"), CONFIG, 100)["batch_size"] == 1


RESULTS = {
    "results": {
        "drop": {"em,none": 0.1, "f1,none": 0.25, "f1_stderr,none": 0.01, "alias": "drop"},
        "mmlu_pro": {
            "exact_match,custom-extract": 0.125,
            "exact_match_stderr,custom-extract": "N/A",
        },
    },
    "n-samples": {
        "drop": {"original": 9536, "effective": 100},
        "mmlu_pro_law": {"original": 1101, "effective": 3},
        "mmlu_pro_math": {"original": 1351, "effective": 4},
    },
}


def test_lm_eval_s_figures_in_percent(tmp_path: Path) -> None:
    found = general.figures(RESULTS, ["drop", "mmlu_pro"])
    assert found["drop"] == (25.0, 1.0, 100)
    assert found["mmlu_pro"] == (12.5, None, 7)
    text = "\n".join(general.lines("m", found))
    assert "25.00 ± 1.0  100 samples, f1" in text
    assert text.splitlines()[-1].split() == ["mean", "over", "tasks", "18.75"]
    written = general.record(options(), "aa", found)
    assert written["tasks"]["drop"] == {"score": 25.0, "stderr": 1.0, "n": 100}
    assert written["mean"] == 18.75
    assert written["metrics"]["mmlu_pro"] == "exact_match,custom-extract"


def test_an_extra_that_is_there_is_not_refused() -> None:
    extras.require("json", "none", "--x")
    with pytest.raises(UserError, match="--x needs no_such_package_here, which is not installed"):
        extras.require("no_such_package_here", "none", "--x")


def test_the_extras_are_the_project_s() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    assert "general" in project["optional-dependencies"]


def test_what_coqa_imports_is_there() -> None:
    """transformers 5 has no ``data.metrics`` any more; lm_eval 0.4.13 imports two functions of it."""
    squad_metrics.provide()
    found = importlib.import_module("transformers.data.metrics.squad_metrics")
    assert found.compute_exact("The Rome!", "rome") == 1
    assert found.compute_exact("Rome", "in Rome") == 0
    assert found.compute_f1("Rome", "in Rome") == pytest.approx(2 / 3)
    assert found.compute_f1("Rome", "Ada") == 0.0
    assert [found.compute_f1(gold, "the") for gold in ("a", "Rome")] == [1.0, 0.0]
