"""Shards on Ray actors: what is finished is on disk, what is lost is computed again."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from stages.common.errors import UserError
from stages.common.files import read_json, write_json
from stages.common.progress import Progress
from stages.common.ray_session import session
from stages.common.variables import flag, value, whole
from stages.evaluate.shards import Shard

WORK = 2e12
"""Tokens times bytes of the weights, about FLOPs, for which another actor pays: some 30 s of a core."""
PROCESS_BYTES = 1.5e9
"""Of an actor on CPU beside the weights (twice, while they are read): libraries, cache and logits."""
_TRIES = 3
"""How often a shard is tried again whose actor was lost; the actor itself is replaced each time."""


def finish(
    shards: Sequence[Shard], folder: Path, worker: type[Any], arguments: Sequence[Any]
) -> dict[Shard, list[Any]]:
    """Results of all shards; those whose file stands in ``folder`` are read, not computed.

    ``worker(*arguments)`` is made once in each actor; its method ``run`` computes a shard.
    """
    missing = [shard for shard in shards if not _file(folder, shard).is_file()]
    if missing:
        _compute(missing, folder, worker, arguments)
    return {shard: read_json(_file(folder, shard)) for shard in shards}


def actors(missing: Sequence[Shard], cores: int | None) -> int:
    """How many actors hold the model: ``$REPO_EVAL_ACTORS``.

    By default 1 with GPUs (``cores`` none); on CPU one a core, but no more than have ``WORK`` each, so
    that a toy's evaluation is not spent on starting them, and than free memory holds.
    """
    asked = whole("REPO_EVAL_ACTORS", default=1)
    if value("REPO_EVAL_ACTORS") or cores is None:
        return min(asked, len(missing))
    weights = {shard.model.folder: _weights_bytes(Path(shard.model.folder)) for shard in missing}
    work = sum(
        len(shard.rows) * (shard.length + shard.max_new_tokens) * weights[shard.model.folder]
        for shard in missing
    )
    each = PROCESS_BYTES + 2 * max(weights.values())
    room = int(psutil.virtual_memory().available / each)
    return max(1, min(cores, len(missing), int(work / WORK), room))


def _weights_bytes(folder: Path) -> int:
    """Size of a model's weights on disk."""
    return sum(file.stat().st_size for file in folder.glob("*.safetensors"))


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

        use_gpu = _use_gpu(ray.cluster_resources())
        actor_class = ray.remote(num_cpus=1, num_gpus=int(use_gpu))(worker)
        waiting: dict[Any, tuple[Any, Shard | None]] = {}
        """What an actor was asked, and its shard; none: whether it is there."""

        crew: set[Any] = set()

        def ask() -> None:
            actor = actor_class.remote(*arguments)
            crew.add(actor)
            waiting[actor.__ray_ready__.remote()] = (actor, None)

        cores = None if use_gpu else int(ray.cluster_resources().get("CPU", 1))
        for _ in range(actors(missing, cores)):
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
                    ray.kill(actor)  # its place is another's
                if shard is not None:
                    progress.update(done)
        except RayTaskError as error:
            if isinstance(error.cause, UserError):
                raise error.cause from None
            raise
        finally:
            for actor in crew:
                ray.kill(actor)


def _use_gpu(resources: Mapping[str, float]) -> bool:
    """``REPO_USE_GPU``, else whether Ray has a GPU now; one that grows on demand may have none yet."""
    return flag("REPO_USE_GPU", resources.get("GPU", 0) > 0)


def _file(folder: Path, shard: Shard) -> Path:
    return folder / f"{shard.key}.json"
