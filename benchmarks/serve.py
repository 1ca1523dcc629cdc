"""Prefill and decode of RePo against RoPE: tokens a second and their ratio (the paper: +3.4 % time).

    python benchmarks/serve.py                 # CPU: width 256, 6 layers, 512 and 1,024 tokens
    python benchmarks/serve.py --device cuda   # GPU: OLMo-2 1B's shape, 4,096 and 16,384, bf16
    python benchmarks/record.py benchmarks/serve.py ...   # keeps the output in benchmarks/results

Both models have the same random weights but for the maps. Prefill is one forward over the prompts
that keeps its cache; decode is so many greedy steps after it. The two models take turns in a random
order in every round and the ratio is that of the medians, so other load hits both alike. Needs torch
and transformers only.
"""

import argparse
import random
import sys
import time
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import Any

import torch
from transformers import DynamicCache

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import repo_model  # noqa: E402
from benchmarks.record import hardware  # noqa: E402

SHAPES: dict[str, dict[str, int]] = {
    "cpu": {
        "hidden_size": 256,
        "intermediate_size": 704,
        "num_hidden_layers": 6,
        "num_attention_heads": 4,
        "vocab_size": 4096,
    },
    "cuda": {  # OLMo-2 1B
        "hidden_size": 2048,
        "intermediate_size": 8192,
        "num_hidden_layers": 16,
        "num_attention_heads": 16,
        "vocab_size": 100352,
    },
}
LENGTHS = {"cpu": (512, 1024), "cuda": (4096, 16384)}
PHASES = ("prefill", "decode")


def models(device: str, start_layer: int | None) -> dict[str, Any]:
    """RoPE and RePo; by default RePo begins at a third of the layers, as the paper's does at five."""
    shape = SHAPES[device]
    first = shape["num_hidden_layers"] // 3 if start_layer is None else start_layer
    found: dict[str, Any] = {}
    for positions in ("rope", "repo"):
        torch.manual_seed(0)
        config = repo_model.RepoOlmo2Config(
            positions=positions,
            start_layer=first if positions == "repo" else None,
            max_position_embeddings=max(LENGTHS[device]),
            rope_parameters={"rope_type": "default", "rope_theta": 5e5},
            **shape,
        )
        dtype = torch.bfloat16 if device == "cuda" else torch.float32
        found[positions] = repo_model.RepoOlmo2ForCausalLM(config).eval().to(device, dtype)
    # The maps draw in between, so that a seed alone does not give both the same weights.
    found["repo"].load_state_dict(found["rope"].state_dict(), strict=False)
    return found


@torch.inference_mode()
def seconds(model: Any, ids_BT: torch.Tensor, steps: int) -> dict[str, float]:
    """Of the prefill, and of the decode behind it."""
    cache = DynamicCache(config=model.config)
    start = _now(ids_BT.device)
    logits_BTV = model(ids_BT, past_key_values=cache, use_cache=True, logits_to_keep=1).logits
    middle = _now(ids_BT.device)
    for _ in range(steps):
        next_B1 = logits_BTV[:, -1:].argmax(-1)
        logits_BTV = model(next_B1, past_key_values=cache, use_cache=True).logits
    return {"prefill": middle - start, "decode": _now(ids_BT.device) - middle}


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def main() -> None:
    """Print a line for each length and phase."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=SHAPES, default="cpu")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, default=32, help="tokens that are decoded")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--start-layer", type=int, help="first layer of RePo")
    options = parser.parse_args()
    both = models(options.device, options.start_layer)
    print(f"{hardware()}, batch {options.batch}, {options.steps} decoded tokens, tokens a second")
    print(f"{'tokens':>7} {'phase':8} {'RoPE':>9} {'RePo':>9}  RePo's time / RoPE's")
    for length in LENGTHS[options.device]:
        draw = torch.Generator().manual_seed(length)
        most = SHAPES[options.device]["vocab_size"]
        ids_BT = torch.randint(0, most, (options.batch, length - options.steps), generator=draw)
        times: dict[tuple[str, str], list[float]] = defaultdict(list)
        order = random.Random(0)
        for turn in range(-1, options.rounds):
            for name in order.sample(list(both), len(both)):
                found = seconds(both[name], ids_BT.to(options.device), options.steps)
                for phase in PHASES if turn >= 0 else ():  # the first turn warms up
                    times[name, phase].append(found[phase])
        for phase in PHASES:
            tokens = options.batch * (ids_BT.shape[1] if phase == "prefill" else options.steps)
            rope, repo = (median(times[name, phase]) for name in both)
            print(
                f"{length:>7} {phase:8} {tokens / rope:>9.0f} {tokens / repo:>9.0f}  "
                f"{repo / rope:.3f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
