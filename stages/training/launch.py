"""A training run on Ray Train: the driver's side. It holds no model and imports no model's code.

Ray Train places the workers, joins them in a process group and starts them anew when one dies; the
checkpoints are ours (``checkpoint.py``), so every attempt finds its own way back.
"""

import shutil
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

from stages.common.errors import TryAgain, UserError
from stages.common.files import read_json, write_json
from stages.common.ray_session import session
from stages.common.tokens import TokenStore
from stages.training import attention
from stages.training.attempts import Attempts
from stages.training.counted import counted
from stages.training.cpu_workers import cpu_workers
from stages.training.execution import Execution, from_environment, zero_stage
from stages.training.order import DataOrder, parts_per_step
from stages.training.realised import MANY_PASSES
from stages.training.run import (
    LOG,
    MISTAKE,
    RESERVE,
    RESERVE_BYTES,
    SAVE,
    SOURCES,
    STOP,
    STOPPED,
    Run,
)
from stages.training.screen import Screen
from stages.training.share import COLLECTIVES_S, takes_part
from stages.training.told import draining_nodes, saving_at_drain, saving_first

MOST_RESTARTS = 1000
"""For Ray; ``Attempts`` ends a run that dies without getting further."""


def launch(name: str, run: Run, vocabulary: int, dry_run: bool = False) -> Path:
    """Train ``run`` and return the folder of the finished model; one that is finished is not redone.

    ``vocabulary``: rows of the model's embedding, to check the tokens against. ``dry_run``: take the
    steps and leave only the metrics. Raises ``TryAgain``
    when a signal came and the workers saved and ended.
    """
    _check(run, vocabulary)
    if not (run.folder / LOG).is_file():
        _fit(name, run, dry_run)
    return run.final


def _check(run: Run, vocabulary: int) -> None:
    """Find the user's mistakes before anything is started."""
    store = TokenStore(run.tokens, run.token_files)
    if store.vocab_size > vocabulary:
        raise UserError(
            f"{run.tokens} has a vocabulary of {store.vocab_size}, the model's embedding only "
            f"{vocabulary} rows; use the base model's own tokenizer"
        )
    DataOrder(store, run.params, run.seed)  # raises where a source cannot give what is asked
    parts = counted(store.manifest, run.params, run.seed)
    write_json(run.folder / SOURCES, {name: part._asdict() for name, part in parts.items()})
    for source, part in parts.items():
        many = f"; above {MANY_PASSES:g} passes new text would teach more" if part.many else ""
        print(
            f"{'warning: ' if many else ''}data: {source}: {part.tokens:,} tokens, "
            f"{part.share:.2%} of the training, {part.passes:.2f} passes{many}",
            flush=True,
        )


def _fit(name: str, run: Run, dry_run: bool) -> None:
    with session():
        import ray

        there = ray.cluster_resources()
        on_cpu = cpu_workers(run.params, int(there.get("CPU", 1)))
        execution = replace(from_environment(int(there.get("GPU", 0)), on_cpu), dry_run=dry_run)
        for workers in {execution.worker_counts[0], execution.workers}:
            parts_per_step(run.params, workers, execution.micro_batch_tokens)
        zero_stage(run.params, execution)
        attention.check(execution.attention, execution.use_gpu, run.params.precision)
        for old in (MISTAKE, STOP, STOPPED, SAVE):
            (run.folder / old).unlink(missing_ok=True)
        Attempts(run.folder).forget()
        (run.folder / RESERVE).write_bytes(bytes(RESERVE_BYTES))
        storage = run.folder / "ray"
        shutil.rmtree(storage, ignore_errors=True)
        trainer = _trainer(run, execution, storage)
        try:
            with Screen(name, run), saving_first(run), saving_at_drain(run, draining_nodes):
                trainer.fit()
        except Exception:
            _raise_what_was_left(run)
            raise
        finally:
            shutil.rmtree(storage, ignore_errors=True)
        _raise_what_was_left(run)


def _trainer(run: Run, execution: Execution, storage: Path) -> Any:
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    resources = {"GPU": 1.0} if execution.use_gpu else {"CPU": 1.0}
    fixed = execution.least_workers is None
    return TorchTrainer(
        worker,
        train_loop_config={"run": run, "execution": execution},
        torch_config=TorchConfig(
            backend="nccl" if execution.use_gpu else "gloo",
            timeout_s=COLLECTIVES_S,
        ),
        scaling_config=ScalingConfig(
            num_workers=execution.workers
            if fixed
            else (execution.worker_counts[0], execution.workers),
            use_gpu=execution.use_gpu,
            resources_per_worker=resources,
        ),
        run_config=RunConfig(
            name=uuid.uuid4().hex,  # Ray resumes a known name from its own checkpoints
            storage_path=str(storage),
            failure_config=FailureConfig(max_failures=MOST_RESTARTS),
        ),
    )


def worker(config: dict[str, Any]) -> None:
    """What Ray Train runs on every worker.

    A user's mistake goes home in a file: raised here, Ray would only try it again.
    """
    import torch

    from stages.training.loop import train

    run, execution = config["run"], config["execution"]
    if not execution.use_gpu:
        # One core per worker is what was asked of Ray; more threads would fight over it.
        torch.set_num_threads(1)
    try:
        if takes_part(run.params):
            train(run, execution)
    except UserError as error:
        (run.folder / RESERVE).unlink(missing_ok=True)
        write_json(run.folder / MISTAKE, str(error))


def _raise_what_was_left(run: Run) -> None:
    if (run.folder / MISTAKE).is_file():
        raise UserError(read_json(run.folder / MISTAKE))
    if (run.folder / STOPPED).is_file():
        step = read_json(run.folder / STOPPED)["step"]
        by = (run.folder / STOP).read_text() or "SIGTERM"
        raise TryAgain(f"stopped by {by}, saved at step {step}; run again to go on from here")
