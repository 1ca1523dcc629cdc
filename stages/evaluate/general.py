"""General short-context tasks by lm_eval: ``repo-pipeline evaluate MODEL --suite general``.

The eight tasks of the paper's Table 5, as lm_eval 0.4.13 asks and scores them (its task files were
read for the names of tasks and metrics). The paper's tools (olmes) ask otherwise: few-shot prompts of
their own, formats chosen per task. So figures compare models here, not with the paper's to the digit.
lm_eval reads the data sets from the hub or its cache; it neither resumes nor runs on Ray.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from stages.common.errors import UserError
from stages.common.files import write_json
from stages.evaluate import pool
from stages.evaluate.extras import require
from stages.evaluate.hub import model_folder, tokenizer_folder
from stages.evaluate.models import identified, settings, window
from stages.evaluate.version import VERSION

SUITE = "general"
TASKS = {
    "arc_challenge": "acc_norm,none",
    "arc_easy": "acc_norm,none",
    "boolq": "acc,none",
    "coqa": "f1,none",
    "drop": "f1,none",
    "hellaswag": "acc_norm,none",
    "mmlu_pro": "exact_match,custom-extract",
    "triviaqa": "exact_match,remove_whitespace",
}
"""lm_eval's tasks and the figure of each that is shown: metric and filter."""
_NEW_TOKENS = {"coqa": 256, "drop": 256, "mmlu_pro": 2048, "triviaqa": 256}
"""lm_eval's budgets; it asserts that the window is wider."""
_NOT_HERE = (
    *("lengths", "data", "against", "yarn", "full", "new_tokens", "template", "protocol"),
    *("no_prefix", "strict"),
)
"""Options that lm_eval's tasks leave no room for."""
_UNGIVEN = (None, False, "none", "nvidia")


class Figure(NamedTuple):
    """A task's score and its standard error, 0 to 100, and the number of samples."""

    score: float
    stderr: float | None
    n: int


def evaluate(options: Any) -> None:
    """Measure a model on the general tasks; print the table, write metrics.json."""
    wanted = tasks(options)
    require("lm_eval", "general", "--suite general")
    folder = model_folder(options.model)
    _wide_enough(options.model, window(settings(folder)), wanted)
    found = figures(_run(options, folder, tokenizer_folder(folder), wanted), wanted)
    if options.out is not None:
        write_json(options.out / "metrics.json", record(options, identified(folder).sha256, found))
    for line in lines(options.model, found):
        print(line)


def tasks(options: Any) -> list[str]:
    """The tasks asked for; an option that means nothing here is refused."""
    for name in _NOT_HERE:
        if vars(options).get(name) not in _UNGIVEN:
            raise UserError(f"--{name.replace('_', '-')} is not for --suite general; leave it out")
    wanted = options.tasks.split(",") if options.tasks else list(TASKS)
    wanted = [task.strip() for task in wanted]
    for task in wanted:
        if task not in TASKS:
            raise UserError(f"--tasks is {task!r}: unknown; known are {', '.join(TASKS)}")
    return wanted


def _wide_enough(model: str, widest: int | None, wanted: Sequence[str]) -> None:
    for task in wanted:
        if widest is not None and widest <= _NEW_TOKENS.get(task, 0):
            raise UserError(
                f"--tasks has {task}, whose answers take up to {_NEW_TOKENS[task]} tokens, but the "
                f"window of {model} is {widest} tokens; leave it out"
            )


def arguments(options: Any, wanted: Sequence[str]) -> dict[str, Any]:
    """Of ``lm_eval.simple_evaluate``, without the model.

    ``limit`` counts for each of ``mmlu_pro``'s 14 subjects; shots are the tasks' own.
    """
    return {
        "tasks": list(wanted),
        "limit": options.num,
        "log_samples": False,
        "random_seed": options.seed,
        "numpy_random_seed": options.seed,
        "torch_random_seed": options.seed,
        "fewshot_random_seed": options.seed,
        "confirm_run_unsafe_code": False,
    }


def model_arguments(
    tokenizer: Path, config: Mapping[str, Any], batch_tokens: int
) -> dict[str, Any]:
    """Of ``lm_eval.models.huggingface.HFLM``, without the model itself."""
    widest = window(config)
    return {
        "backend": "causal",
        "tokenizer": str(tokenizer),
        "max_length": widest,
        "batch_size": max(1, batch_tokens // (widest or 2048)),
        "trust_remote_code": os.environ.get("REPO_TRUST_REMOTE_CODE") == "1",
    }


def figures(results: Mapping[str, Any], wanted: Sequence[str]) -> dict[str, Figure]:
    """lm_eval's results as percent; of a group, samples are those of its parts."""
    found = {}
    for task in wanted:
        row = results["results"][task]
        metric, _, name = TASKS[task].partition(",")
        error = row.get(f"{metric}_stderr,{name}")
        counted = results["n-samples"]
        parts = [task] if task in counted else [p for p in counted if p.startswith(f"{task}_")]
        found[task] = Figure(
            score=round(100 * float(row[TASKS[task]]), 6),
            # lm_eval writes "N/A" where it has none
            stderr=round(100 * float(error), 6) if isinstance(error, int | float) else None,
            n=sum(int(counted[part]["effective"]) for part in parts),
        )
    return found


def record(options: Any, sha256: str, found: Mapping[str, Figure]) -> dict[str, Any]:
    """What metrics.json holds."""
    return {
        "version": VERSION,
        "suite": SUITE,
        "model": options.model,
        "sha256": sha256,
        "seed": options.seed,
        "metrics": {task: TASKS[task] for task in found},
        "tasks": {task: figure._asdict() for task, figure in found.items()},
        "mean": round(sum(figure.score for figure in found.values()) / len(found), 6),
    }


def lines(model: str, found: Mapping[str, Figure]) -> Iterator[str]:
    """The table for a terminal."""
    width = max(map(len, [*found, "mean over tasks"]))
    yield f"general (lm_eval), score ± standard error, {model}"
    for task, figure in found.items():
        error = "" if figure.stderr is None else f" ± {figure.stderr:.1f}"
        text = f"{figure.score:.2f}{error}"
        yield f"{task:{width}}{text:>15}  {figure.n} samples, {TASKS[task].partition(',')[0]}"
    mean = sum(figure.score for figure in found.values()) / len(found)
    yield f"{'mean over tasks':{width}}{mean:>15.2f}"


def _run(options: Any, folder: Path, tokenizer: Path, wanted: Sequence[str]) -> Any:
    import torch

    from stages.evaluate import squad_metrics

    squad_metrics.provide()
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM

    from stages.evaluate.loading import load_any

    on_gpu = torch.cuda.is_available()
    dtype = torch.bfloat16 if on_gpu else torch.float32
    # Loaded here: RePo's weights must not be dropped, as other loaders may do.
    model = load_any(folder, options.model, None, dtype).to("cuda" if on_gpu else "cpu").eval()
    more = model_arguments(tokenizer, settings(folder), pool.batch_tokens())
    return simple_evaluate(model=HFLM(pretrained=model, **more), **arguments(options, wanted))
