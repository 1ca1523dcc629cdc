"""What a plan's figures rule out: years, more memory than there is, a full disk."""

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil

from pipeline.cluster_file import ClusterFile
from pipeline.estimate.estimate import Estimate, estimate
from stages.common.findings import Finding, refuse, stop
from stages.common.seen import Seen

YEAR_H = 8760.0


def beyond(found: Estimate, root: Path) -> Iterator[Finding]:
    """Findings of an estimate."""
    machine, totals = found.machine, found.totals()
    hours = totals["hours_low"]
    if hours and hours > YEAR_H:
        yield refuse(
            "machine",
            f"{machine.gpus} x {machine.gpu}" if machine.gpus else f"{machine.cores} CPU cores",
            f"this takes {hours / YEAR_H:,.0f} years there",
            "name another (--gpu, --gpus, --cluster), or train on fewer tokens",
        )
        return  # one reason is enough
    if machine.gpus:
        yield from _gpus(found)
        return
    yield from _host(found, root)


def refuse_beyond(seen: Seen, decisions: Mapping[str, Any]) -> None:
    """Raise ``UserError`` where this machine's cores cannot do it; GPUs and clusters are not judged."""
    if seen.place.cores is None or seen.place.gpus:
        return
    stop(beyond(estimate(seen.params, decisions, ClusterFile()), seen.root))


def _gpus(found: Estimate) -> Iterator[Finding]:
    """States alone (weights, gradients, moments) are the least that any setting leaves on a GPU."""
    for row in found.rows:
        memory, room = row.cost.memory, found.machine.memory_bytes
        if not row.runs or memory is None or room is None:
            continue
        least = (memory.weights + memory.gradients) / found.machine.gpus
        if least > room:
            yield refuse(
                "gpu",
                f"{found.machine.gpus} x {found.machine.gpu}",
                f"{row.name} needs {least / 1e9:,.0f} GB on each even when all is shared out",
                "take more or larger GPUs",
            )
            return


def _host(found: Estimate, root: Path) -> Iterator[Finding]:
    have = float(psutil.virtual_memory().total)
    for row in found.rows:
        memory = row.cost.memory
        if row.runs and memory is not None:
            states = found.layout.workers * (
                memory.weights + memory.gradients + memory.optimizer + memory.process
            )
            if states > have:
                yield refuse(
                    "machine",
                    f"{have / 1e9:,.0f} GB of memory",
                    f"{row.name} keeps {states / 1e9:,.0f} GB of weights, gradients and moments in "
                    f"{found.layout.workers} workers",
                    "set REPO_WORKERS=1, take a larger machine (--gpu, --cluster) or a smaller model",
                )
                break
    needed, free = found.totals()["disk_bytes"] or 0.0, float(shutil.disk_usage(root).free)
    if needed > free:
        yield refuse(
            "disk",
            f"{free / 1e9:,.0f} GB free",
            f"the stages that would run leave {needed / 1e9:,.0f} GB",
            "free some (`repo-pipeline gc`), or put the project on another disk",
        )
