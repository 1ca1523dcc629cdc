"""The flow ``repo-pipeline``: one Prefect task per stage of ``dvc.yaml``.

DVC decides whether a stage runs; Prefect orders, shows and retries; Ray computes.
"""

import os
from collections.abc import Collection, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.futures import wait
from prefect.states import Completed, State
from prefect.task_runners import ThreadPoolTaskRunner

from pipeline.cluster import shared_ray
from pipeline.graph import Graph, read_graph
from pipeline.plan import Decision, plan
from pipeline.process import child_environment, run_stage
from stages.common.errors import TRY_AGAIN
from stages.common.runs import root as runs_root

PARALLEL = int(os.environ.get("REPO_PARALLEL_STAGES", "2"))
"""Stages at once; Ray shares out the cores among them."""


class StageFailed(RuntimeError):
    """A stage ended other than well."""

    def __init__(self, name: str, code: int, line: str) -> None:
        super().__init__(f"{name}: {line}")
        self.code = code


def _may_pass(task: Any, run: Any, state: State[Any]) -> bool:
    """Retry only what said "try again"."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, StageFailed) and error.code == TRY_AGAIN


@task(
    name="stage",
    task_run_name="{name}",
    retries=2,
    retry_delay_seconds=5,
    retry_condition_fn=_may_pass,
)
def run_task(
    name: str, decision: Decision, environment: Mapping[str, str], log: str, force: bool
) -> State[Any]:
    """Run one stage, or skip it where the plan found nothing to do."""
    logger = get_run_logger()
    if decision.action == "fresh":
        return Completed(name="Skipped", message=decision.reason)

    def show(line: str) -> None:
        logger.info(line)
        print(f"[{name}] {line}", flush=True)

    print(f"[{name}] {decision.action}: {decision.reason}", flush=True)
    ended = run_stage(name, environment, Path(log), show, force)
    if ended.code != 0:
        raise StageFailed(name, ended.code, ended.line)
    return Completed(message=f"{decision.action}: {decision.reason}")


@flow(
    name="repo-pipeline",
    flow_run_name="{label}",
    task_runner=ThreadPoolTaskRunner(max_workers=PARALLEL),
    validate_parameters=False,
)
def repo_pipeline(
    targets: list[str] | None = None, force: bool = False, label: str = "full"
) -> None:
    """Bring ``targets`` (none: everything) up to date; stages that did not change are skipped."""
    graph = read_graph(Path.cwd())
    names = graph.select(targets or [])
    forced = graph.named(targets or []) if force else set()
    run_graph(graph, names, plan(graph, names, forced), forced)


def run_graph(
    graph: Graph, names: list[str], decisions: Mapping[str, Decision], forced: Collection[str]
) -> None:
    """Submit every stage behind those it needs, and raise the first failure at the end."""
    logs = runs_root() / "logs" / datetime.now().strftime("%Y%m%d-%H%M%S")
    with shared_ray() as ray:
        environment = {**child_environment(), **ray}
        futures: dict[str, Any] = {}
        for name in names:
            futures[name] = run_task.submit(
                name,
                decisions[name],
                environment,
                str(logs / f"{name}.log"),
                name in forced,
                wait_for=[futures[up] for up in graph.upstream[name] if up in futures],
            )
        wait(list(futures.values()))
    failures = [future.state for future in futures.values() if future.state.is_failed()]
    if failures:
        raise failures[0].result(raise_on_failure=False)
