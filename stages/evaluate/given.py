"""Samples of the user's own as token ids: ``repo-pipeline evaluate MODEL --data FILE.jsonl``.

A line is ``{"prompt_ids": [...], "answer_ids": [...]}``, right where greedy decoding writes the answer,
or ``{"ids": [...], "source": name}``, whose loss is measured. A training leaves the samples of its own
looks like that (``$REPO_RUNS/execution/<item>.samples.jsonl``). One process, no Ray; all is read anew.
"""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from stages.benchmarks import outside
from stages.benchmarks.samples import only_defaults
from stages.common.errors import UserError
from stages.common.files import read_jsonl, sha256, write_json
from stages.evaluate import ends
from stages.evaluate.hub import model_folder
from stages.evaluate.models import identified, settings

LOSS, ANSWERS = "held_out", "probe"
_NOT_HERE = {
    **dict.fromkeys(("lengths", "tasks", "num", "against", "new_tokens", "max_length")),
    **dict.fromkeys(("yarn", "full", "no_prefix", "strict"), False),
    "endpoint": None,
    "served": None,
    "engine": "own",
    "suite": "ruler",
    "template": "none",
    "protocol": "nvidia",
    "seed": 42,
}
"""Options that mean nothing here, and what they are where nobody gave them."""


def wanted(options: Any) -> bool:
    """Whether ``--data`` names a file of such samples; our suites read folders."""
    named = options.data is not None and Path(options.data).suffix == ".jsonl"
    return named and options.suite not in outside.names()


def evaluate(options: Any) -> None:
    """Measure a model on the file's samples; print the figures, write metrics.json."""
    only_defaults(options, _NOT_HERE, "--data FILE.jsonl")
    file = Path(options.data)
    rows = list(_checked(file))
    folder = model_folder(options.model)
    _known(file, rows, settings(folder).get("vocab_size"))
    found = figures(rows, _measured(rows, folder))
    if options.out is not None:
        made = {"model": options.model, "sha256": identified(folder).sha256, "data": sha256(file)}
        write_json(options.out / "metrics.json", made | {"figures": found})
    for name, figure in found.items():
        print(f"{name}: {figure['value']:.6f} ({figure['n']} samples)")


def _checked(file: Path) -> Iterator[Mapping[str, Any]]:
    if not file.is_file():
        raise UserError(f"--data is {str(file)!r}: no such file")
    for number, row in enumerate(read_jsonl(file), start=1):
        keys = ("prompt_ids", "answer_ids") if "prompt_ids" in row else ("ids",)
        for key in keys:
            ids = row.get(key) if isinstance(row, dict) else None
            good = isinstance(ids, list) and all(type(id_) is int and id_ >= 0 for id_ in ids)
            if not good or len(ids or ()) < (2 if key == "ids" else 1):
                raise UserError(
                    f"{file} line {number}: {key} must be a list of token ids; a line holds "
                    "prompt_ids and answer_ids, or ids and source"
                )
        yield row


def _known(file: Path, rows: Sequence[Mapping[str, Any]], tokens: Any) -> None:
    """Refuse a file of nothing, and ids that the model does not have."""
    if not rows:
        raise UserError(f"--data is {str(file)!r}: no samples in it; give a file with lines")
    for row in rows:
        largest = max(
            id_ for key in ("ids", "prompt_ids", "answer_ids") for id_ in row.get(key, ())
        )
        if isinstance(tokens, int) and largest >= tokens:
            raise UserError(
                f"{file}: the id {largest} is none of the model's {tokens} tokens; give ids of its own "
                "tokenizer"
            )


def figures(rows: Sequence[Mapping[str, Any]], values: Sequence[float]) -> dict[str, Any]:
    """``probe``: share that was answered; ``held_out.<source>``: nats per token."""
    groups: dict[str, list[float]] = {}
    for row, value in zip(rows, values, strict=True):
        name = ANSWERS if "prompt_ids" in row else f"{LOSS}.{row.get('source', 'text')}"
        groups.setdefault(name, []).append(value)
    return {
        name: {"value": round(statistics.fmean(found), 6), "n": len(found)}
        for name, found in groups.items()
    }


def _measured(rows: Sequence[Mapping[str, Any]], folder: Path) -> list[float]:
    import torch

    from stages.evaluate import engine
    from stages.evaluate.loading import load_any

    on_gpu = torch.cuda.is_available()
    if not on_gpu:
        torch.set_num_threads(1)  # sums depend on their number
    dtype = torch.bfloat16 if on_gpu else torch.float32
    model = load_any(folder, str(folder), None, dtype).to("cuda" if on_gpu else "cpu").eval()
    size = model.get_input_embeddings().weight.shape[0]
    highest = max(max(row[key]) for row in rows for key in row if key.endswith("ids"))
    if highest >= size:
        raise UserError(
            f"--data has the token id {highest}, the model {size} rows: give samples of its tokenizer"
        )
    # Where the folder names no end, the budget alone ends an answer.
    eos = [i for i in ends.of_folder(folder, -1) if i >= 0] or [size]
    found = []
    for row in rows:
        if "prompt_ids" in row:
            answer = row["answer_ids"]
            written = engine.generate(model, [row["prompt_ids"]], len(answer), eos)[0].ids
            found.append(float(written == answer))
        else:
            found += engine.window_losses(model, [row["ids"]])
    return found
