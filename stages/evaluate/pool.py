"""Shards on Ray actors: what is finished is on disk, what is lost is computed again."""

import os
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import psutil

from stages.common.cpu import fast_bf16
from stages.common.errors import UserError
from stages.common.files import read_json, write_json
from stages.common.progress import Progress
from stages.common.ray_session import on_ray, session
from stages.common.variables import flag, value, whole
from stages.evaluate.shards import Shard
from stages.evaluate.vllm_engine import ENGINE as VLLM

WORK, GPU_WORK = 2e12, 5e14
"""Tokens times bytes of the weights, about FLOPs, for which another actor pays: some 30 s of a core,
5 to 10 of a GPU."""
PROCESS_BYTES = 1.5e9
"""Of an actor on CPU beside the weights (twice, while they are read): libraries, cache and logits."""
CPU, CPU_BF16, CUDA = "cpu", "cpu-bf16", "cuda"
KINDS = (CPU, CPU_BF16, CUDA)
"""Of devices: what can change a token. ``cpu-bf16``: cores that are fast in bf16, where models stored
in it are read in it (``stages.evaluate.worker``); ``cpu`` reads all in fp32, ``cuda`` all in bf16."""
_LOCAL_GPUS = Path("/proc/driver/nvidia/gpus")
_TRIES = 3
"""How often a shard is tried again whose actor was lost; the actor itself is replaced each time."""


def finish(
    shards: Sequence[Shard], folder: Path, worker: type[Any], arguments: Sequence[Any]
) -> dict[Shard, list[Any]]:
    """Results of all shards; those whose file stands in ``folder`` are read, not computed.

    ``worker(*arguments)`` is made once in each actor; its method ``run`` computes a shard. Each kind of
    device has a folder of its own, for it can change a token: all results are of one kind.
    """
    kinds = [folder / kind for kind in KINDS]
    place = next((kind for kind in kinds if not _missing(kind, shards)), None)
    if place is None:
        place = folder / kind()
        compute = _compute if on_ray() else _compute_here
        compute(_missing(place, shards), place, worker, arguments)
    return {shard: read_json(_file(place, shard)) for shard in shards}


def kind_of(shards: Sequence[Shard], folder: Path) -> str:
    """The kind of device that finished shards were computed on."""
    return next(kind for kind in KINDS if not _missing(folder / kind, shards))


def _missing(folder: Path, shards: Sequence[Shard]) -> list[Shard]:
    return [shard for shard in shards if not _file(folder, shard).is_file()]


def kind() -> str:
    """The kind of device that the actors will have; of CPUs, that of this machine's."""
    if _use_gpu(_gpus):
        return CUDA
    return CPU_BF16 if fast_bf16() else CPU


def _gpus() -> float:
    """GPUs of the Ray that is joined, or of this machine."""
    if not os.environ.get("RAY_ADDRESS") or not on_ray():
        return len(list(_LOCAL_GPUS.glob("*")))
    with session():
        import ray  # after `session`: Ray reads its environment when it is imported

        return float(ray.cluster_resources().get("GPU", 0))


def actors(missing: Sequence[Shard], places: int, on_gpu: bool) -> int:
    """How many actors hold the model: ``$REPO_EVAL_ACTORS``, by default one in each of ``places``.

    Places are GPUs, or cores. No more than have ``WORK`` each, so that a toy's evaluation is not spent
    on starting them; on CPU no more than free memory holds, and one where vLLM takes all cores.
    """
    if value("REPO_EVAL_ACTORS"):
        return min(whole("REPO_EVAL_ACTORS"), len(missing))
    weights = {shard.model.folder: _weights_bytes(Path(shard.model.folder)) for shard in missing}
    work = sum(
        len(shard.rows) * (shard.length + shard.max_new_tokens) * weights[shard.model.folder]
        for shard in missing
    )
    most = min(places, len(missing), int(work / (GPU_WORK if on_gpu else WORK)))
    if not on_gpu:
        each = PROCESS_BYTES + 2 * max(weights.values())
        most = min(most, int(psutil.virtual_memory().available / each))
        if any(shard.engine == VLLM for shard in missing):
            most = 1
    return max(1, most)


def _weights_bytes(folder: Path) -> int:
    """Size of a model's weights on disk."""
    files = [*folder.glob("*.safetensors"), *folder.glob("pytorch_model*.bin")]
    return sum(file.stat().st_size for file in files)


def batch_tokens() -> int:
    """Tokens of a batch, prompts and budgets: ``$REPO_EVAL_BATCH_TOKENS``."""
    return whole("REPO_EVAL_BATCH_TOKENS")


def _compute(
    missing: Sequence[Shard], folder: Path, worker: type[Any], arguments: Sequence[Any]
) -> None:
    """A shard goes to an actor that has answered: one without a place holds up nothing.

    A lost actor's shard goes to the next free one, and another actor is asked for in its stead: that
    may wait for a place as long as it likes. Ray's own restarts would keep the shard waiting with it.
    """
    progress = Progress("evaluate", sum(len(shard.rows) for shard in missing), "rows")
    queue, done = list(reversed(missing)), 0
    lost: Counter[Shard] = Counter()
    with session():
        import ray  # after `session`: Ray reads its environment when it is imported
        from ray.exceptions import RayActorError, RayTaskError

        use_gpu = folder.name == CUDA
        actor_class = ray.remote(num_cpus=1, num_gpus=int(use_gpu))(worker)
        waiting: dict[Any, tuple[Any, Shard | None]] = {}
        """What an actor was asked, and its shard; none: whether it is there."""

        crew: set[Any] = set()

        def ask() -> None:
            actor = actor_class.remote(*arguments)
            crew.add(actor)
            waiting[actor.__ray_ready__.remote()] = (actor, None)

        places = int(ray.cluster_resources().get("GPU" if use_gpu else "CPU", 1))
        for _ in range(actors(missing, places, use_gpu)):
            ask()
        try:
            while queue or any(shard for _, shard in waiting.values()):
                (answer, *_), _ = ray.wait(list(waiting))
                actor, shard = waiting.pop(answer)
                try:
                    found = ray.get(answer)
                except RayActorError as error:
                    if getattr(error, "actor_init_failed", False):
                        raise
                    ray.kill(actor)  # it may only be out of reach
                    crew.discard(actor)
                    if shard is not None:
                        lost[shard] += 1
                        if lost[shard] > _TRIES:
                            raise
                        queue.append(shard)
                    ask()
                    continue
                if shard is not None:
                    # Stored before the actor gets more: a kill costs the shards in flight, no other.
                    write_json(_file(folder, shard), found)
                    done += len(shard.rows)
                if queue:
                    following = queue.pop()
                    waiting[actor.run.remote(following)] = (actor, following)
                else:
                    crew.discard(actor)
                    actor.__ray_terminate__.remote()  # its place is another's; it may tidy up
                if shard is not None:
                    progress.update(done)
        except RayTaskError as error:
            if isinstance(error.cause, UserError):
                raise error.cause from None
            raise
        finally:
            for actor in crew:
                ray.kill(actor)


def _compute_here(
    missing: Sequence[Shard], folder: Path, worker: type[Any], arguments: Sequence[Any]
) -> None:
    """One after the other in this process, on its first GPU where it has some."""
    progress = Progress("evaluate", sum(len(shard.rows) for shard in missing), "rows")
    maker, done = worker(*arguments), 0
    for shard in missing:
        with redirect_stdout(sys.stderr):  # what would stand in an actor's log
            found = maker.run(shard)
        write_json(_file(folder, shard), found)
        done += len(shard.rows)
        progress.update(done)


def _use_gpu(gpus: Callable[[], float]) -> bool:
    """``REPO_USE_GPU``, else whether there is a GPU now; a Ray that grows may have none yet."""
    asked = os.environ.get("REPO_USE_GPU")
    return flag("REPO_USE_GPU", False) if asked else gpus() > 0


def _file(folder: Path, shard: Shard) -> Path:
    return folder / f"{shard.key}.json"
