"""Finished stages reach the remote while the run goes on."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.events import VARIABLE, emit
from pipeline.remote import pushing
from pipeline.remote.pushing import Pushing
from tests.pipeline.remote.conftest import Laptop


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A project of two small stages, the first of which has run."""
    tmp_path = tmp_path_factory.mktemp("pushing")
    root = tmp_path / "project"
    (root / ".dvc").mkdir(parents=True)
    cache, store = tmp_path / "cache", tmp_path / "store"
    (root / ".dvc" / "config").write_text(
        f"[core]\n analytics = false\n no_scm = true\n remote = store\n[cache]\n dir = {cache}\n"
        f"['remote \"store\"']\n url = {store}\n"
    )
    stage = "    cmd: echo {0} > {0}\n    outs: [{0}]\n"
    (root / "dvc.yaml").write_text(
        "stages:\n" + "".join(f"  {name}:\n" + stage.format(name) for name in ("one", "two"))
    )
    environment = Laptop.env(_bare(tmp_path))
    subprocess.run(
        [sys.executable, "-m", "dvc", "repro", "-q", "one"], cwd=root, env=environment, check=True
    )
    return root, environment


@pytest.fixture
def project(
    made: tuple[Path, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> tuple[Path, dict[str, str]]:
    """The project before anything was told or pushed."""
    root, _ = made
    monkeypatch.setattr(pushing, "LOOK_S", 0.05)
    monkeypatch.setenv(VARIABLE, str(root / "events.jsonl"))
    (root / "events.jsonl").unlink(missing_ok=True)
    shutil.rmtree(root.parent / "store", ignore_errors=True)
    return made


def _bare(folder: Path) -> Laptop:
    made = Laptop.__new__(Laptop)
    made.folder, made.environment = folder / "laptop", {}
    return made


def _wait(ready: object, seconds: float = 60.0) -> None:
    assert callable(ready)
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline, "nothing came within a minute"
        time.sleep(0.05)


def test_a_stage_that_ended_is_on_the_remote_before_the_run_is_over(
    project: tuple[Path, dict[str, str]],
) -> None:
    root, environment = project
    store = root.parent / "store"
    with Pushing(root, root / "events.jsonl", environment) as going:
        emit("two", "running", "step 3")
        time.sleep(0.3)
        assert not store.exists()  # what runs is not pushed
        emit("one", "completed")
        _wait(lambda: going.pushed)
        assert going.pushed == {"one"}
        (file,) = (path for path in store.rglob("*") if path.is_file())
        assert file.read_text() == "one\n"


def test_a_remote_that_is_away_is_said_once_and_stops_nothing(
    project: tuple[Path, dict[str, str]], capfd: pytest.CaptureFixture[str]
) -> None:
    root, environment = project
    (root.parent / "store").write_text("a file where the remote's folder should be")
    with Pushing(root, root / "events.jsonl", environment) as going:
        emit("one", "completed")
        _wait(lambda: going.pushed)
    said = capfd.readouterr().out.splitlines()
    assert [line.startswith("[job] not pushed yet (") for line in said] == [True], said
