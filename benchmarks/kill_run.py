"""Kill a whole run with -9 at random moments, start it again, and compare with one left alone.

    python benchmarks/kill_run.py --seed 1 --kills 6      # some 10 minutes on 2 cores

Two fresh checkouts of the smoke profile: in one ``repo-pipeline run`` goes through, in the other its
whole process group is killed with SIGKILL after a time drawn from the seed, again and again, and then
left to finish. The outs of every model in ``dvc.lock`` must be equal, byte for byte (DVC's hashes).
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.e2e.checkouts import Project, checkout  # noqa: E402

LIMIT_S = 3600.0


def models(project: Project) -> dict[str, str]:
    """Out of dvc.lock -> its hash, for everything under ``models/``."""
    lock = YAML(typ="safe").load((project.folder / "dvc.lock").read_text(encoding="utf-8"))
    outs = [out for stage in lock["stages"].values() for out in stage["outs"]]
    return {out["path"]: out["md5"] for out in outs if out["path"].startswith("models/")}


def kill_after(project: Project, seconds: float, log: Path) -> int | None:
    """Start a run and kill its process group; its exit code if it ended before."""
    with open(log, "a", encoding="utf-8") as file:
        child = subprocess.Popen(
            project.command("repo-pipeline", "run"),
            cwd=project.folder,
            env=project.environment(),
            stdout=file,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            return child.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            return None
        finally:  # also where the drill itself is told to end
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()


def main() -> int:
    """Run the drill; 0 when the killed run ended equal to the other."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--longest", type=float, default=60.0, help="seconds until a kill, at most")
    parser.add_argument("--folder", type=Path, help="where the checkouts go; kept when given")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    draw = random.Random(options.seed)
    folder = options.folder or Path(tempfile.mkdtemp(prefix="kill-run-"))
    quiet, hurt = (checkout(ROOT, folder / name) for name in ("quiet", "hurt"))
    for project in (quiet, hurt):
        assert project("repo-pipeline", "use", "smoke").returncode == 0
    started = time.monotonic()
    reference = kill_after(quiet, LIMIT_S, folder / "quiet.log")
    print(f"uninterrupted: exit {reference}, {time.monotonic() - started:.0f} s", flush=True)
    killed = 0
    while killed < options.kills:
        seconds = draw.uniform(3.0, options.longest)
        ended = kill_after(hurt, seconds, folder / "hurt.log")
        if ended is None:
            killed += 1
            print(f"kill {killed}: after {seconds:.1f} s", flush=True)
            continue
        if ended != 0:
            print(f"exit {ended} without being killed; see {folder / 'hurt.log'}", flush=True)
            return 1
        # It came to its end before all kills were spent: everything once more.
        print("came to its end; its outs are dropped and it starts over", flush=True)
        for name in ("models", "runs", "data", "results", "analysis", "report", "dvc.lock"):
            path = hurt.folder / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        shutil.rmtree(hurt.folder / ".dvc" / "cache", ignore_errors=True)
    started = time.monotonic()
    ended = kill_after(hurt, LIMIT_S, folder / "hurt.log")
    print(f"left alone: exit {ended}, {time.monotonic() - started:.0f} s", flush=True)
    if reference != 0 or ended != 0:
        return 1
    wanted, found = models(quiet), models(hurt)
    print(f"{'model':28}{'uninterrupted':40}{'killed':40}equal")
    for path in sorted(wanted):
        equal = wanted[path] == found.get(path)
        print(f"{path:28}{wanted[path]:40}{found.get(path, 'absent'):40}{'yes' if equal else 'NO'}")
    if wanted == found and not options.folder:
        shutil.rmtree(folder)
    return int(wanted != found)


if __name__ == "__main__":
    sys.exit(main())
