"""The default engine against ``generate`` one by one and in static left-padded batches.

    python benchmarks/evaluate.py [--model FOLDER --samples FILE...] [--rounds 5] [--continuous]

Same model, same samples, same outputs (checked); CPU seconds, the ways in turn in every round, medians
over the rounds. The static batches are of the same size, in the file's order. Without a model: random
weights of the tiny profile's shape and prompts of 256, 512 and 1,024 tokens that are "answered" after
half the budget, as a RULER sample is by a model that finds it; then prompts of one haystack, as
niah_single_1's, by the default engine with and without reading a shared beginning once.
``--continuous``: transformers' ``generate_batch`` beside them.
``--device cuda``: prefill MFU at 4K and 16K for OLMo-2 1B's shapes instead (``--toy``: small shapes).
"""

import argparse
import random
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch

import repo_model
from stages.common.encoder import Encoder
from stages.common.files import read_jsonl
from stages.evaluate import engine, generate_batch, prefill, prefixes
from stages.evaluate.answers import stopper
from stages.evaluate.loading import load_any
from stages.evaluate.shards import batches

BATCH_TOKENS = 16384
PEAK_BF16 = {"H100": 989e12, "H200": 989e12, "A100": 312e12}
"""Dense FLOP/s that the makers state."""
WAYS = ("default", "static", "one by one")
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


def one_haystack(length: int, budget: int) -> Cell:
    """One needle at a random depth of a haystack that all prompts share."""
    rng = random.Random(length)
    haystack = [rng.randrange(2, 1024) for _ in range(length - budget - 40)]
    prompts = []
    for _ in range(64):
        depth = rng.randrange(len(haystack))
        needle, question = ([rng.randrange(2, 1024) for _ in range(20)] for _ in range(2))
        prompts.append([*haystack[:depth], *needle, *haystack[depth:], *question])
    return (
        f"one haystack, {length} tokens",
        prompts,
        budget,
        lambda rows: lambda row, ids: len(ids) >= budget // 2,
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
    run = {
        "static": engine.by_generate,
        "one by one": engine.by_generate,
        "continuous": generate_batch.generate,
    }.get(how, engine.generate)
    order = list(range(len(prompts)))
    if run is engine.generate:
        order = prefixes.in_order([prefixes.key(prompt) for prompt in prompts])
    size = BATCH_TOKENS if how == "one by one" else max(map(len, prompts)) + budget
    found: dict[int, list[int]] = {}
    started = time.process_time()
    for rows in batches(order, size, BATCH_TOKENS):
        batch = [prompts[row] for row in rows]
        for row, done in zip(rows, run(model, batch, budget, eos, stop(list(rows))), strict=True):
            found[row] = done.ids
    return time.process_time() - started, [found[row] for row in range(len(prompts))]


def without_reuse(model: Any, cell: Cell, eos: int) -> tuple[float, list[list[int]]]:
    least = prefixes._LEAST
    prefixes._LEAST = 2.0  # more than any prompt can share
    try:
        return timed(model, cell, "default", eos)
    finally:
        prefixes._LEAST = least


def compare(
    model: Any, cell: Cell, eos: int, rounds: int, ways: Sequence[str]
) -> dict[str, list[float]]:
    """CPU seconds of every round by way; says where outputs differ from the default's."""
    seconds: dict[str, list[float]] = defaultdict(list)
    outputs: dict[str, list[list[int]]] = {}
    for _ in range(rounds):
        for how in ways:
            taken, outputs[how] = (
                without_reuse(model, cell, eos)
                if how == "without reuse"
                else timed(model, cell, how, eos)
            )
            seconds[how].append(taken)
    equal = {
        how: sum(a == b for a, b in zip(outputs["default"], outputs[how], strict=True))
        for how in ways[1:]
    }
    print(
        f"{cell[0]}, {cell[2]} new: {median(seconds['default']):.2f} s CPU; "
        + ", ".join(f"{how} {ratio(seconds, how)}" for how in ways[1:])
        + f"; equal outputs of {len(cell[1])}: "
        + ", ".join(f"{count}" for count in equal.values()),
        flush=True,
    )
    return seconds


def ratio(seconds: Mapping[str, Sequence[float]], how: str) -> str:
    """How many times the default's CPU seconds: median over the rounds, least and greatest."""
    ratios = [a / b for a, b in zip(seconds[how], seconds["default"], strict=True)]
    return f"{median(ratios):.2f} x ({min(ratios):.2f}-{max(ratios):.2f})"


def prefill_mfu(device: str, toy: bool) -> None:
    """OLMo-2 1B in bf16: 2 FLOPs a parameter and token, and causal attention's own."""
    width, layers, cells = (2048, 16, ((4096, 4), (16384, 1)))
    if toy:
        width, layers, cells = (128, 2, ((256, 4), (1024, 1)))
    config = repo_model.RepoOlmo2Config(
        positions="repo",
        start_layer=layers // 3,
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=layers,
        num_attention_heads=width // 128,
        vocab_size=1024 if toy else 100352,
        max_position_embeddings=16384,
        rope_parameters={"rope_type": "default", "rope_theta": 5e5},
    )
    with torch.device(device):
        model = repo_model.RepoOlmo2ForCausalLM(config).bfloat16().eval()
    weights = sum(p.numel() for p in model.base_model.layers.parameters())
    name = torch.cuda.get_device_name() if device == "cuda" else "CPU"
    peak = next((peak for card, peak in PEAK_BF16.items() if card in name), None)
    for length, rows in cells:
        # Three rounds warm up; prompts share nothing, so each is read whole.
        taken = [_prefill_s(model, length, rows) for _ in range(8)][3:]
        attention = 2 * 2 * layers * length**2 * width / 2
        flops = rows * (2 * weights * length + attention) / median(taken)
        share = f", MFU {100 * flops / peak:.1f} %" if peak else ""
        tokens = rows * length / median(taken)
        print(
            f"{name}, {rows} x {length}: {tokens:,.0f} tokens/s, {flops / 1e12:.2f} TFLOP/s{share}"
        )


def _prefill_s(model: Any, length: int, rows: int) -> float:
    on_gpu = model.device.type == "cuda"
    prompts = torch.randint(0, model.config.vocab_size, (rows, length)).tolist()
    if on_gpu:
        torch.cuda.synchronize()
    started = time.perf_counter()
    with torch.inference_mode():
        prefill.read(model, prompts, [None] * rows, 0)
    if on_gpu:
        torch.cuda.synchronize()
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--samples", type=Path, nargs="*", default=[])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--continuous", action="store_true")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--toy", action="store_true", help="prefill alone, small shapes")
    options = parser.parse_args()
    if options.device == "cuda" or options.toy:
        prefill_mfu(options.device, options.toy)
        return
    torch.set_num_threads(1)  # as the evaluation's workers
    ways = [*WAYS, *(("continuous",) if options.continuous else ())]
    if options.model:
        model = load_any(options.model, str(options.model), None, torch.float32)
        encoder = Encoder(options.model)
        eos, cells = encoder.eos_id(), [from_file(file, encoder) for file in options.samples]
    else:
        model, eos = tiny(), 0
        cells = [made_up(length, budget) for length in (256, 512, 1024) for budget in (8, 20)]
    total: dict[str, list[float]] = {how: [0.0] * options.rounds for how in ways}
    for cell in cells:
        for how, seconds in compare(model, cell, eos, options.rounds, ways).items():
            total[how] = [a + b for a, b in zip(total[how], seconds, strict=True)]
    print("all: " + ", ".join(f"{how} {ratio(total, how)}" for how in ways[1:]), flush=True)
    if not options.model:
        for length in (256, 1024, 2048):
            cell = one_haystack(length, 8)
            compare(model, cell, eos, options.rounds, ("default", "without reuse", "static"))


if __name__ == "__main__":
    main()
