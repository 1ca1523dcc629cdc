"""The doctor names what is wrong and the fix, and finds nothing wrong where nothing is."""

import os
import socket
from pathlib import Path

import pytest

from pipeline import doctor
from pipeline.doctor import Finding, examine
from pipeline.use import profiles
from tests.pipeline.conftest import Shell


@pytest.fixture
def checkup(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REPO_RUNS", str(project / "runs"))
    monkeypatch.setattr(doctor, "TOKEN_FILE", project / "auth_token")
    (project / "params.yaml").write_text(profiles()["smoke"])
    return project


def find(root: Path, subject: str, port: int = 0) -> Finding:
    (found,) = [one for one in examine(root, port) if one.subject == subject]
    return found


def test_a_sound_machine(checkup: Path) -> None:
    found = examine(checkup, 0)
    assert not [one for one in found if one.verdict == "wrong"]
    assert {"Python", "ray", "prefect", "memory", "cores", "DVC cache", "DVC remote"} <= {
        one.subject for one in found
    }
    assert all(one.fix for one in found if one.verdict != "ok")


def test_an_open_token_is_named_with_its_mend(checkup: Path) -> None:
    token = checkup / "auth_token"
    token.write_text("secret")
    token.chmod(0o644)
    found = find(checkup, "secrets")
    assert found.verdict == "wrong"
    assert found.fix == f"chmod 600 {token}"
    token.chmod(0o600)
    assert find(checkup, "secrets").verdict == "ok"


def test_a_taken_port(checkup: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        found = find(checkup, f"port {port}", port)
    assert found.verdict == "note"
    assert "--port" in found.fix


def test_bad_params(checkup: Path) -> None:
    text = profiles()["smoke"].replace("start_layer: 1", "start_layr: 1")
    (checkup / "params.yaml").write_text(text)
    found = find(checkup, "params.yaml")
    assert found.verdict == "wrong"
    assert "start_lay" in found.found


def test_other_versions_than_tested(checkup: Path) -> None:
    (checkup / "constraints.txt").write_text("ray==2.0.0\n")
    found = find(checkup, "ray")
    assert found.verdict == "note"
    assert found.fix == "pip install ray==2.0.0"


def test_a_remote_that_cannot_be_reached(checkup: Path, shell: Shell) -> None:
    assert find(checkup, "DVC remote").verdict == "note"
    shell(checkup, "dvc", "remote", "add", "-d", "here", str(checkup / "remote"))
    assert find(checkup, "DVC remote").verdict == "ok"
    shell(checkup, "dvc", "remote", "add", "-f", "-d", "here", "ssh://127.0.0.1:1/nowhere")
    found = find(checkup, "DVC remote")
    assert found.verdict == "wrong"
    assert found.fix


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_runs_that_cannot_be_written(checkup: Path) -> None:
    runs = checkup / "runs"
    runs.mkdir()
    runs.chmod(0o500)
    assert find(checkup, "REPO_RUNS").verdict == "wrong"
