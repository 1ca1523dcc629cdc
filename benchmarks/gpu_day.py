"""What half an hour on a borrowed GPU should answer, in order of worth; nothing is asked twice.

    python benchmarks/gpu_day.py --out results            # GPU: everything, 25 minutes in all
    python benchmarks/gpu_day.py --out results --only speed --seconds 540
    python benchmarks/gpu_day.py --out results --toy      # CPU: a rehearsal of the script itself

Every part is a process of its own (an illegal access ends one part, not the day) and leaves
``<part>.json``; a part that has one is skipped, so a call that was cut off goes on where it was.
Needs torch, transformers, safetensors, pydantic, numpy, filelock and psutil: neither Ray nor DeepSpeed,
so the optimizer step here is fused AdamW on fp32 weights under bf16 autocast, for every setting alike.
``steps`` kills itself after half of the steps and goes on from its checkpoint.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402
from torch import Tensor  # noqa: E402

from benchmarks.record import hardware  # noqa: E402
from repo_model import RepoOlmo2Config, RepoOlmo2ForCausalLM  # noqa: E402
from stages.training import attention  # noqa: E402
from stages.training.engine import _Objective, unused  # noqa: E402
from stages.training.flops import peak, peak_memory, work_per_token  # noqa: E402
from stages.training.objective import chunk_of  # noqa: E402

DAY_S, PART_S = 1500.0, 540.0
KILLED = 9
SMALL = {
    "hidden_size": 512,
    "num_hidden_layers": 6,
    "num_attention_heads": 8,
    "num_key_value_heads": 8,
    "intermediate_size": 1024,
    "vocab_size": 8192,
    "max_position_embeddings": 1024,
}
OLMO2_1B = {
    "hidden_size": 2048,
    "num_hidden_layers": 16,
    "num_attention_heads": 16,
    "num_key_value_heads": 16,
    "intermediate_size": 8192,
    "vocab_size": 100352,
    "max_position_embeddings": 16384,
}
TOY = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "intermediate_size": 64,
    "vocab_size": 64,
    "max_position_embeddings": 64,
}


class Day(NamedTuple):
    """Sizes of a day: a real one or its rehearsal."""

    toy: bool
    device: str
    small: dict[str, int]
    large: dict[str, int]
    batch: tuple[int, int]
    prefill: tuple[int, ...]
    steps: int
    rounds: int

    @property
    def dtype(self) -> torch.dtype:
        """Of the passes."""
        return torch.float32 if self.toy else torch.bfloat16


REAL = Day(False, "cuda", SMALL, OLMO2_1B, (4, 4096), (4096, 16384), 50, 10)
REHEARSAL = Day(True, "cpu", TOY, TOY, (2, 16), (16, 32), 6, 2)
VARIANTS = ("repo", "rope", "nope", "r2n1", "n2r1")
Measure = Callable[[Day, Path], dict[str, Any]]


def build(sizes: dict[str, int], positions: str, device: str) -> Any:
    """An OLMo-2 of these sizes with fresh weights."""
    torch.manual_seed(0)
    config = RepoOlmo2Config(
        **sizes,
        positions=positions,
        rope_parameters={"rope_type": "default", "rope_theta": 5e5},
        eos_token_id=None,
        bos_token_id=None,
        pad_token_id=None,
    )
    with torch.device(device):
        return RepoOlmo2ForCausalLM(config)


class Stepper:
    """A model with its loss and optimizer, one step at a time."""

    def __init__(
        self, day: Day, sizes: dict[str, int], positions: str, compiled: bool = False,
        kernel: str = "sdpa", loss: str = "chunked",
    ) -> None:  # fmt: skip
        self.day, self.model = day, build(sizes, positions, day.device)
        attention.choose(self.model, kernel)  # type: ignore[arg-type]
        if compiled:
            for layer in self.model.model.layers:
                layer.compile()
        self.objective = _Objective(self.model, 1e-5, None, loss)  # type: ignore[arg-type]
        fused = day.device == "cuda"
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-4, fused=fused)
        self.seconds: dict[str, list[float]] = {"forward": [], "backward": [], "optimizer": []}

    def step(self, ids_BT: Tensor) -> Tensor:
        """Forward, backward, optimizer; the time of each is kept."""
        with self._timed("forward"), self.autocast():
            entropy, trained_on = self.objective(ids_BT)
        with self._timed("backward"):
            trained_on.backward()
        if self.day.device == "cuda" and not self.seconds["optimizer"]:  # as the engine does it
            self.objective.chunk = chunk_of(unused(torch.device("cuda")))
        with self._timed("optimizer"):
            self.optimizer.step()
            self.optimizer.zero_grad()
        return entropy

    def autocast(self) -> Any:
        """bf16 passes on a GPU."""
        return torch.autocast(self.day.device, torch.bfloat16, enabled=not self.day.toy)

    def _timed(self, name: str) -> Any:
        return _Timed(self.seconds[name], self.day.device)


class _Timed:
    def __init__(self, into: list[float], device: str) -> None:
        self._into, self._device = into, device

    def __enter__(self) -> None:
        synchronize(self._device)
        self._began = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        synchronize(self._device)
        self._into.append(time.perf_counter() - self._began)


def synchronize(device: str) -> None:
    """Wait for the device."""
    if device == "cuda":
        torch.cuda.synchronize()


def ids(day: Day, sizes: dict[str, int], step: int, shape: tuple[int, int]) -> Tensor:
    """The batch of a step: the same whenever it is asked for."""
    draw = torch.Generator().manual_seed(step)
    return torch.randint(0, sizes["vocab_size"], shape, generator=draw).to(day.device)


def steps(variant: str) -> Measure:
    """Steps of a small model; in the middle it is killed, and goes on from what was saved."""

    def measure(day: Day, out: Path) -> dict[str, Any]:
        saved = out / f"steps-{variant}.safetensors"
        stepper, losses = Stepper(day, day.small, variant, compiled=not day.toy), []
        shape = (2, day.small["max_position_embeddings"])
        first = 0
        if saved.is_file():
            first = day.steps // 2
            losses = restore(stepper, saved)
        for step in range(first, day.steps):
            losses.append(stepper.step(ids(day, day.small, step, shape)))
            if saved.is_file() is False and step + 1 == day.steps // 2:
                save(stepper, saved, losses)
                os._exit(KILLED)
        curve = torch.stack(losses).tolist()
        saved.unlink()
        return {"losses": curve, "resumed_at": first, "finite": all(x == x for x in curve)}

    return measure


def save(stepper: Stepper, file: Path, losses: list[Tensor]) -> None:
    """Weights, Adam's state and the curve so far."""
    held = {"losses": torch.stack(losses).detach().float().cpu()}
    for name, parameter in stepper.model.named_parameters():
        held[name] = parameter.detach().cpu()
        for key, value in stepper.optimizer.state[parameter].items():
            held[f"{name}|{key}"] = value.detach().cpu()
    save_file(held, file)


@torch.no_grad()
def restore(stepper: Stepper, file: Path) -> list[Tensor]:
    """Put them back; returns the losses so far."""
    from stages.training.named_state import write_whole

    held = load_file(file)
    curve = held.pop("losses").to(stepper.day.device)
    for name, parameter in stepper.model.named_parameters():
        parameter.copy_(held[name])
    write_whole(stepper.model, stepper.optimizer, held)
    return list(curve)


def speed(positions: str, compiled: bool, kernel: str, loss: str) -> Measure:
    """Whole steps of OLMo-2 1B at 4 x 4096 under one setting."""

    def measure(day: Day, out: Path) -> dict[str, Any]:
        stepper = Stepper(day, day.large, positions, compiled and not day.toy, kernel, loss)
        work = work_per_token(stepper.model, day.batch[1])
        for step in range(2 + day.rounds):
            if step == 2:  # what happens once is over
                stepper.seconds = {name: [] for name in stepper.seconds}
            stepper.step(ids(day, day.large, step, day.batch))
        each = {name: median(times) for name, times in stepper.seconds.items()}
        rate = day.batch[0] * day.batch[1] / sum(each.values())
        return {
            "tokens_per_s": rate,
            "ms": {name: 1e3 * seconds for name, seconds in each.items()},
            **mfu(rate, work.causal, work.full),
            "peak_gib": peak_memory() / 2**30,
        }

    return measure


def mfu(rate: float, causal: float, full: float) -> dict[str, float]:
    """Shares of the device's peak, where that is known."""
    most = peak()
    return (
        {} if most is None else {"mfu_causal": rate * causal / most, "mfu_full": rate * full / most}
    )


def prefill(day: Day, out: Path) -> dict[str, Any]:
    """Reading prompts: forward passes alone."""
    found = {}
    for positions in ("repo", "rope"):
        model = build(day.large, positions, day.device).to(day.dtype).eval()
        for length in day.prefill:
            rows, times = max(1, 16384 // length), []
            with torch.no_grad():
                for step in range(2 + day.rounds):
                    row = ids(day, day.large, step, (rows, length))
                    with _Timed(times, day.device):
                        model.model(input_ids=row, use_cache=False)
            rate = rows * length / median(times[2:])
            work = work_per_token(model, length)
            shares = mfu(rate, work.causal / 3, work.full / 3)
            found[f"{positions} {length}"] = {"tokens_per_s": rate, **shares}
    return found


def checkpoint(day: Day, out: Path) -> dict[str, Any]:
    """The copy to the host (the stall) and the writing of one rank's state, of eight or alone."""
    from stages.training.checkpoint import write_rank
    from stages.training.writer import CheckpointWriter

    found = {}
    for ranks in (8, 1):
        count = sum(p.numel() for p in build(day.large, "repo", "meta").parameters()) // ranks
        held = {f"{n}@0": torch.zeros(count, device=day.device) for n in ("w", "m", "v")}
        with tempfile.TemporaryDirectory(dir=out) as folder:
            writer = CheckpointWriter(Path(folder), 0, 1, "day", 1, {})
            stalls: list[float] = []
            for _ in range(3):
                with _Timed(stalls, day.device):
                    writer._copy(held)
            began = time.perf_counter()
            write_rank(Path(folder), 0, writer._host)
            wrote = time.perf_counter() - began
        found[f"1 of {ranks}"] = {
            "bytes": 12 * count, "first_stall_s": stalls[0], "stall_s": stalls[-1], "write_s": wrote,
        }  # fmt: skip
        del held, writer
    return found


def ladder(day: Day, out: Path) -> dict[str, Any]:
    """The rotation's rungs (benchmarks/rotary.py)."""
    small = ["--rounds", "3", "--shape", "1", "16", "2", "16"] if day.toy else []
    command = [sys.executable, "benchmarks/rotary.py", "--device", day.device, *small]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return {"code": done.returncode, "text": done.stdout + done.stderr[-2000:]}


def median(values: list[float]) -> float:
    """The middle one."""
    return sorted(values)[len(values) // 2]


def parts() -> Iterator[tuple[str, Measure]]:
    """Every part in order of worth."""
    for variant in VARIANTS:
        yield f"steps-{variant}", steps(variant)
    settings = [
        (True, "sdpa", "chunked"), (True, "sdpa", "liger"), (True, "cudnn", "liger"),
        (False, "sdpa", "chunked"), (False, "sdpa", "liger"), (True, "flash", "liger"),
    ]  # fmt: skip
    for compiled, kernel, loss in settings:
        for positions in ("repo", "rope"):
            name = f"speed-{positions}-{'compiled' if compiled else 'eager'}-{kernel}-{loss}"
            yield name, speed(positions, compiled, kernel, loss)
    yield "checkpoint", checkpoint
    yield "ladder", ladder
    yield "prefill", prefill


def run_part(name: str, day: Day, out: Path) -> None:
    """In this process; its result, or why there is none, is left in the folder."""
    try:
        found = dict(parts())[name](day, out)
    except Exception as error:  # one that cannot be here (no Liger, no flash) is an answer as well
        found = {"error": f"{type(error).__name__}: {error}"[:2000]}
    (out / f"{name}.part").write_text(json.dumps(found))
    (out / f"{name}.part").rename(out / f"{name}.json")


def main() -> int:
    """Work through the parts that are open while there is time."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--toy", action="store_true")
    parser.add_argument("--only", default="", help="parts whose name begins so, with commas")
    parser.add_argument("--seconds", type=float, default=DAY_S, help="of this call")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    day = REHEARSAL if options.toy else REAL
    if options.part:
        run_part(options.part, day, options.out)
        return 0
    end = time.monotonic() + options.seconds
    print(hardware(), flush=True)
    for name, _ in parts():
        if (
            not name.startswith(tuple(options.only.split(",")))
            or (options.out / f"{name}.json").is_file()
        ):
            continue
        if time.monotonic() > end:
            print(f"{name}: no time left; call again", flush=True)
            return 1
        print(f"{name}: {_in_a_process(name, options, end)}", flush=True)
    return 0


def _in_a_process(name: str, options: argparse.Namespace, end: float) -> str:
    if options.toy and not name.startswith("steps"):
        run_part(name, REHEARSAL, options.out)  # imports take longer than the part
    else:
        command = [sys.executable, __file__, "--out", str(options.out), "--part", name]
        command += ["--toy"] if options.toy else []
        limit = max(30.0, min(PART_S, end - time.monotonic()))
        try:
            code = subprocess.run(command, timeout=limit, check=False).returncode
            if code == KILLED:
                code = subprocess.run(command, timeout=limit, check=False).returncode
        except subprocess.TimeoutExpired:
            return f"not within {limit:.0f} s"
        if code:
            return f"exit {code}"
    return (options.out / f"{name}.json").read_text()[:400]


if __name__ == "__main__":
    sys.exit(main())
