"""Kill a training run again and again, and compare what it ends with to a run left alone.

    python benchmarks/kill_training.py --seed 1        # ten kills in 60 steps; 4 minutes on 2 cores
    python benchmarks/kill_training.py --seed 1 --kills 20 --optimizer muon

Every kill is a ``kill -9`` at a moment drawn from the seed: of a worker, of the driver, or of a worker
while a checkpoint is being written. A killed driver is started anew, as a person would; Ray Train
starts killed workers anew. The table says what was killed and when, from which step the run went on,
and how many seconds passed from the kill to the first new step. Ends with 0 when the losses of all
steps and all weights are equal bit for bit, else with 1.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil
import torch
from safetensors.torch import load_file
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import repo_model
from stages.common.ray_session import session
from stages.common.tokens import DTYPE
from stages.training.attempts import LIMIT
from stages.training.launch import launch
from stages.training.params import TrainingParams
from stages.training.run import Run

STEPS, LENGTH, VOCABULARY = 60, 128, 512
LAST_KILL_STEP = STEPS - 15
"""Later kills could find a run that is done."""
WORKER = "TrainWorker"
"""In the title of Ray Train's worker processes."""
PATIENCE_S = 600.0
OVER = "the run was over before its next kill: give fewer --kills"
KINDS = ("worker", "driver", "write")
KILLS_FROM_ONE = LIMIT - 1
"""Workers' kills from one checkpoint on: with one more the product calls the run hopeless."""


class Kill(NamedTuple):
    """One kill, as it was drawn."""

    kind: str
    step: int
    """Not before this many steps are done."""
    delay_s: float


class Outcome(NamedTuple):
    """What a kill hit, and what came of it."""

    kill: Kill
    at_step: int
    half_written: str
    resumed_at: int
    back_s: float


def build() -> nn.Module:
    """A RePo model whose checkpoint takes a moment to write (2.5 M parameters, 30 MB)."""
    torch.manual_seed(3)
    config = repo_model.RepoOlmo2Config(
        positions=["rope", "repo", "repo", "repo"],
        vocab_size=VOCABULARY,
        hidden_size=192,
        intermediate_size=512,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=LENGTH,
        pad_token_id=None,
        bos_token_id=None,
        eos_token_id=0,
    )
    return repo_model.RepoOlmo2ForCausalLM(config)


def params(optimizer: str) -> TrainingParams:
    """60 steps of 8 sequences."""
    return TrainingParams(
        tokens=STEPS * 8 * LENGTH,
        batch_tokens=8 * LENGTH,
        lengths=({"length": LENGTH, "share": 1.0},),
        optimizer=optimizer,
        muon_lr=0.02 if optimizer == "muon" else None,
        lr=3e-3,
        betas=(0.9, 0.95),
        eps=1e-8,
        weight_decay=0.1,
        grad_clip=1.0,
        z_loss=1e-5,
        warmup_steps=5,
        decay_share=0.5,
        precision="fp32",
    )


def write_tokens(folder: Path) -> Path:
    """Tokens that mostly follow from one another."""
    draw = np.random.default_rng(0)
    steps = np.where(draw.random(60_000) < 0.8, 3, draw.integers(0, VOCABULARY, 60_000))
    (folder / "train").mkdir(parents=True)
    (np.cumsum(steps) % VOCABULARY).astype(DTYPE).tofile(folder / "train" / "a.npy")
    shard = {"split": "train", "source": "a", "file": "train/a.npy", "tokens": 60_000}
    manifest = {"vocab_size": VOCABULARY, "eos_id": 0, "shards": [shard]}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


class Training:
    """A driver in a process of its own, and what can be seen of it from outside."""

    def __init__(self, folder: Path, address: str, optimizer: str) -> None:
        self.folder = folder / "run"
        self.folder.mkdir(parents=True)
        self._log = folder / "driver.log"
        self._command = [sys.executable, __file__, "--drive", str(folder), "--optimizer", optimizer]
        execution = {"RAY_ADDRESS": address, "REPO_WORKERS": "2", "REPO_USE_GPU": "0"}
        self._environment = {**os.environ, **execution}
        self._driver: subprocess.Popen[bytes] | None = None

    def begin(self) -> None:
        """Start the driver."""
        with open(self._log, "ab") as log:
            self._driver = subprocess.Popen(
                self._command, env=self._environment, stdout=log, stderr=log, start_new_session=True
            )

    def done(self) -> bool:
        """Whether the run is over; raises where it failed."""
        assert self._driver is not None
        code = self._driver.poll()
        if code not in (None, 0):
            raise SystemExit(f"the driver ended with {code}:\n{self._log.read_text()[-3000:]}")
        return code == 0

    def step(self) -> int:
        """Last step that the metrics tell of."""
        file = self.folder / "metrics.jsonl"
        lines = file.read_text().splitlines() if file.is_file() else []
        for line in reversed(lines):
            try:
                return int(json.loads(line)["step"])
            except json.JSONDecodeError:
                continue  # the kill cut it off
        return 0

    def resumptions(self) -> list[int]:
        """Steps that the run went on from, in order."""
        file = self.folder / "notices.log"
        lines = file.read_text().splitlines() if file.is_file() else []
        told = [line.split() for line in lines if line.startswith("resumed at step")]
        return [int(words[3].rstrip(",")) for words in told]

    def last_checkpoint(self) -> int:
        """Step of the newest whole checkpoint; 0 without one."""
        found = (self.folder / "checkpoints").glob("step-*/COMPLETE")
        return max((int(file.parent.name.removeprefix("step-")) for file in found), default=0)

    def half_written(self) -> list[Path]:
        """Checkpoints that are being written."""
        found = list((self.folder / "checkpoints").glob(".step-*.part"))
        return [folder for folder in found if not (folder / "COMPLETE").exists()]

    def workers(self) -> list[psutil.Process]:
        """Ray Train's worker processes of this script's Ray."""
        found = []
        for process in psutil.Process().children(recursive=True):
            try:
                if WORKER in " ".join(process.cmdline()):
                    found.append(process)
            except psutil.NoSuchProcess:
                continue
        return found

    def kill_driver(self) -> None:
        """As the out-of-memory killer would; then start it anew, as a person would."""
        assert self._driver is not None
        self._driver.send_signal(signal.SIGKILL)
        self._driver.wait()
        self.begin()

    def stop(self) -> None:
        """End the driver, if it runs."""
        if self._driver is not None and self._driver.poll() is None:
            self._driver.kill()
            self._driver.wait()


def plan(seed: int, count: int) -> list[Kill]:
    """Kills in order of their steps; every kind comes at least ``count // 4`` times."""
    draw = random.Random(seed)
    kinds = [kind for kind in KINDS for _ in range(count // 4)]
    kinds += [draw.choice(KINDS) for _ in range(count - len(kinds))]
    draw.shuffle(kinds)
    steps = sorted(draw.randint(0, LAST_KILL_STEP) for _ in kinds)
    return [
        Kill(kind, step, draw.uniform(0.0, 0.3)) for kind, step in zip(kinds, steps, strict=True)
    ]


def carry_out(
    training: Training, kill: Kill, draw: random.Random, earlier: list[Outcome]
) -> Outcome:
    """Wait for the kill's moment, kill, and wait until the run gets on again."""
    least = _least_checkpoint(earlier)
    _until(
        lambda: (
            training.step() >= kill.step
            and training.last_checkpoint() >= least
            and len(training.workers()) == 2  # more: a killed driver's are not gone yet
        ),
        training,
    )
    before = len(training.resumptions())
    half_written = ""
    if kill.kind == "driver":
        time.sleep(kill.delay_s)
        at_step, killed = training.step(), time.monotonic()
        training.kill_driver()
    else:
        if kill.kind == "write":
            _until(lambda: bool(training.half_written()), training, pause_s=0.001)
            half_written = training.half_written()[0].name if training.half_written() else ""
        else:
            time.sleep(kill.delay_s)
        at_step = training.step()
        try:
            victim = draw.choice(training.workers())
            victim.kill()
        except (IndexError, psutil.NoSuchProcess):
            raise SystemExit(OVER) from None
        killed = time.monotonic()
    half_left = any(path.name == half_written for path in training.half_written())
    # Without a checkpoint it begins anew, and says nothing of resuming.
    _until(
        lambda: len(training.resumptions()) > before or training.step() < max(at_step, 1), training
    )
    told = training.resumptions()
    resumed = told[-1] if len(told) > before else 0
    _until(lambda: training.step() > resumed, training)
    back_s = time.monotonic() - killed
    return Outcome(kill, at_step, half_written if half_left else "", resumed, back_s)


def _least_checkpoint(earlier: list[Outcome]) -> int:
    """The checkpoint that must be there before the next kill: any, or one beyond the last
    resumption where the workers died ``KILLS_FROM_ONE`` times in a row from it."""
    last = earlier[-KILLS_FROM_ONE:]
    stuck = len(last) == KILLS_FROM_ONE and len({done.resumed_at for done in last}) == 1
    if not stuck or any(done.kill.kind == "driver" for done in last):
        return 0
    return last[-1].resumed_at + 1


def _until(condition: Callable[[], bool], training: Training, pause_s: float = 0.01) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if training.done():
            raise SystemExit(OVER)
        if time.monotonic() > deadline:
            raise SystemExit(f"nothing happened for {PATIENCE_S:.0f} s; see {training.folder}")
        time.sleep(pause_s)


def compare(alone: Path, killed: Path) -> list[str]:
    """What differs between the two finished runs; nothing where all is equal."""
    logs = [
        [json.loads(line) for line in (run / "run" / "log.jsonl").read_text().splitlines()]
        for run in (alone, killed)
    ]
    differences = [
        f"loss of step {one['step']}: {one['loss']} alone, {other['loss']} killed"
        for one, other in zip(*logs, strict=True)
        if one != other
    ]
    weights = [load_file(run / "run" / "final" / "model.safetensors") for run in (alone, killed)]
    if set(weights[0]) != set(weights[1]):
        differences.append("the models have other weights by name")
    differences += [
        f"{name}: up to {(value - weights[1][name]).abs().max():.3g} apart"
        for name, value in weights[0].items()
        if not torch.equal(value, weights[1][name])
    ]
    steps = [point["step"] for point in logs[0]]
    if steps != list(range(1, STEPS + 1)):
        differences.append(f"the curve has not every step: {steps}")
    return differences


def main() -> int:
    """Run both and compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--optimizer", default="adamw", choices=("adamw", "muon"))
    parser.add_argument("--zero", choices=("1", "2", "3"), help="ZeRO stage (adamw)")
    parser.add_argument("--drive", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.drive:
        run = Run(
            params(options.optimizer),
            7,
            options.drive.parent / "tokens",
            options.drive / "run",
            build,
        )
        launch("training", run, VOCABULARY)
        return 0
    _own_ray()
    if options.zero:
        os.environ["REPO_ZERO"] = options.zero
    draw = random.Random(options.seed + 1)
    os.environ["REPO_CHECKPOINT_STEPS"] = str(draw.choice((1, 2, 3)))
    root = Path(tempfile.mkdtemp(prefix="kill-training-"))
    write_tokens(root / "tokens")
    trainings = {}
    try:
        with session() as address:
            for name in ("alone", "killed"):
                trainings[name] = Training(root / name, address, options.optimizer)
            started = time.monotonic()
            trainings["alone"].begin()
            while not trainings["alone"].done():
                time.sleep(0.2)
            print(f"left alone: {time.monotonic() - started:.0f} s", flush=True)
            outcomes = _killed(trainings["killed"], plan(options.seed, options.kills), draw)
        differences = compare(root / "alone", root / "killed")
    finally:
        for training in trainings.values():
            training.stop()
    _summary(outcomes, differences, options.seed)
    shutil.rmtree(root)
    return 1 if differences else 0


def recover(kills: list[Kill]) -> list[Outcome]:
    """What came of ``kills``, with a checkpoint every third step; the run is not taken to its end."""
    _own_ray()
    os.environ["REPO_CHECKPOINT_STEPS"] = "3"
    # A killed worker's peer may still write when the folder goes.
    made = tempfile.TemporaryDirectory(prefix="kill-training-", ignore_cleanup_errors=True)
    with made as folder, session() as address:
        write_tokens(Path(folder) / "tokens")
        training = Training(Path(folder) / "killed", address, "adamw")
        training.begin()
        outcomes: list[Outcome] = []
        try:
            for kill in kills:
                outcomes.append(carry_out(training, kill, random.Random(0), outcomes))
        finally:
            training.stop()
    return outcomes


def _own_ray() -> None:
    """A Ray of this process: the workers are found among its children, and SIGTERM ends them too."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.pop("RAY_ADDRESS", None)
    os.environ["REPO_CPUS"] = "2"


def _killed(training: Training, kills: list[Kill], draw: random.Random) -> list[Outcome]:
    print(f"checkpoint every {os.environ['REPO_CHECKPOINT_STEPS']} steps")
    print("  # killed   at step  half-written checkpoint            went on from  back after")
    training.begin()
    outcomes = []
    for number, kill in enumerate(kills, start=1):
        done = carry_out(training, kill, draw, outcomes)
        outcomes.append(done)
        print(
            f"{number:>3} {kill.kind:<8} {done.at_step:>7}  {done.half_written or '-':<33}"
            f"{done.resumed_at:>13}{done.back_s:>10.1f} s",
            flush=True,
        )
    while not training.done():
        time.sleep(0.2)
    return outcomes


def _summary(outcomes: list[Outcome], differences: list[str], seed: int) -> None:
    for kind in KINDS:
        times = sorted(done.back_s for done in outcomes if done.kill.kind == kind)
        if times:
            print(f"{kind}: {len(times)} kills, back after {times[len(times) // 2]:.1f} s (median)")
    torn = sum(bool(done.half_written) for done in outcomes)
    print(f"{len(outcomes)} kills, {torn} of them left a half-written checkpoint; seed {seed}")
    for line in differences[:10]:
        print(f"DIFFERENT {line}")
    if not differences:
        print(f"losses of all {STEPS} steps and all weights are equal bit for bit")


if __name__ == "__main__":
    sys.exit(main())
