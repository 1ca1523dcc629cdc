"""Kill an evaluation again and again, inside its work, and hold its table to an undisturbed run's.

    python benchmarks/kill_evaluate.py [MODEL] [--seed 1] [--kills 6] [--lengths 1024,2048] [--num 24]

``repo-pipeline evaluate`` runs once undisturbed. Then it is hit by ``kill -9`` at places drawn from the
seed, each a number of stored shards and a moment after it: an actor alone (which must be replaced),
the driver alone, or all its processes, as a machine that goes down; after the last two it is started
again. Afterwards: equal metrics and records but for seconds; no stored shard written or begun again;
no more shards begun than there are, and one more for each kill (actors log what they begin). Without a
MODEL one of random weights is made.
"""

import argparse
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

HITS = ("actor", "driver", "machine")
_GONE_S = 60.0
"""Within this time what a killed driver started must have ended by itself."""


def made_up_model(folder: Path) -> Path:
    """Random weights and a tokenizer of single bytes."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    import repo_model

    torch.manual_seed(0)
    config = repo_model.RepoOlmo2Config(
        positions="repo",
        start_layer=1,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        vocab_size=258,
        max_position_embeddings=4096,
        rope_parameters={"rope_type": "default", "rope_theta": 1e4},
        initializer_range=0.4,
        eos_token_id=0,
        pad_token_id=1,
        bos_token_id=None,
    )
    repo_model.RepoOlmo2ForCausalLM(config).save_pretrained(folder)
    names = ["<eos>", "<pad>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Tokenizer(models.BPE({name: i for i, name in enumerate(names)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text('{"eos_token": "<eos>"}')
    return folder


class Life:
    """One evaluation, its processes and what it leaves behind."""

    def __init__(self, options: argparse.Namespace, model: Path, place: Path) -> None:
        self.place = place
        place.mkdir(exist_ok=True)
        self._command = [
            *(sys.executable, "-m", "stages.evaluate.any_model", str(model)),
            *("--lengths", options.lengths, "--num", str(options.num)),
            *("--tasks", options.tasks, "--out", str(place / "out")),
        ]
        self.child = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        environment = {
            **os.environ,
            "REPO_RUNS": str(self.place / "runs"),
            "REPO_EVAL_BATCH_TOKENS": "4096",
            "RAY_TMPDIR": str(self.place),  # a short path: Ray's sockets allow 107 characters
        }
        environment.pop("RAY_ADDRESS", None)
        with (self.place / "stderr").open("wb") as errors:
            return subprocess.Popen(
                self._command,
                env=environment,
                start_new_session=True,
                stdout=subprocess.DEVNULL,
                stderr=errors,
            )

    def over(self) -> bool:
        """Whether it ended; started again where Ray did not come up within its 30 s (busy machine)."""
        if self.child.poll() is None:
            return False
        if self.child.returncode and "timed out during startup" in self._errors():
            print("Ray did not come up in time; started again", flush=True)
            self.child = self._start()
            return False
        return True

    def _errors(self) -> str:
        return (self.place / "stderr").read_text(errors="replace")

    def finish(self) -> None:
        """Wait for its end, which must be a good one."""
        while not self.over():
            time.sleep(0.05)
        if self.child.returncode:
            raise SystemExit(f"exit code {self.child.returncode}: {self._errors()[-2000:]}")

    def hit(self, what: str) -> str:
        """``kill -9``; returns what was seen of it."""
        family = psutil.Process(self.child.pid).children(recursive=True)
        if what == "actor":
            (actor,) = (p for p in family if _name(p).startswith("ray::Worker"))
            busy = _name(actor)
            actor.kill()
            return f"pid {actor.pid}, in {busy}"
        self.child.kill()
        self.child.wait()
        if what == "machine":
            for process in family:
                with suppress(psutil.NoSuchProcess):
                    process.send_signal(signal.SIGKILL)
            while any(map(_runs, family)):
                time.sleep(0.05)
            return f"{1 + len(family)} processes"
        # Ray's two agents compute nothing and may go on asking for their raylet for minutes.
        agents = [p for p in family if _name(p).endswith("Agent")]
        started = time.monotonic()
        while (
            left := [p for p in family if p not in agents and _runs(p)]
        ) and time.monotonic() - started < _GONE_S:
            time.sleep(0.05)
        seconds = time.monotonic() - started
        for process in (*left, *agents):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        assert not left, f"still there after {_GONE_S:.0f} s: {left}"
        return f"the {len(family) - len(agents)} others were gone {seconds:.1f} s later"


def _runs(process: psutil.Process) -> bool:
    """Whether it still does anything: where nobody reaps orphans they stay as zombies."""
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def _name(process: psutil.Process) -> str:
    """First word of the command, which Ray sets to what a worker is doing."""
    with suppress(psutil.NoSuchProcess, IndexError):
        return process.cmdline()[0]
    return ""


def stored(place: Path) -> dict[str, int]:
    """Every stored shard and when it was written: a second write would change the time."""
    files = (place / "runs").glob("evaluate/*/shards/*/*.json")
    return {file.stem: file.stat().st_mtime_ns for file in files}


def begun(place: Path) -> Counter[str]:
    """How often each shard was begun, from the actors' logs."""
    found: Counter[str] = Counter()
    for log in place.glob("ray/session_2*/logs/worker-*.out"):
        found.update(re.findall(r"^shard (\w+): ", log.read_text(), re.MULTILINE))
    return found


def outcome(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = {"metrics": json.loads((out / "metrics.json").read_text())}
    for file in sorted((out / "samples").iterdir()):
        rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        found[file.name] = [{k: v for k, v in row.items() if k != "seconds"} for row in rows]
    return found


def storm(
    options: argparse.Namespace, model: Path, place: Path, total: int, rng: random.Random
) -> int:
    """Evaluate under kills until done; returns how many hit."""
    hits = [HITS[number % len(HITS)] for number in range(options.kills)]
    rng.shuffle(hits)
    targets = sorted(rng.sample(range(1, total - 2), options.kills))
    life, struck = Life(options, model, place), 0
    settled: dict[str, tuple[int, int]] = {}
    for what, target in zip(hits, targets, strict=True):
        while len(stored(place)) < target and not life.over():
            time.sleep(0.002)
        time.sleep(rng.uniform(0.0, options.spread_s))
        before, begun_before = stored(place), begun(place)
        if life.over() or len(before) == total:
            print(f"{what}: too late, {len(before)} of {total} shards are stored")
            break
        for shard, at in before.items():
            settled.setdefault(shard, (at, begun_before[shard]))
        seen = life.hit(what)
        struck += 1
        print(f"{what} at {len(before)} of {total} shards, {seen}", flush=True)
        assert len(begun_before) > len(before) or what != "actor", "nothing was in flight"
        if what != "actor":
            life = Life(options, model, place)
            continue
        while len(stored(place)) == len(before) and not life.over():
            time.sleep(0.01)  # until the new actor has work: the old one's name may still stand
    life.finish()
    last, times = stored(place), begun(place)
    redone = [shard for shard, was in settled.items() if (last[shard], times[shard]) != was]
    assert not redone, f"stored, and yet begun or written again: {redone}"
    return struck


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--lengths", default="1024,2048")
    parser.add_argument("--num", type=int, default=24)
    parser.add_argument("--tasks", default="niah_single_1,niah_multikey_2,fwe")
    parser.add_argument("--spread-s", type=float, default=0.3, help="a kill comes by then")
    options = parser.parse_args()
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="k", ignore_cleanup_errors=True) as folder:
        calm, stormy = Path(folder) / "c", Path(folder) / "s"
        model = options.model or made_up_model(Path(folder) / "m")
        Life(options, model.absolute(), calm).finish()
        total = len(stored(calm))
        assert begun(calm) == dict.fromkeys(stored(calm), 1), "the undisturbed run began more"
        struck = storm(options, model.absolute(), stormy, total, rng)
        again = sum(begun(stormy).values()) - total
        assert set(begun(stormy)) == set(stored(calm)) == set(stored(stormy)), "other shards"
        assert again <= struck, f"{again} shards begun again by {struck} kills"
        assert outcome(calm / "out") == outcome(stormy / "out"), "another result"
        print(f"{total} shards, {struck} kills: equal results, {again} shards begun a second time")


if __name__ == "__main__":
    main()
