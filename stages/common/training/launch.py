"""A training run on Ray Train: the driver's side.

Ray Train places the workers, joins them in a process group and starts them anew when one dies; the
checkpoints are ours (``checkpoint.py``), so every attempt finds its own way back.
"""

import shutil
import threading
import uuid
from pathlib import Path
from typing import Any

from stages.common.errors import UserError
from stages.common.files import read_json, write_json
from stages.common.progress import Progress
from stages.common.ray_session import session
from stages.common.tokens import TokenStore
from stages.common.training.engine import zero_stage
from stages.common.training.execution import from_environment
from stages.common.training.loop import Run, train
from stages.common.training.order import DataOrder, parts_per_step

WORKER_RESTARTS = 3
MISTAKE = "mistake.json"


def launch(name: str, run: Run, vocabulary: int) -> Path:
    """Train ``run`` and return the folder of the finished model; one that is finished is not redone.

    ``vocabulary``: rows of the model's embedding, to check the tokens against.
    """
    final = run.folder / "final"
    _check(run, vocabulary)
    if not (run.folder / "log.jsonl").is_file():
        _fit(name, run)
    return final


def _check(run: Run, vocabulary: int) -> None:
    """Find the user's mistakes before anything is started."""
    store = TokenStore(run.tokens)
    if store.vocab_size > vocabulary:
        raise UserError(
            f"{run.tokens} has a vocabulary of {store.vocab_size}, the model's embedding only "
            f"{vocabulary} rows; use the base model's own tokenizer"
        )
    DataOrder(store, run.params, run.seed)


def _fit(name: str, run: Run) -> None:
    with session():
        import ray
        from ray.train import FailureConfig, RunConfig, ScalingConfig
        from ray.train.torch import TorchConfig, TorchTrainer

        execution = from_environment(int(ray.cluster_resources().get("GPU", 0)))
        parts_per_step(run.params, execution.workers, execution.micro_batch_tokens)
        zero_stage(run.params, execution)
        storage = run.folder / "ray"
        shutil.rmtree(storage, ignore_errors=True)
        resources = {"GPU": 1.0} if execution.use_gpu else {"CPU": 1.0}
        trainer = TorchTrainer(
            _worker,
            train_loop_config={"run": run, "execution": execution},
            torch_config=TorchConfig(backend="nccl" if execution.use_gpu else "gloo"),
            scaling_config=ScalingConfig(
                num_workers=execution.workers,
                use_gpu=execution.use_gpu,
                resources_per_worker=resources,
            ),
            run_config=RunConfig(
                name=uuid.uuid4().hex,  # Ray resumes a known name from its own checkpoints
                storage_path=str(storage),
                failure_config=FailureConfig(max_failures=WORKER_RESTARTS),
            ),
        )
        done = threading.Event()
        watcher = threading.Thread(target=_watch, args=(name, run, done), daemon=True)
        watcher.start()
        mistake = run.folder / MISTAKE
        mistake.unlink(missing_ok=True)
        try:
            trainer.fit()
        finally:
            done.set()
            watcher.join()
            shutil.rmtree(storage, ignore_errors=True)
        if mistake.is_file():
            raise UserError(read_json(mistake))


def _worker(config: dict[str, Any]) -> None:
    """What Ray Train runs on every worker.

    A user's mistake goes home in a file: raised here, Ray would try it again ``WORKER_RESTARTS`` times.
    """
    import torch

    if not config["execution"].use_gpu:
        # One core per worker is what was asked of Ray; more threads would fight over it.
        torch.set_num_threads(1)
    try:
        train(config["run"], config["execution"])
    except UserError as error:
        write_json(config["run"].folder / MISTAKE, str(error))


def _watch(name: str, run: Run, done: threading.Event) -> None:
    """Show the progress that rank 0 writes down; a report through Ray Train would cost far more."""
    live = run.folder / "live.json"
    live.unlink(missing_ok=True)
    progress = Progress(name, run.params.tokens, "tokens")
    while not done.wait(1.0):
        if live.is_file():
            now = read_json(live)
            progress.update(now["tokens"], f"step {now['step']}, loss {now['loss']:.4f}")
