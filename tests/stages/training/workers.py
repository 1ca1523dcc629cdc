"""The product's worker loop in processes of its own, without Ray: what a test of the loop needs.

    python -m tests.stages.training.workers JOBS RANK WORLD STORE

JOBS is a pickle of (Run, Execution) pairs that the process works through with one process group, so
that the imports (10 s) are paid once for many runs. ``start`` starts such processes.
"""

import os
import pickle
import resource
import subprocess
import sys
import traceback
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from stages.common.errors import UserError
from stages.common.files import write_json
from stages.training.execution import Execution
from stages.training.run import Run

CPU = Execution(workers=2, use_gpu=False, checkpoint_seconds=3600.0)
Job = tuple[Run, Execution] | Callable[[], Any]


def start(folder: Path, jobs: Sequence[Job], world: int) -> list[subprocess.Popen[str]]:
    """Start ``world`` processes that work through ``jobs``; those of one call form one group."""
    folder.mkdir(parents=True, exist_ok=True)
    name = uuid.uuid4().hex
    listed = folder / f"jobs-{name}.pickle"
    listed.write_bytes(pickle.dumps(list(jobs)))
    module = [sys.executable, "-m", "tests.stages.training.workers", str(listed)]
    return [
        subprocess.Popen(
            [*module, str(rank), str(world), str(folder / f"store-{name}")],
            env={**os.environ, "OMP_NUM_THREADS": "1", "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(world)
    ]


def run(folder: Path, jobs: Sequence[Job], world: int) -> None:
    """The same to its end; a failure shows what the process printed."""
    started = start(folder, jobs, world)
    # All at once: a rank whose pipe is full stands still, and the others wait for it.
    with ThreadPoolExecutor(world) as pool:
        outputs = list(pool.map(lambda process: process.communicate(timeout=1800)[0], started))
    for process, output in zip(started, outputs, strict=True):
        assert process.returncode == 0, output[-4000:]


def mistake(folder: Path) -> str:
    """What the user was told by the last run in ``folder``."""
    return (folder / "mistake.json").read_text().strip()


def main() -> None:
    """Work through the jobs."""
    import torch
    import torch.distributed as dist

    from stages.training.loop import train

    jobs = pickle.loads(Path(sys.argv[1]).read_bytes())
    rank, world = int(sys.argv[2]), int(sys.argv[3])
    torch.set_num_threads(1)
    os.environ.update(WORLD_SIZE=str(world), MASTER_ADDR="127.0.0.1", MASTER_PORT="0")
    store = dist.FileStore(sys.argv[4], world)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=world)
    for job in jobs:
        if callable(job):
            job()
            continue
        wanted, execution = job
        wanted.folder.mkdir(parents=True, exist_ok=True)
        try:
            train(wanted, execution)
        except UserError as error:
            _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
            write_json(wanted.folder / "mistake.json", str(error))
        dist.barrier()
    if dist.is_initialized():  # a worker that stood by has left
        dist.destroy_process_group()


if __name__ == "__main__":
    try:
        main()
    except Exception:
        traceback.print_exc()
        sys.exit(1)
