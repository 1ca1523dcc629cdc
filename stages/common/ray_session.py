"""Ray, joined or started: a stage asks for a session and does not care which it got.

The flow starts one local Ray for a whole run and names it in ``RAY_ADDRESS`` (``pipeline.cluster``);
a stage run alone starts its own, which dies with it.
"""

import os
import secrets
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from stages.common import ray_place
from stages.common.ray_start import local_ray
from stages.common.variables import flag, whole

ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_DEDUP_LOGS": "0",
    "RAY_TRAIN_V2_ENABLED": "1",
    # How often Train's controller polls its workers: at the default a report costs 2 s, here 0.1 s.
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
OWN = {
    # Ray ends a worker that has not reported after 60 s and starts the next one, for ever: at a load of
    # ten per core, importing takes longer and no training ever begins.
    "RAY_worker_register_timeout_seconds": "900",
    # What Ray does by default on a Mac: a Ray of one machine listens on loopback and nowhere else.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    # One machine is never drained: no actor that looks for it (5 CPU seconds a training).
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    **({"GLOO_SOCKET_IFNAME": "lo"} if sys.platform == "linux" else {}),
}
"""Beside these for a Ray that is started here, not joined."""
TOKEN_FILE = Path(os.path.expanduser("~")) / ".ray" / "auth_token"  # noqa: PTH111 - never raises


def on_ray() -> bool:
    """Whether samples and evaluation go to Ray: it is installed and ``REPO_EVAL_RAY`` is not 0."""
    found = find_spec(
        "ray"
    )  # a folder `ray` where one stands, as in /tmp, is a spec without origin
    return flag("REPO_EVAL_RAY", True) and found is not None and found.origin is not None


@contextmanager
def session() -> Iterator[str]:
    """Yield the address of a Ray that this process is connected to; nested calls share one."""
    settle()
    _ensure_token()
    import ray

    if ray.is_initialized():
        yield ray.get_runtime_context().gcs_address
        return
    warnings.filterwarnings("ignore", category=FutureWarning, module="ray")
    with _cluster() as address:
        try:
            with _own_sigterm():
                ray.init(address=address, log_to_driver=False, logging_level="warning")
            yield ray.get_runtime_context().gcs_address
        finally:
            ray.shutdown()


@contextmanager
def _cluster() -> Iterator[str]:
    """The Ray that ``RAY_ADDRESS`` names, else a local one that ends with the block."""
    if address := os.environ.get("RAY_ADDRESS"):
        yield address
        return
    with local_ray(
        num_cpus=cpus(),
        _temp_dir=ray_place.folder(),
        include_dashboard=False,
        log_to_driver=False,
        logging_level="warning",
    ) as address:
        yield address


def settle() -> None:
    """Give Ray its settings where the user gave none; it reads them when it is first imported."""
    own = not os.environ.get("RAY_ADDRESS") and "ray" not in sys.modules
    for name, value in {**ENVIRONMENT, **(OWN if own else {})}.items():
        os.environ.setdefault(name, value)


@contextmanager
def _own_sigterm() -> Iterator[None]:
    """Keep this process's way to end on SIGTERM: ``ray.init`` puts a crash dump in its place."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def cores() -> int:
    """Cores that this process may use; a Mac cannot say and has them all."""
    own = getattr(os, "sched_getaffinity", None)
    return len(own(0)) if own else os.cpu_count() or 1


def cpus() -> int:
    """Cores that a local Ray may use: ``$REPO_CPUS``, by default those of this process."""
    return whole("REPO_CPUS", cores())


def _ensure_token() -> None:
    """Give Ray a token file that only its owner may read (Ray's own is made with mode 0644)."""
    if os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_TOKEN_PATH"):
        return
    try:
        TOKEN_FILE.parent.mkdir(mode=0o700, exist_ok=True)
        if not TOKEN_FILE.exists():
            temporary = TOKEN_FILE.with_name(f".auth_token.{os.getpid()}")
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_hex(32))
            temporary.replace(TOKEN_FILE)
        TOKEN_FILE.chmod(0o600)
    except OSError:  # no home, or one that cannot be written: children inherit the variable
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
