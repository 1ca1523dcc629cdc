"""The flow ``repo-pipeline``: one Prefect task per stage of ``dvc.yaml``.

DVC decides whether a stage runs; Prefect orders, shows and retries; Ray computes.
"""

import errno
import itertools
import queue
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect import flow, get_run_logger, runtime, task
from prefect.cache_policies import NO_CACHE
from prefect.futures import wait
from prefect.states import Completed, State
from prefect.task_runners import ThreadPoolTaskRunner

from pipeline import local, mirrored, page, streams
from pipeline.checkout import save_experiment
from pipeline.cluster import shared_ray
from pipeline.console import Console, mode_of
from pipeline.ended import StageFailed
from pipeline.environment import prepare
from pipeline.events import emit
from pipeline.live import recorded
from pipeline.plan import Decision
from pipeline.process import CHATTER, run_stage, settled, stop_all, stopping
from pipeline.ready import Ready, make_ready
from pipeline.schedule import Schedule
from pipeline.stopping import stopped_from_outside
from stages.common.errors import TRY_AGAIN
from stages.common.guard import watch
from stages.common.progress import parse
from stages.common.runs import root as runs_root
from stages.common.variables import whole

prepare(Path.cwd())  # where Prefect's worker starts the flow, nobody else has
PARALLEL, ITEMS = whole("REPO_PARALLEL_STAGES"), whole("REPO_PARALLEL_TRAININGS")
"""Stages at once, and variants whose GPU stages run side by side (``pipeline.schedule``)."""


def _may_pass(task: Any, run: Any, state: State[Any]) -> bool:
    """Retry only what said "try again", and not what was told to stop."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, StageFailed) and error.code == TRY_AGAIN and not stopping()


@task(
    name="stage",
    task_run_name="{name}",
    retries=2,
    retry_delay_seconds=5,
    retry_condition_fn=_may_pass,
    cache_policy=NO_CACHE,
)
def run_task(
    name: str,
    decision: Decision,
    root: Path,
    environment: Mapping[str, str],
    log: Path,
    console: Console,
    force: bool,
) -> State[Any]:
    """Run one stage, or skip it where the plan found nothing to do."""
    if decision.action == "fresh":
        emit(name, "skipped", decision.reason)
        return Completed(name="Skipped", message=decision.reason)
    why = f"{decision.action}: {decision.reason}"
    shown = page.StagePage(name)
    last: list[str] = []

    def show(line: str) -> None:
        shown.line(line)
        if not CHATTER.match(line) and not why.endswith(line):  # which is said above it
            console.line(name, line)
        if parse(line):
            emit(name, "progress", line)
        last[:] = [*last[-19:], line]

    console.started(name, why)
    emit(name, "running", why)
    ended = run_stage(root, name, environment, log, show, force)
    if ended.code != 0:
        failed = not stopping()
        console.ended(name, f"failed: {ended.line}" if failed else ended.line, failed)
        emit(name, "failed" if failed else "stopped", ended.line)
        get_run_logger().error("%s\nlast lines, all in %s:\n%s", ended.line, log, "\n".join(last))
        raise StageFailed(name, ended.code, ended.line)
    shown.done()
    console.ended(name, "done")
    emit(name, "completed", why)
    return Completed(message=why)


def _run_name() -> str:
    given = runtime.flow_run.parameters or {}
    parts = [given.get("profile"), *(given.get("overrides") or []), *(given.get("targets") or [])]
    return " ".join(str(part) for part in parts if part) or "full"


@flow(
    name="repo-pipeline",
    flow_run_name=_run_name,
    task_runner=ThreadPoolTaskRunner(max_workers=max(PARALLEL, ITEMS) + 8),
)
def repo_pipeline(
    profile: str | None = None,
    overrides: list[str] | None = None,
    targets: list[str] | None = None,
    force: bool = False,
    sweep: dict[str, list[Any]] | None = None,
    cluster: str | None = None,
) -> None:
    """Bring stages up to date; what did not change is skipped.

    Args:
        profile: Params file that ships; with it, or with overrides, the run has a worktree of its
            own and ends as a DVC experiment.
        overrides: Changed params, ``["train.lr=1e-4"]``.
        targets: Stages, with all they need; none: every one.
        force: Run the targets even where nothing changed.
        sweep: One such run for each combination of values, ``{"train.start_layer": [0, 3]}``.
        cluster: Cluster file or address of a Ray dashboard: the run is one job there, shown here.
    """
    run, main = UUID(str(runtime.flow_run.id)), Path.cwd()
    watch()
    # Prefect's worker reads our lines; a worker that was killed leaves a pipe without a reader.
    streams.go_on_unheard(errno.EPIPE, *streams.FULL)
    if sweep:
        with recorded(str(run)), stopped_from_outside(run, stop_all):
            for values in itertools.product(*sweep.values()):
                changed = [f"{key}={value}" for key, value in zip(sweep, values, strict=True)]
                changed = [*(overrides or []), *changed]
                repo_pipeline(profile, changed, targets, force, cluster=cluster)
    elif cluster:
        job = mirrored.submit(main, cluster, targets or [], profile, overrides or [], force)
        sweeping = UUID(str(runtime.flow_run.root_flow_run_id))
        let_go = partial(mirrored.let_go, job, run, sweeping)
        with recorded(str(run)), stopped_from_outside(run, let_go):
            mirrored.follow(main, job, bring=profile is None and not overrides)
    else:
        with recorded(str(run)), stopped_from_outside(run, stop_all):
            _run(make_ready(main, targets or [], profile, overrides or [], force))


def _run(ready: Ready) -> None:
    page.show_plan(ready.decisions)
    logs = runs_root() / "logs" / datetime.now().strftime("%Y%m%d-%H%M%S")
    with local.recorded(logs, _run_name()):
        for name, decision in ready.decisions.items():
            emit(name, "planned", f"{decision.action}: {decision.reason}")
        run_graph(ready, logs)
    if ready.here.experiment:
        whole = len(ready.names) == len(ready.graph.stages)
        save_experiment(ready.here, [] if whole else ready.names)
    if "report" in ready.names:
        page.show_results(ready.here.root)


def run_graph(ready: Ready, logs: Path) -> None:
    """Submit every stage when its turn has come, and raise the first failure at the end."""
    shown = sum(decision.action != "fresh" for decision in ready.decisions.values())
    console = Console(mode_of(), shown)
    with shared_ray(wanted=shown > 0) as ray, console.live():
        environment = {**ready.here.environment(), **ray}
        futures: dict[str, Any] = {}
        over: queue.SimpleQueue[str] = queue.SimpleQueue()
        idle = [name for name, decision in ready.decisions.items() if decision.action == "fresh"]
        schedule = Schedule(ready.names, ready.graph.upstream, ready.heavy, PARALLEL, ITEMS, idle)
        try:
            while not schedule.done:
                for name in schedule.start():
                    futures[name] = run_task.submit(
                        name,
                        ready.decisions[name],
                        ready.here.root,
                        environment,
                        logs / f"{name}.log",
                        console,
                        name in ready.forced,
                        wait_for=[
                            futures[up] for up in ready.graph.upstream[name] if up in futures
                        ],
                    )
                    futures[name].add_done_callback(lambda _, name=name: over.put(name))
                schedule.ended(over.get())
            wait(list(futures.values()))
        finally:
            settled()  # a stage that saves needs this run's Ray
        failures = [future.state for future in futures.values() if future.state.is_failed()]
        for name, future in futures.items():
            if not future.state.is_final():  # NotReady: what it needs is not there
                console.ended(name, "not run: a stage that it needs did not end well")
                emit(name, "stopped", "a stage that it needs did not end well")
    if failures:
        raise failures[0].result(raise_on_failure=False)
