"""Flow runs that Prefect shows as running and whose process is dead."""

import os
import socket
from datetime import UTC, datetime, timedelta

import psutil
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
    TaskRunFilter,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.states import Cancelled, Crashed

from pipeline import live

UNFINISHED = [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]
STARTING = timedelta(minutes=3)
"""A run that a worker took and that has no process after this will never have one."""


def end_dead_runs() -> list[str]:
    """End on the page what has ended in fact; one line for each."""
    said = []
    chosen = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=UNFINISHED)))
    with get_client(sync_client=True) as client:
        for run in client.read_flow_runs(flow_run_filter=chosen):
            if _is_dead(run):
                _end(client, run)
                said.append(f"run {run.name}: its process is gone; start it again to go on")
    live.forget_gone()
    return said


def _is_dead(run: FlowRun) -> bool:
    if live.is_gone(str(run.id)):
        return True
    host, _, pid = (run.infrastructure_pid or "").rpartition(":")
    if host == socket.gethostname() and pid.isdigit():
        return not psutil.pid_exists(int(pid))
    waits = run.state is not None and run.state.is_pending() and run.deployment_id is not None
    return waits and datetime.now(UTC) - run.state.timestamp > STARTING


def _end(client: SyncPrefectClient, run: FlowRun) -> None:
    message = f"its process is gone (seen by repo-pipeline serve, pid {os.getpid()})"
    cancelled = run.state is not None and run.state.is_cancelling()
    state = Cancelled(message=message) if cancelled else Crashed(message=message)
    tasks = client.read_task_runs(
        flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[run.id])),
        task_run_filter=TaskRunFilter(
            state=TaskRunFilterState(type=TaskRunFilterStateType(any_=UNFINISHED))
        ),
    )
    for task in tasks:
        client.set_task_run_state(task.id, Crashed(message=message), force=True)
    client.set_flow_run_state(run.id, state, force=True)
