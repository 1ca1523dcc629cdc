"""A run folder that another has written to: nothing runs, nothing leaves its folder, one line each."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline import git
from pipeline.remote import run_folder
from pipeline.remote.fetch import fetch
from pipeline.remote.submission import digest
from pipeline.use import profiles
from stages.common.errors import UserError
from stages.common.files import sha256
from tests.pipeline.conftest import Shell, add_remote, project, shell, template

__all__ = ["project", "shell", "template"]  # fixtures
Card = dict[str, Any]
PARAMS = profiles()["smoke"]


@pytest.fixture
def sent(
    project: Path, shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Path, Path, str]:
    """The laptop's project, the run's folder on its remote, and the run."""
    monkeypatch.setenv("REPO_RUNS", str(tmp_path / "runs"))
    remote = tmp_path / "remote"
    add_remote(project, "r", str(remote))
    # The project's own graph is small; what matters here is the params file that came.
    (project / "dvc.yaml").write_text("stages: {}\n")
    shell(project, "git", "config", "user.name", "t")
    shell(project, "git", "config", "user.email", "t@t")
    shell(project, "git", "add", "-A")
    shell(project, "git", "commit", "-qm", "all")
    commit = git.head(project)
    run = f"smoke-{digest(commit, PARAMS, ['train'], False)}"
    folder = remote / "repo-runs" / run
    folder.mkdir(parents=True)
    (folder / "params.yaml").write_text(PARAMS)
    tree = git.git(project, "rev-parse", "HEAD^{tree}")
    card = {"run": run, "commit": commit, "tree": tree, "targets": ["train"], "code": 0}
    write(folder, {**card, "line": "completed", "format": run_folder.FORMAT, "files": {}})
    return project, folder, run


def write(folder: Path, card: Card) -> None:
    """The card with the true hashes of all files there: an attacker has that much sense."""
    names = [p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()]
    hashes = {name: sha256(folder / name) for name in names if name != run_folder.CARD}
    card["files"] = {**hashes, **card["files"]}
    (folder / run_folder.CARD).write_text(json.dumps(card))


def test_what_was_sent_comes_home(sent: tuple[Path, Path, str]) -> None:
    root, _, run = sent
    fetch(root, run)
    assert (root / "params.yaml").read_text() == PARAMS


def _params(text: str) -> Callable[[Path, Card], None]:
    def attack(folder: Path, card: Card) -> None:
        (folder / "params.yaml").write_text(text)

    return attack


def _name(name: str) -> Callable[[Path, Card], None]:
    return lambda folder, card: card["files"].update({name: "0" * 64})


def _set(**values: Any) -> Callable[[Path, Card], None]:
    return lambda folder, card: card.update(values)


def _lock(text: str) -> Callable[[Path, Card], None]:
    def attack(folder: Path, card: Card) -> None:
        (folder / "dvc.lock").write_text(text)

    return attack


ATTACKS = {
    "a shell command for a variant": _params(PARAMS.replace("rope", "rope; touch X", 1)),
    "other params": _params(PARAMS.replace("profile: smoke", "profile: other")),
    "params that are no YAML": _params("\x00{["),
    "a tag of YAML": _params("!!python/object/apply:os.system ['touch X']"),
    "an absolute name": _name("/tmp/X"),
    "a name that leads out": _name("report/../../../X"),
    "a hidden name": _name(".git/hooks/post-checkout"),
    "code": _name("stages/train/version.py"),
    "the graph": _name("dvc.yaml"),
    "a backslash": _name("report\\..\\X"),
    "a hash that is none": _set(files={"report/index.html": "../../X"}),
    "files that are a list": _set(files=["x"]),
    "another run's card": _set(run="smoke-000000000000"),
    "a code that is text": _set(code="0; touch X"),
    "targets of another kind": _set(targets="train"),
    "other targets": _set(targets=["all"]),
    "a lock that is none": _lock("a: [\n"),
    "a lock of another shape": _lock("stages: [touch X]"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_a_changed_run_folder_replaces_nothing(sent: tuple[Path, Path, str], name: str) -> None:
    root, folder, run = sent
    card = json.loads((folder / run_folder.CARD).read_text())
    card["files"] = {}
    ATTACKS[name](folder, card)
    if isinstance(card["files"], dict):
        write(folder, card)
    else:
        (folder / run_folder.CARD).write_text(json.dumps(card))
    before = {p: p.read_bytes() for p in root.rglob("*") if p.is_file() and ".dvc" not in p.parts}
    with pytest.raises(UserError) as raised:
        fetch(root, run)
    assert len(str(raised.value).splitlines()) == 1
    after = {p: p.read_bytes() for p in root.rglob("*") if p.is_file() and ".dvc" not in p.parts}
    assert after == before
    assert not list(root.parent.rglob("X"))


@pytest.mark.parametrize("run", ["../../etc", "a/b", "", ".", "x;y", "UP", "a" * 100])
def test_a_run_s_name_is_no_path(sent: tuple[Path, Path, str], run: str) -> None:
    with pytest.raises(UserError, match="name"):
        fetch(sent[0], run)


def test_a_run_folder_that_would_fill_the_disk(
    sent: tuple[Path, Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_folder, "LIMIT_BYTES", 10)
    with pytest.raises(UserError, match="MB on the remote"):
        fetch(sent[0], sent[2])


@pytest.mark.parametrize(
    ("address", "allowed", "refused"),
    [
        ("http://head:8265", None, True),
        ("http://10.0.0.1:8265", None, True),
        ("http://head:8265", "1", False),
        ("https://head:8265", None, False),
        ("http://localhost:8265", None, False),
        ("http://127.0.0.1:8265", None, False),
    ],
)
def test_a_token_does_not_cross_the_network_in_clear(
    monkeypatch: pytest.MonkeyPatch, address: str, allowed: str | None, refused: bool
) -> None:
    from pipeline.remote.api import CLEAR, Jobs

    monkeypatch.setenv("RAY_AUTH_TOKEN", "geheim")
    monkeypatch.delenv(CLEAR, raising=False)
    if allowed:
        monkeypatch.setenv(CLEAR, allowed)
    if not refused:
        assert Jobs(address).headers
        return
    with pytest.raises(UserError, match="in clear") as raised:
        Jobs(address)
    assert "geheim" not in str(raised.value)
