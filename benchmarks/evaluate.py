"""The default engine against ``generate`` one by one and in static left-padded batches.

    python benchmarks/evaluate.py [--model FOLDER --samples FILE...] [--repeats 3]

Same model, same samples, same outputs (checked); CPU seconds, interleaved, the best of the repeats.
The static batches are of the same size, in the file's order. Without a model: random weights of the
tiny profile's shape and prompts of 256, 512 and 1,024 tokens that are "answered" after half the
budget, as a RULER sample is by a model that finds it. ``--device cuda``: prefill MFU at 4K and 16K
for OLMo-2 1B's shapes instead.
"""

import argparse
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import repo_model
from stages.benchmarks.encoder import Encoder
from stages.common.files import read_jsonl
from stages.evaluate import engine
from stages.evaluate.answers import stopper
from stages.evaluate.loading import load_any
from stages.evaluate.shards import batches

BATCH_TOKENS = 16384
H200_BF16 = 989e12
Cell = tuple[str, list[list[int]], int, Callable[[list[int]], Any]]
"""Name, prompts, budget, and the stop rule for the rows of a batch."""


def tiny() -> Any:
    torch.manual_seed(0)
    config = repo_model.RepoOlmo2Config(
        positions="repo",
        start_layer=1,
        hidden_size=96,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        vocab_size=1024,
        max_position_embeddings=256,
        rope_parameters={"rope_type": "default", "rope_theta": 1e4},
        initializer_range=0.4,
        eos_token_id=0,
        pad_token_id=1,
    )
    return repo_model.RepoOlmo2ForCausalLM(config).eval()


def made_up(length: int, budget: int) -> Cell:
    rng = random.Random(length)
    sizes = [rng.randint(int(0.93 * (length - budget)), length - budget) for _ in range(64)]
    prompts = [[rng.randrange(2, 1024) for _ in range(size)] for size in sizes]
    needed = [budget // 2 + rng.randint(0, 1) for _ in prompts]
    return (
        f"{length} tokens",
        prompts,
        budget,
        lambda rows: lambda row, ids: len(ids) >= needed[rows[row]],
    )


def from_file(file: Path, encoder: Encoder) -> Cell:
    samples = list(read_jsonl(file))
    return (
        file.stem,
        [sample["prompt_ids"] for sample in samples],
        samples[0]["max_new_tokens"],
        lambda rows: stopper([samples[row] for row in rows], encoder, True),
    )


def timed(model: Any, cell: Cell, how: str, eos: int) -> tuple[float, list[list[int]]]:
    _, prompts, budget, stop = cell
    order = list(range(len(prompts)))
    if how == "default":
        order.sort(key=lambda row: len(prompts[row]))
    size = 1 if how == "one by one" else max(map(len, prompts)) + budget
    found: dict[int, list[int]] = {}
    started = time.process_time()
    for rows in batches(order, size if size > 1 else BATCH_TOKENS, BATCH_TOKENS):
        run = engine.generate if how == "default" else engine.by_generate
        batch = [prompts[row] for row in rows]
        for row, done in zip(rows, run(model, batch, budget, eos, stop(list(rows))), strict=True):
            found[row] = done.ids
    return time.process_time() - started, [found[row] for row in range(len(prompts))]


def compare(model: Any, cell: Cell, eos: int, repeats: int) -> dict[str, float]:
    best: dict[str, float] = {}
    outputs: dict[str, list[list[int]]] = {}
    for _ in range(repeats):
        for how in ("default", "static", "one by one"):
            seconds, outputs[how] = timed(model, cell, how, eos)
            best[how] = min(seconds, best.get(how, seconds))
    for how in ("static", "one by one"):
        equal = sum(a == b for a, b in zip(outputs["default"], outputs[how], strict=True))
        print(f"  equal to {how}: {equal} of {len(cell[1])} outputs")
    return best


def prefill_mfu() -> None:
    """OLMo-2 1B in bf16: 2 FLOPs a parameter and token, and causal attention's own."""
    config = repo_model.RepoOlmo2Config(
        positions="repo",
        start_layer=5,
        hidden_size=2048,
        intermediate_size=8192,
        num_hidden_layers=16,
        num_attention_heads=16,
        vocab_size=100352,
        max_position_embeddings=16384,
        rope_parameters={"rope_type": "default", "rope_theta": 5e5},
    )
    with torch.device("cuda"):
        model = repo_model.RepoOlmo2ForCausalLM(config).bfloat16().eval()
    weights = sum(p.numel() for p in model.base_model.layers.parameters())
    for length, rows in ((4096, 4), (16384, 1)):
        prompts = torch.randint(0, 100000, (rows, length)).tolist()
        for attempt in range(4):
            torch.cuda.synchronize()
            started = time.perf_counter()
            with torch.inference_mode():
                engine._read(model, prompts, [None] * rows)
            torch.cuda.synchronize()
            seconds = time.perf_counter() - started
            if attempt == 3:
                attention = 2 * 2 * 16 * length**2 * 2048 / 2
                flops = rows * (2 * weights * length + attention)
                mfu = 100 * flops / seconds / H200_BF16
                print(
                    f"{rows} x {length}: {rows * length / seconds:,.0f} tokens/s, MFU {mfu:.1f} %"
                )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--samples", type=Path, nargs="*", default=[])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    options = parser.parse_args()
    if options.device == "cuda":
        prefill_mfu()
        return
    torch.set_num_threads(1)  # as the evaluation's workers
    if options.model:
        model = load_any(options.model, str(options.model), None, torch.float32)
        encoder = Encoder(options.model)
        eos, cells = encoder.eos_id(), [from_file(file, encoder) for file in options.samples]
    else:
        model, eos = tiny(), 0
        cells = [made_up(length, budget) for length in (256, 512, 1024) for budget in (8, 20)]
    total = dict.fromkeys(("default", "static", "one by one"), 0.0)
    for cell in cells:
        best = compare(model, cell, eos, options.repeats)
        for how, seconds in best.items():
            total[how] += seconds
        print(
            f"{cell[0]}, {cell[2]} new: {best['default']:.2f} s CPU; static "
            f"{best['static'] / best['default']:.2f} x, one by one "
            f"{best['one by one'] / best['default']:.2f} x"
        )
    print(
        f"all: static {total['static'] / total['default']:.2f} x, one by one "
        f"{total['one by one'] / total['default']:.2f} x of the default engine's CPU time"
    )


if __name__ == "__main__":
    main()
