"""The rotation of q and k alone, forward and backward: every rung beside the counted floor.

    python benchmarks/rotary.py                     # CPU: width 256, 512 tokens
    python benchmarks/rotary.py --device cuda       # GPU: OLMo-2 1B, 4 x 4096, bf16
    python benchmarks/record.py benchmarks/rotary.py ...   # keeps the output in benchmarks/results

Rungs: `official` is written as the official HF code does it (cos and sin materialised per head over
the whole head, rotate_half; autograd does the rest); the others are `repo_model.rotary`'s.
The calls are interleaved in one process and the medians compared, so other load hits all alike.
Needs torch and transformers only.
"""

import argparse
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.record import hardware  # noqa: E402
from repo_model import rotary  # noqa: E402

# Bytes in units of one q tensor, forward plus backward, MHA in bf16, as counted in PERFORMANCE.md;
# the other rungs are not counted there.
FLOOR_TENSORS = 10
COUNTED_TENSORS = {"official": 149, "fused": FLOOR_TENSORS}


def official(
    q_BTHD: torch.Tensor, k_BTKD: torch.Tensor, z_BTK: torch.Tensor, inv_freq_F: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The eager way of the official HF port, in this project's precision."""
    freqs_BHTF = z_BTK.transpose(1, 2)[..., None] * inv_freq_F
    emb_BHTD = torch.cat((freqs_BHTF, freqs_BHTF), dim=-1)
    cos_BHTD, sin_BHTD = emb_BHTD.cos(), emb_BHTD.sin()
    rotated = []
    for x_BHTD in (q_BTHD.transpose(1, 2), k_BTKD.transpose(1, 2)):
        x1, x2 = x_BHTD.chunk(2, dim=-1)
        turned = x_BHTD * cos_BHTD + torch.cat((-x2, x1), dim=-1) * sin_BHTD
        rotated.append(turned.to(x_BHTD.dtype).transpose(1, 2))
    return rotated[0], rotated[1]


def interleaved_medians(
    calls: dict[str, Callable[[], Any]], rounds: int, device: str
) -> dict[str, float]:
    """Median milliseconds of each call; every round runs all of them in a random order."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    order = random.Random(0)
    for i in range(-3, rounds):
        for name in order.sample(list(calls), len(calls)):
            _synchronize(device)
            start = time.perf_counter()
            calls[name]()
            _synchronize(device)
            if i >= 0:
                times[name].append((time.perf_counter() - start) * 1e3)
    return {name: statistics.median(values) for name, values in times.items()}


def _synchronize(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def measure(device: str, shape: Sequence[int], dtype: torch.dtype, rounds: int) -> dict[str, Any]:
    """Milliseconds of each rung, forward + backward, and the floor in bytes."""
    B, T, H, D = shape
    torch.manual_seed(0)
    q, k, gq, gk = (torch.randn(B, T, H, D, device=device, dtype=dtype) for _ in range(4))
    z = (torch.rand(B, T, H, device=device) - 0.5) * 100
    inv_freq = 5e5 ** (-torch.arange(0, D, 2, device=device) / D)
    for x in (q, k, z):
        x.requires_grad_()

    def call(function: Callable[..., Any]) -> Callable[[], None]:
        def run() -> None:
            q.grad = k.grad = z.grad = None
            torch.autograd.backward(function(q, k, z, inv_freq), [gq, gk])

        return run

    def rung(name: str) -> Callable[..., Any]:
        def run(*tensors: torch.Tensor) -> Any:
            rotary.use_rotary(name)
            return rotary.rotate(*tensors)

        return run

    calls = {"official": call(official), "reference": call(rung("reference"))}
    calls |= {name: call(rung(name)) for name in ("vectorized", "fused", "auto")}
    if device == "cuda":
        calls["reference compiled"] = call(torch.compile(rung("reference"), fullgraph=True))
    medians = interleaved_medians(calls, rounds, device)
    floor_bytes = FLOOR_TENSORS * q.numel() * q.element_size()
    return {
        "shape_BTHD": list(shape),
        "dtype": str(dtype),
        "ms": medians,
        "floor_bytes": floor_bytes,
    }


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--shape", type=int, nargs=4, metavar=("B", "T", "H", "D"))
    parser.add_argument("--dtype", default=None, choices=("float32", "bfloat16"))
    parser.add_argument("--rounds", type=int, default=101)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: this machine has no GPU")
    torch.set_num_threads(options.threads)
    gpu = options.device == "cuda"
    shape = options.shape or ((4, 4096, 16, 128) if gpu else (1, 512, 4, 64))
    dtype = getattr(torch, options.dtype or ("bfloat16" if gpu else "float32"))
    result = measure(options.device, shape, dtype, options.rounds)
    print(f"{hardware()}, torch {torch.__version__}, {dtype}, median of {options.rounds}")
    print(f"B T H D = {shape}, forward + backward; floor = {result['floor_bytes'] / 1e6:.1f} MB")
    for name, ms in result["ms"].items():
        counted = COUNTED_TENSORS.get(name) if dtype == torch.bfloat16 else None
        counted_mb = (counted or 0) * result["floor_bytes"] / FLOOR_TENSORS / 1e6
        speed, rate = result["ms"]["official"] / ms, result["floor_bytes"] / ms / 1e6
        line = f"{name:>20} {ms:8.3f} ms {speed:6.2f} x official {rate:8.1f} GB/s of the floor"
        print(line + (f" {counted_mb:9.1f} MB counted" if counted else ""))


if __name__ == "__main__":
    main()
