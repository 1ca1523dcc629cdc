"""A Ray cluster of two nodes on this machine, with token auth and an S3 server: to try things out.

    python infra/local/two_nodes.py [--workers 1] [--cpus 1]

starts it, prints what a laptop needs to use it, and stops it at Ctrl-C. Each node has a work folder
of its own and, for root on Linux, a network namespace of its own; else both share the loopback.
All of it is reached from this machine only. Used by tests/pipeline/remote/test_two_nodes.py.

Tried: Ray 2.60, moto 5.2, Linux as root (namespaces) and without (loopback). Not tried: macOS.
"""

import argparse
import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil

BIN = Path(sys.executable).parent
BUCKET = "repo"
DEADLINE_S = 240.0
TRIES = 4
"""For a node to come up: Ray gives it 30 s, which a busy machine may exceed."""


class Network:
    """Addresses for the nodes: a bridge with a namespace each, or the loopback for all."""

    def __init__(self, nodes: int, namespaces: bool | None = None) -> None:
        self.tag = secrets.token_hex(2)
        self.bridge = f"rp{self.tag}"
        possible = sys.platform == "linux" and os.geteuid() == 0 and shutil.which("ip") is not None
        self.isolated = possible if namespaces is None else namespaces
        self.names: list[str] = []
        self.host, self.addresses = "127.0.0.1", ["127.0.0.1"] * nodes
        if self.isolated:
            try:
                self._build(nodes)
            except subprocess.CalledProcessError:
                self.close()
                self.isolated = False
                self.host, self.addresses = "127.0.0.1", ["127.0.0.1"] * nodes

    def inside(self, node: int) -> list[str]:
        """Words before a command that put it on a node."""
        return ["ip", "netns", "exec", self.names[node]] if self.isolated else []

    def close(self) -> None:
        """Take the bridge and the namespaces away."""
        for name in self.names:
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)
        subprocess.run(["ip", "link", "delete", self.bridge], check=False, capture_output=True)
        self.names = []

    def _build(self, nodes: int) -> None:
        net = f"10.{200 + secrets.randbelow(50)}.{secrets.randbelow(250)}"
        self.host = f"{net}.254"
        self.addresses = [f"{net}.{node + 1}" for node in range(nodes)]
        _ip("link", "add", self.bridge, "type", "bridge")
        _ip("addr", "add", f"{self.host}/24", "dev", self.bridge)
        _ip("link", "set", self.bridge, "up")
        for node, address in enumerate(self.addresses):
            name, end = f"{self.bridge}n{node}", f"{self.bridge}v{node}"
            _ip("netns", "add", name)
            self.names.append(name)
            _ip("link", "add", end, "type", "veth", "peer", "name", "eth0", "netns", name)
            _ip("link", "set", end, "master", self.bridge, "up")
            _ip("-n", name, "addr", "add", f"{address}/24", "dev", "eth0")
            _ip("-n", name, "link", "set", "eth0", "up")
            _ip("-n", name, "link", "set", "lo", "up")


class TwoNodes:
    """A head (node 0) and workers, an S3 server with a bucket, and a folder that all share."""

    def __init__(
        self, folder: Path, workers: int = 1, cpus: int = 1, namespaces: bool | None = None
    ) -> None:
        self.folder, self.cpus = folder, cpus
        self.shared = folder / "shared"
        self.shared.mkdir(parents=True, exist_ok=True)
        self.token_file = folder / "token"
        descriptor = os.open(self.token_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(32))
        self.secret = secrets.token_hex(20)
        """The S3 key: it must be found nowhere but in environments."""
        self.network = Network(workers + 1, namespaces)
        self.processes: dict[int | str, subprocess.Popen[bytes]] = {}
        self._s3_port = _free_port(self.network.host)
        self._gcs_port = _free_port("127.0.0.1")
        self._dashboard_port = _free_port("127.0.0.1")
        try:
            self._start_s3()
            for node in range(workers + 1):
                self.start(node)
        except BaseException:
            self.close()
            raise

    @property
    def address(self) -> str:
        """Of the dashboard."""
        return f"http://{self.network.addresses[0]}:{self._dashboard_port}"

    @property
    def s3(self) -> str:
        """Of the S3 server."""
        return f"http://{self.network.host}:{self._s3_port}"

    @property
    def credentials(self) -> dict[str, str]:
        """Of the S3 server, as variables."""
        return {
            "AWS_ACCESS_KEY_ID": "two-nodes",
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def laptop(self) -> dict[str, str]:
        """What a laptop has in its environment to use the cluster and the remote."""
        return {
            **self.credentials,
            "RAY_API_SERVER_ADDRESS": self.address,
            "RAY_AUTH_TOKEN_PATH": str(self.token_file),
            "REPO_TOKEN_IN_CLEAR": "1",  # over a bridge that is within this machine
        }

    def start(self, node: int) -> None:
        """Start a node and wait until the cluster knows it."""
        for _ in range(TRIES):
            self._spawn(node)
            if self._came_up(node):
                return
            self.kill(node)
        log = (self.folder / f"node-{node}.log").read_text(errors="replace")
        raise RuntimeError(f"node {node} did not come up: {log[-2000:]}")

    def _spawn(self, node: int) -> None:
        ip = self.network.addresses[node]
        command = [
            *self.network.inside(node), str(BIN / "ray"), "start", "--block",
            "--node-ip-address", ip, "--num-cpus", str(self.cpus),
            "--object-store-memory", str(200 * 2**20), "--disable-usage-stats",
        ]  # fmt: skip
        if node == 0:
            command += [
                "--head", "--port", str(self._gcs_port), "--temp-dir", str(self.folder / "n0"),
                "--dashboard-host", ip, "--dashboard-port", str(self._dashboard_port),
            ]  # fmt: skip
        else:
            head = f"{self.network.addresses[0]}:{self._gcs_port}"
            command += ["--address", head, "--temp-dir", str(self.folder / f"n{node}")]
        log = open(self.folder / f"node-{node}.log", "ab")  # noqa: SIM115 - the process's own
        self.processes[node] = subprocess.Popen(
            command, env=self._environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True, cwd=self.folder,
        )  # fmt: skip
        log.close()

    def _came_up(self, node: int) -> bool:
        """Whether the cluster knows as many nodes as were started, before this one has given up."""
        others = len([name for name in self.processes if name not in (node, "s3")])
        process = self.processes[node]

        def settled() -> bool:
            return process.poll() is not None or self.alive() > others

        self._wait(f"node {node}", settled)
        return process.poll() is None

    def kill(self, node: int | str) -> None:
        """Kill a node, or ``"s3"``, at once, with all that runs on it."""
        _kill(self.processes.pop(node))

    def alive(self) -> int:
        """Nodes that the head believes alive."""
        import json

        try:
            nodes = json.loads(self.get("/nodes?view=summary"))["data"]["summary"]
        except (OSError, ValueError, KeyError):
            return 0
        return sum(node["raylet"].get("state") == "ALIVE" for node in nodes)

    def get(self, path: str) -> bytes:
        """An answer of the dashboard."""
        request = urllib.request.Request(
            self.address + path,
            headers={"Authorization": f"Bearer {self.token_file.read_text()}"},
        )
        with urllib.request.urlopen(request, timeout=5) as answer:
            return bytes(answer.read())

    def family(self) -> list[psutil.Process]:
        """All processes of the nodes."""
        found = []
        for name, process in self.processes.items():
            if name != "s3":
                with contextlib.suppress(psutil.NoSuchProcess):
                    found += psutil.Process(process.pid).children(recursive=True)
        return found

    def close(self) -> None:
        """Stop everything that was started here."""
        for name in list(self.processes):
            self.kill(name)
        self.network.close()

    def _environment(self) -> dict[str, str]:
        clean = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("RAY_", "REPO_", "PREFECT", "AWS_", "PYTHONPATH", "DVC"))
        }
        return {
            **clean,
            **self.credentials,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(self.token_file),
            "RAY_TRAIN_V2_ENABLED": "1",
            "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.1",
            "RAY_worker_register_timeout_seconds": "900",  # stages/common/ray_session.py says why
            # A node that is gone is noticed in seconds, not in half a minute.
            "RAY_health_check_initial_delay_ms": "0",
            "RAY_health_check_period_ms": "1000",
            "RAY_health_check_failure_threshold": "3",
            "REPO_RUNS": str(self.shared / "runs"),
            "OMP_NUM_THREADS": "1",
            # The host's name is the loopback's in every namespace: gloo would meet itself there.
            **({"GLOO_SOCKET_IFNAME": "eth0"} if self.network.isolated else {}),
        }

    def _start_s3(self) -> None:
        log = open(self.folder / "s3.log", "ab")  # noqa: SIM115 - the process's own
        self.processes["s3"] = subprocess.Popen(
            [str(BIN / "moto_server"), "-H", self.network.host, "-p", str(self._s3_port)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
        log.close()
        self._wait("the S3 server", self._make_bucket)

    def _make_bucket(self) -> bool:
        request = urllib.request.Request(f"{self.s3}/{BUCKET}", method="PUT")
        try:
            with urllib.request.urlopen(request, timeout=5):
                return True
        except (OSError, urllib.error.URLError):
            return False

    def _wait(self, what: str, ready: object) -> None:
        assert callable(ready)
        deadline = time.monotonic() + DEADLINE_S
        while not ready():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{what} did not come up; see the logs in {self.folder}")
            time.sleep(0.3)


def _kill(process: subprocess.Popen[bytes]) -> None:
    family = []
    with contextlib.suppress(psutil.NoSuchProcess):
        family = [*psutil.Process(process.pid).children(recursive=True)]
    for member in [*family, psutil.Process(process.pid)] if process.poll() is None else family:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.send_signal(signal.SIGKILL)
    process.wait()
    psutil.wait_procs(family, timeout=10)


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


def guide(cluster: TwoNodes) -> Iterator[str]:
    """Lines to type: a clone without data as the laptop, a run, and what it made brought home."""
    yield f"export PATH={BIN}:$PATH"
    for variable, value in cluster.laptop().items():
        yield f"export {variable}={value}"
    laptop = cluster.folder / "laptop"
    yield f"git clone -q {Path(__file__).parents[2]} {laptop} && cd {laptop}"
    yield f"dvc remote add -d two-nodes s3://{BUCKET}/dvc"
    yield f"dvc remote modify two-nodes endpointurl {cluster.s3}"
    yield "git -c user.name=me -c user.email=me@laptop commit -qam 'a remote'"
    yield "repo-pipeline submit --profile smoke --wait  # some minutes; Ctrl-C detaches"
    yield "repo-pipeline fetch                          # lock, metrics and report"
    yield "dvc repro --allow-missing                    # nothing changed, and nothing is pulled"
    yield "dvc pull models/repo-42                      # a model, when it is wanted"


def main() -> None:
    """Start, print, wait, stop."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--cpus", type=int, default=1, help="of each node")
    options = parser.parse_args()
    if not (BIN / "moto_server").is_file():
        sys.exit(
            "two_nodes: the S3 server (moto) is not installed; `make .venv/dev.done` brings it"
        )
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # Also in a background job, where a shell has SIGINT ignored.
        signal.signal(number, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="r2-", ignore_cleanup_errors=True) as name:
        cluster = None
        try:
            cluster = TwoNodes(Path(name), options.workers, options.cpus)
            print(f"# {options.workers + 1} nodes; Ctrl-C stops them. In another terminal:")
            print("\n".join(guide(cluster)), flush=True)
            signal.pause()
        except KeyboardInterrupt:
            pass
        finally:
            if cluster:
                cluster.close()


if __name__ == "__main__":
    main()
