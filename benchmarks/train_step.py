"""Forward + backward of a whole model: what RePo costs beside RoPE.

    python benchmarks/train_step.py                  # CPU: width 256, 8 layers, 512 tokens
    python benchmarks/train_step.py --device cuda    # GPU: OLMo-2 1B, 4 x 4096, bf16, compiled
    python benchmarks/record.py benchmarks/train_step.py ...   # keeps the output

Both models live in one process and their steps are interleaved, so other load hits both alike. RePo
starts at the paper's layer (a third of the depth). On a GPU every rung of the rotation is measured
beside `auto`, with the milliseconds that the maps and the rotation may take by the counted floor.
Targets: 1.10 on CPU, 1.015 on an H200 (PERFORMANCE.md). Needs torch and transformers only.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.rotary import FLOOR_TENSORS, interleaved_medians
from repo_model import RepoOlmo2Config, RepoOlmo2ForCausalLM, rotary

CPU = {
    "hidden_size": 256,
    "num_hidden_layers": 8,
    "num_attention_heads": 4,
    "intermediate_size": 1024,
    "vocab_size": 1024,
    "max_position_embeddings": 512,
}
OLMO2_1B = {
    "hidden_size": 2048,
    "num_hidden_layers": 16,
    "num_attention_heads": 16,
    "intermediate_size": 8192,
    "vocab_size": 100352,
    "max_position_embeddings": 4096,
}
H200_BYTES_PER_MS = 4.8e9


def step(
    sizes: dict[str, int],
    positions: str,
    ids_BN: torch.Tensor,
    dtype: torch.dtype,
    compiled: bool,
    rung: str,
) -> Callable[[], None]:
    """A closure that runs one forward + backward of a fresh model with gradients set to None."""
    torch.manual_seed(0)
    rope = {"rope_type": "default", "rope_theta": 5e5}
    config = RepoOlmo2Config(
        **sizes,
        positions=positions,
        rope_parameters=rope,
        rms_norm_eps=1e-6,
        eos_token_id=None,
        pad_token_id=None,
        use_cache=False,
        dtype=dtype,
    )
    with torch.device(ids_BN.device):
        model = RepoOlmo2ForCausalLM(config).to(dtype).train()
    if compiled:
        for layer in model.model.layers:
            layer.compile(fullgraph=True)

    def run() -> None:
        rotary.use_rotary(rung)
        model.zero_grad(set_to_none=True)
        model(ids_BN, labels=ids_BN).loss.backward()

    return run


def main() -> None:
    """Measure and print the ratio."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--batch", type=int)
    parser.add_argument("--tokens", type=int, help="tokens per sequence")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--rungs", nargs="*", default=None, help="rungs of the rotation to measure beside auto"
    )
    parser.add_argument("--eager", action="store_true", help="GPU: do not compile")
    options = parser.parse_args()
    gpu = options.device == "cuda"
    if gpu and not torch.cuda.is_available():
        parser.error("--device cuda: this machine has no GPU")
    torch.set_num_threads(options.threads)
    sizes = OLMO2_1B if gpu else CPU
    batch, tokens = options.batch or (4 if gpu else 1), options.tokens or (4096 if gpu else 512)
    rounds = options.rounds or (21 if gpu else 41)
    dtype = torch.bfloat16 if gpu else torch.float32
    ids_BN = torch.randint(0, sizes["vocab_size"], (batch, tokens), device=options.device)
    compiled = gpu and not options.eager
    rungs = options.rungs if options.rungs is not None else (["reference"] if gpu else [])

    def build(positions: str, rung: str = "auto") -> Callable[[], None]:
        return step(sizes, positions, ids_BN, dtype, compiled, rung)

    calls = {"rope": build("rope"), "repo": build("repo")}
    calls |= {f"repo, {rung}": build("repo", rung) for rung in rungs}
    ms = interleaved_medians(calls, rounds, options.device)
    report(ms, sizes, batch * tokens, dtype, rounds)


def report(
    ms: dict[str, float], sizes: dict[str, int], tokens: int, dtype: torch.dtype, rounds: int
) -> None:
    """Print the table."""
    layers = sizes["num_hidden_layers"] - sizes["num_hidden_layers"] // 3
    bytes_per_layer = FLOOR_TENSORS * tokens * sizes["hidden_size"] * dtype.itemsize
    depth = sizes["num_hidden_layers"]
    print(f"width {sizes['hidden_size']}, {depth} layers ({layers} RePo), {tokens} tokens, {dtype}")
    print(f"forward + backward, interleaved, median of {rounds}")
    for name, value in ms.items():
        speed = tokens / value
        print(f"{name:>20} {value:9.2f} ms {value / ms['rope']:6.3f} x rope {speed:7.1f} K tok/s")
    floor_bytes = layers * bytes_per_layer
    floor_ms = floor_bytes / H200_BYTES_PER_MS
    print(f"floor of the rotations: {floor_bytes / 1e9:.2f} GB, {floor_ms:.2f} ms on an H200")


if __name__ == "__main__":
    main()
