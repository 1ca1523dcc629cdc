"""What the product's training loop costs beside a bare PyTorch loop, its checkpoints and its kills.

    python benchmarks/train_loop.py                  # CPU: the tiny profile's size, one worker
    python benchmarks/train_loop.py --device cuda    # GPU: OLMo-2 1B with RePo, 4096, bf16, compiled
    python benchmarks/train_loop.py --rehearse       # what the GPU would run, at toy size on a CPU
    python benchmarks/record.py benchmarks/train_loop.py ...   # keeps the output

Same model, batch, data type and optimizer in both; whole optimizer steps are interleaved in one
process, so other load hits both alike, in blocks whose ratios show how much it did. The product's step
has all that belongs to it: data, loss curve, spikes, health, metrics. A checkpoint's cost is the time
that ten steps with one begun before them take longer than ten without. After a kill -9 of one of two
workers and of the driver the seconds to the first new step are taken (more: kill_training.py).

On a GPU a RoPE model's step stands beside, with tokens per second, both MFUs, the parts of a step (both
kernels of the loss among them) and the product's own peak memory. All loops together take 105 GB at 4 x
4096 (an H200); on less, `--beside` says which stand beside the product. Targets: 1.10 times the bare
step, 2 % for checkpoints at one a minute (issue text), 50 K tok/s on an H200 (PERFORMANCE.md).
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import repo_model
from benchmarks.kill_training import Kill, recover, write_tokens
from benchmarks.rotary import interleaved_medians
from benchmarks.train_step import OLMO2_1B
from stages.common.tokens import TokenStore
from stages.training.execution import Execution, loss_kernel
from stages.training.flops import peak, peak_memory, work_per_token
from stages.training.loop import Loop
from stages.training.objective import Kernel, next_token_loss
from stages.training.optimizer import build as build_optimizer
from stages.training.optimizer import schedule
from stages.training.order import DataOrder
from stages.training.params import TrainingParams
from stages.training.run import Run
from stages.training.watchdog import Watchdog

TINY = {
    "hidden_size": 96,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "vocab_size": 1024,
    "max_position_embeddings": 256,
}
CADENCE_S = 60.0
STEPS_WITH_A_CHECKPOINT = 10
BLOCKS = 5
PROCESS_GROUP = {
    "WORLD_SIZE": "1",
    "RANK": "0",
    "LOCAL_RANK": "0",
    "MASTER_ADDR": "127.0.0.1",
    "MASTER_PORT": "0",
}


def build(sizes: dict[str, int], positions: str) -> nn.Module:
    """The model, equal at every call."""
    torch.manual_seed(0)
    layers = sizes["num_hidden_layers"]
    start = {"start_layer": layers // 3 or 1} if positions == "repo" else {}
    config = repo_model.RepoOlmo2Config(
        **sizes,
        positions=repo_model.layer_types(positions, layers, **start),
        rope_parameters={"rope_type": "default", "rope_theta": 5e5},
        eos_token_id=0,
        pad_token_id=None,
        bos_token_id=None,
    )
    return repo_model.RepoOlmo2ForCausalLM(config)


def recipe(length: int, batch_tokens: int, precision: str) -> TrainingParams:
    """The tiny profile's optimizer; long enough never to end."""
    return TrainingParams(
        tokens=batch_tokens * 20_000,
        batch_tokens=batch_tokens,
        lengths=({"length": length, "share": 1.0},),
        lr=3e-3 if precision == "fp32" else 7.4e-5,
        betas=(0.9, 0.95),
        eps=1e-8,
        weight_decay=0.1,
        grad_clip=1.0,
        z_loss=1e-5,
        warmup_steps=0,
        decay_share=1.0,
        precision=precision,
    )


class Bare:
    """A loop as one writes it in an afternoon: no engine, no curve, no checkpoint.

    bf16 has fp32 master weights, as the product has.
    """

    def __init__(self, run: Run, execution: Execution, device: torch.device, parts: int) -> None:
        self.params, self.parts, self.device, self.taken = run.params, parts, device, 0
        self.kernel = execution.loss
        self.order = DataOrder(TokenStore(run.tokens), run.params, run.seed)
        self.model = run.build().to(device).train()
        self.low = self.model
        if run.params.precision == "bf16":
            self.low = run.build().to(device, torch.bfloat16).train()
        if execution.compile:
            for layer in self.low.model.layers:  # type: ignore[union-attr]
                layer.compile()
        self.optimizer = build_optimizer(self.model, run.params, fused=device.type == "cuda")
        self.full = [group["lr"] for group in self.optimizer.param_groups]

    def step(self) -> None:
        """One optimizer step."""
        for group, lr in zip(self.optimizer.param_groups, self.full, strict=True):
            group["lr"] = lr * schedule(self.params, self.taken)
        rows = self.order.rows(self.taken) // self.parts
        for part in range(self.parts):
            ids = torch.from_numpy(self.order.batch(self.taken, part * rows, rows)).to(self.device)
            (self.objective(ids) / self.parts).backward()
        for master, low in zip(self.model.parameters(), self.low.parameters(), strict=True):
            if master is not low:
                assert low.grad is not None
                master.grad, low.grad = low.grad.float(), None
        nn.utils.clip_grad_norm_(self.model.parameters(), self.params.grad_clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        if self.low is not self.model:
            with torch.no_grad():
                for master, low in zip(self.model.parameters(), self.low.parameters(), strict=True):
                    low.copy_(master)
        self.taken += 1

    def objective(self, ids_BT: torch.Tensor) -> torch.Tensor:
        """The product's loss."""
        hidden_BTD = self.low.model(input_ids=ids_BT, use_cache=False).last_hidden_state  # type: ignore[operator]
        head_VD = self.low.get_output_embeddings().weight  # type: ignore[operator]
        return next_token_loss(hidden_BTD, head_VD, ids_BT, self.params.z_loss, kernel=self.kernel)[
            1
        ]


def checkpoint_cost(loop: Loop, rounds: int) -> dict[str, float]:
    """Seconds that a checkpoint adds to the steps behind it, and how long training stands still."""

    def steps(with_checkpoint: bool) -> float:
        loop.writer.wait()
        started = time.perf_counter()
        if with_checkpoint:
            loop.save()
        for _ in range(STEPS_WITH_A_CHECKPOINT):
            loop.take_step()
        if loop.engine.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - started

    differences, stalls = [], []
    for _ in range(rounds):  # pairs, so that other load hits both of one alike
        without = steps(False)
        differences.append(steps(True) - without)
        stalls.append(loop.writer.last_stall_s)
    added = median(differences)
    loop.writer.wait()
    return {
        "stall_s": median(stalls),
        "added_s": added,
        "write_s": loop.writer.last_write_s,
        "share_at_one_a_minute": max(added, 0.0) / CADENCE_S,
    }


def parts_of_a_step(loop: Loop, rounds: int, device: str) -> dict[str, float]:
    """Milliseconds of a pass over one part of the batch: forward, with backward, and its loss alone."""
    ids_BT = torch.from_numpy(loop.order.batch(0, 0, loop.order.rows(0) // loop.parts))
    ids_BT = ids_BT.to(loop.engine.device)
    objective = loop.engine._engine.module
    head_VD = loop.engine.model.get_output_embeddings().weight  # type: ignore[operator]
    shape = (*ids_BT.shape, head_VD.shape[1])
    hidden_BTD = torch.randn(shape, device=head_VD.device, dtype=head_VD.dtype).requires_grad_()

    def read() -> None:
        loop.order.batch(loop.step, 0, loop.order.rows(loop.step) // loop.parts)

    def forward() -> None:
        with torch.no_grad():
            objective(ids_BT)

    def both() -> None:
        objective(ids_BT)[1].backward()
        loop.engine.model.zero_grad(set_to_none=True)

    def loss(kernel: Kernel) -> None:
        next_token_loss(hidden_BTD, head_VD, ids_BT, 1e-5, kernel=kernel)[1].backward()
        hidden_BTD.grad = head_VD.grad = None

    kernels: set[Kernel] = {"chunked", loop.execution.loss}
    calls: dict[str, Callable[[], Any]] = {"reading its tokens": read, "forward": forward}
    calls["forward + backward"] = both
    calls |= {f"{kernel} loss": partial(loss, kernel) for kernel in sorted(kernels)}
    return interleaved_medians(calls, rounds, device)


def in_blocks(
    calls: dict[str, Callable[[], Any]], rounds: int, device: str
) -> list[dict[str, float]]:
    """Medians of ``BLOCKS`` blocks of interleaved steps."""
    return [interleaved_medians(calls, max(rounds // BLOCKS, 1), device) for _ in range(BLOCKS)]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument(
        "--rehearse", action="store_true", help="the GPU's command, small, on a CPU"
    )
    parser.add_argument("--rounds", type=int, help="steps of each loop")
    parser.add_argument("--parts", type=int, help="passes per step (GPU: of 4 x 4096 tokens)")
    parser.add_argument("--loss", default="", help="chunked or liger; the best there is by default")
    parser.add_argument(
        "--beside", nargs="*", default=["bare", "rope"], choices=("bare", "rope"), help="GPU"
    )
    parser.add_argument("--eager", action="store_true", help="GPU: do not compile")
    parser.add_argument("--no-kills", action="store_true", help="leave the kills out")
    options = parser.parse_args()
    gpu = options.device == "cuda"
    if gpu and not torch.cuda.is_available():
        parser.error("--device cuda: this machine has no GPU")
    if not gpu:
        torch.set_num_threads(1)
    os.environ.update(PROCESS_GROUP)
    big = gpu or options.rehearse
    if options.rehearse:
        os.environ.setdefault(
            "REPO_PEAK_TFLOPS", "0.1"
        )  # about what a core has, for the arithmetic
    sizes, length = (OLMO2_1B, 4096) if gpu else (TINY, 256)
    pass_tokens = 4 * 4096 if gpu else 2048
    parts = options.parts or (4 if gpu else 1 + options.rehearse)
    rounds = options.rounds or (15 if big else 200)
    params = recipe(length, pass_tokens * parts, "bf16" if big else "fp32")
    execution = Execution(
        workers=1,
        use_gpu=gpu,
        micro_batch_tokens=pass_tokens,
        compile=big and not options.eager,
        loss=loss_kernel(options.loss, gpu),
        checkpoint_seconds=1e9,
    )
    beside = options.beside if big else ["bare", "zero 0"]
    with tempfile.TemporaryDirectory(prefix="train-loop-") as folder:
        root = Path(folder)
        store = dist.FileStore(str(root / "store"), 1)
        dist.init_process_group("nccl" if gpu else "gloo", store=store, rank=0, world_size=1)
        tokens = write_tokens(root / "tokens")
        measure(root, tokens, sizes, params, execution, rounds, beside)
        dist.destroy_process_group()
    if not options.no_kills:
        kills()


def measure(
    root: Path,
    tokens: Path,
    sizes: dict[str, int],
    params: TrainingParams,
    execution: Execution,
    rounds: int,
    beside: Sequence[str],
) -> None:
    """Measure and print the tables. ``beside``: the loops to compare the product's with."""
    device = "cuda" if execution.use_gpu else "cpu"
    with Watchdog(3600.0, print, root, 0) as watchdog:

        def loop_of(name: str, settings: Execution, positions: str = "repo") -> Loop:
            run = Run(params, 7, tokens, root / name, partial(build, sizes, positions))
            run.folder.mkdir()
            return Loop(run, settings, 0, 1, watchdog)

        loop = loop_of("product", execution)
        for _ in range(3):
            loop.take_step()
        alone_gib = peak_memory() / 2**30
        calls: dict[str, Callable[[], Any]] = {"product": loop.take_step}
        if "bare" in beside:
            calls["bare"] = Bare(loop.run, execution, loop.engine.device, loop.parts).step
        if "rope" in beside:
            calls["rope"] = loop_of("rope", execution, "rope").take_step
        if "zero 0" in beside:
            calls["zero 0"] = loop_of("zero 0", replace(execution, zero_stage=0)).take_step
        blocks = in_blocks(calls, rounds, device)
        cost = checkpoint_cost(loop, min(rounds, 15))
        inside = parts_of_a_step(loop, min(rounds, 15), device)
    batch, ms = params.batch_tokens, {n: median(block[n] for block in blocks) for n in calls}
    result: dict[str, Any] = {"tokens": batch, "ms": ms, "parts_ms": inside}
    result |= {"checkpoint": cost, "peak_memory_gib": alone_gib}
    result["tokens_per_s"] = batch / ms["product"] * 1e3
    if (most := peak()) is not None:
        work = work_per_token(loop.engine.model, params.lengths[0].length)
        result["mfu_causal"] = result["tokens_per_s"] * work.causal / most
        result["mfu_full"] = result["tokens_per_s"] * work.full / most
    for other in set(calls) - {"product"}:
        ratios = [block["product"] / block[other] for block in blocks]
        result[f"product_over_{other}"] = [min(ratios), median(ratios), max(ratios)]
    report(result, loop, execution)


def report(result: dict[str, Any], loop: Loop, execution: Execution) -> None:
    """Print the tables."""
    count = sum(p.numel() for p in loop.engine.model.parameters())
    ms, inside, cost = result["ms"], result["parts_ms"], result["checkpoint"]
    print(
        f"{count:,} parameters, {result['tokens']:,} tokens a step in {loop.parts} passes, "
        f"{loop.run.params.precision}, {execution.loss} loss, "
        f"{'compiled' if execution.compile else 'eager'}"
    )
    names = {"zero 0": "product, ZeRO 0", "rope": "product, RoPE model"}
    for name, value in ms.items():
        print(
            f"{names.get(name, name):>20} {value:9.2f} ms {result['tokens'] / value:8.1f} K tok/s"
        )
    for name, value in inside.items():
        print(f"{name:>20} {value:9.2f} ms of each pass")
    rest = ms["product"] - loop.parts * inside["forward + backward"]
    print(f"{'the rest of a step':>20} {rest:9.2f} ms: optimizer, reductions, data, eyes")
    for other in ms:
        if other != "product":
            low, middle, high = result[f"product_over_{other}"]
            words = "RePo / RoPE, whole steps" if other == "rope" else f"product / {other}"
            print(f"{words}: {middle:.4f} ({low:.4f} to {high:.4f} over {BLOCKS} blocks)")
    if "mfu_causal" in result:
        print(f"MFU {result['mfu_causal']:.3f} causal, {result['mfu_full']:.3f} full")
    print(f"peak memory of the product's loop alone {result['peak_memory_gib']:.2f} GiB")
    print(
        f"checkpoint: training stands still {1e3 * cost['stall_s']:.1f} ms, ten steps take "
        f"{1e3 * cost['added_s']:.1f} ms longer (written in {1e3 * cost['write_s']:.0f} ms); "
        f"{100 * cost['share_at_one_a_minute']:.2f} % of the time at one a minute",
        flush=True,
    )


def kills() -> None:
    """Print the seconds from a kill -9, of a worker and of the driver, to the first new step (CPU)."""
    for name in PROCESS_GROUP:
        os.environ.pop(name, None)
    outcomes = recover([Kill("worker", 8, 0.0), Kill("driver", 20, 0.0)])
    for done in outcomes:
        print(
            f"{done.kill.kind} killed at step {done.at_step}: went on from step {done.resumed_at}, "
            f"first new step after {done.back_s:.1f} s"
        )


if __name__ == "__main__":
    main()
