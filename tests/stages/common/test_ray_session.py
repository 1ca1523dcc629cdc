"""The Ray that is started here: who can reach it, and whose token it is."""

import stat
import subprocess
import sys
from ipaddress import ip_address
from pathlib import Path

import psutil
import pytest

from stages.common.ray_session import TOKEN_FILE, on_ray, settle

pytestmark = pytest.mark.ray


def test_it_listens_on_loopback_only(ray_session: str) -> None:
    this = psutil.Process()
    family = [this, *this.children(recursive=True)]
    listening = [
        (connection.laddr.ip, " ".join(process.cmdline())[:80])
        for process in family
        if any("ray" in word for word in process.cmdline())
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert any("raylet" in command for _, command in listening)
    for address, command in listening:
        assert ip_address(address.removeprefix("::ffff:")).is_loopback, command
    assert ip_address(ray_session.rpartition(":")[0]).is_loopback


def test_the_token_is_its_owners_alone(ray_session: str) -> None:
    assert stat.S_IMODE(TOKEN_FILE.stat().st_mode) == 0o600


def test_a_ray_that_is_joined_keeps_its_addresses() -> None:
    code = f"import os; from {settle.__module__} import settle; settle(); print(*os.environ)"
    for joined, kept in ({"RAY_ADDRESS": "10.0.0.1:6379"}, False), ({}, True):
        told = subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONPATH": ".", **joined},
            capture_output=True,
            text=True,
            check=True,
        )
        assert ("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER" in told.stdout) is kept


def test_without_ray_a_process_does_the_work_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in vLLM's environment, or where it was told."""
    monkeypatch.delenv("REPO_EVAL_RAY", raising=False)
    assert on_ray()
    monkeypatch.setenv("REPO_EVAL_RAY", "0")
    assert not on_ray()
    monkeypatch.delenv("REPO_EVAL_RAY")
    monkeypatch.setitem(sys.modules, "ray", None)
    assert not on_ray()
    monkeypatch.delitem(sys.modules, "ray")
    (tmp_path / "ray").mkdir()
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert not on_ray()
