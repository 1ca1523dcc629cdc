"""Kill an evaluation again and again, at random moments, and hold its table to an undisturbed run's.

    python benchmarks/kill_evaluate.py MODEL [--seed 1] [--kills 6] [--lengths 512,1024] [--num 8]

Each life of ``repo-pipeline evaluate`` is ended by ``kill -9``, in turn of the driver (with its whole
process group, as a machine that goes down) and of an actor alone. Afterwards: equal metrics and
records but for seconds, and no more shards computed than were wanted plus one in flight a kill.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil


def command(options: argparse.Namespace, out: Path) -> list[str]:
    return [
        *(sys.executable, "-m", "stages.evaluate.any_model", str(Path(options.model).absolute())),
        *("--lengths", options.lengths, "--num", str(options.num), "--tasks", options.tasks),
        *("--out", str(out)),
    ]


def start(options: argparse.Namespace, runs: Path, out: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "REPO_RUNS": str(runs), "REPO_EVAL_BATCH_TOKENS": "4096"}
    environment.pop("RAY_ADDRESS", None)
    return subprocess.Popen(
        command(options, out),
        env=environment,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def finished(child: subprocess.Popen[bytes]) -> None:
    error = child.communicate()[1].decode()
    if child.returncode:
        raise SystemExit(f"exit code {child.returncode}: {error[-2000:]}")


def kill(child: subprocess.Popen[bytes], actor_only: bool) -> str:
    """``kill -9``; returns what was killed."""
    family = psutil.Process(child.pid).children(recursive=True)
    actors = [p for p in family if p.is_running() and "Worker" in " ".join(p.cmdline()[:1])]
    if actor_only and actors:
        actors[0].kill()
        return "actor"
    for process in [psutil.Process(child.pid), *family]:
        try:
            process.send_signal(signal.SIGKILL)
        except psutil.NoSuchProcess:
            continue
    child.wait()
    return "driver"


def outcome(out: Path) -> dict[str, object]:
    found: dict[str, object] = {"metrics": json.loads((out / "metrics.json").read_text())}
    for file in sorted((out / "samples").iterdir()):
        rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        found[file.name] = [{k: v for k, v in row.items() if k != "seconds"} for row in rows]
    return found


def stored(runs: Path) -> dict[Path, int]:
    """Every stored shard and when it was written: a second write would change the time."""
    return {file: file.stat().st_mtime_ns for file in runs.glob("evaluate/*/shards/*.json")}


def wait(
    child: subprocess.Popen[bytes], runs: Path, shards: int, most_s: float, rng: random.Random
) -> None:
    """Until so many shards are stored, or ``most_s``, and up to a second more."""
    until = time.monotonic() + most_s
    while time.monotonic() < until and child.poll() is None and len(stored(runs)) < shards:
        time.sleep(0.01)
    time.sleep(rng.uniform(0.0, 1.0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--lengths", default="512,1024")
    parser.add_argument("--num", type=int, default=8)
    parser.add_argument("--tasks", default="niah_single_1,niah_multikey_2,fwe,qa_1")
    parser.add_argument("--spread-s", type=float, default=60.0, help="a kill comes by then")
    options = parser.parse_args()
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        calm, stormy = place / "calm", place / "stormy"
        finished(start(options, calm / "runs", calm / "out"))
        seen: dict[Path, int] = {}
        for number in range(options.kills):
            child = start(options, stormy / "runs", stormy / "out")
            wait(child, stormy / "runs", len(seen) + rng.randint(0, 2), options.spread_s, rng)
            if child.poll() is not None:
                print(f"life {number}: was done")
                break
            what = kill(child, actor_only=number % 2 == 1)
            print(f"life {number}: {what} killed, {len(stored(stormy / 'runs'))} shards stored")
            if what == "actor":
                finished(child)
            now = stored(stormy / "runs")
            rewritten = [file for file, at in seen.items() if now.get(file) != at]
            assert not rewritten, f"computed again: {rewritten}"
            seen = now
        finished(start(options, stormy / "runs", stormy / "out"))
        assert all(stored(stormy / "runs")[file] == at for file, at in seen.items())
        assert outcome(calm / "out") == outcome(stormy / "out"), "another result"
        print(f"{len(stored(stormy / 'runs'))} shards: equal results, none computed twice")


if __name__ == "__main__":
    main()
