"""Elastic training on whatever number of workers there is: the batch must come out even.

Ray gives as many workers as there are resources for. Of 13 workers for 512 sequences a step, 8 train
and 5 stand by until Ray starts all of them anew with another number.
"""

import os
import socket
from datetime import timedelta

import torch.distributed as dist

from stages.training.order import phases
from stages.training.params import TrainingParams

COLLECTIVES_S = 86_400
"""The process group's own limit of a collective. It is not what finds a hang: it cannot tell one from
a rank that waits while another reads or writes for long; ``watchdog`` can."""


def useful(params: TrainingParams, workers: int) -> int:
    """The most of ``workers`` among which every phase's batch can be shared out evenly."""
    rows = [phase.rows for phase in phases(params)]
    return max(n for n in range(1, workers + 1) if not any(count % n for count in rows))


def takes_part(params: TrainingParams) -> bool:
    """Whether this worker trains; all call it. Those that do are a process group of their own then."""
    world, rank = dist.get_world_size(), dist.get_rank()
    trained_by = useful(params, world)
    if trained_by == world:
        return True
    told = [f"tcp://{os.environ['MASTER_ADDR']}:{_free_port()}" if rank == 0 else None]
    dist.broadcast_object_list(told, src=0)
    backend = dist.get_backend()
    dist.destroy_process_group()
    if rank >= trained_by:
        return False
    os.environ["WORLD_SIZE"] = str(trained_by)
    dist.init_process_group(
        backend,
        init_method=told[0],
        rank=rank,
        world_size=trained_by,
        timeout=timedelta(seconds=COLLECTIVES_S),
    )
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])
