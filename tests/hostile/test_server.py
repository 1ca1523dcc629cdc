"""Prefect's server of a run, attacked by another user and by another page of the browser."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from pipeline import environment
from stages.common.errors import UserError
from tests.hostile import attack


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real server as ``repo-pipeline run`` starts it."""
    root = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("PREFECT_")]:
            patch.delenv(name)
        patch.chdir(root)
        before = dict(os.environ)
        environment.prepare(root)
        from pipeline.services import own_server

        try:
            with own_server(print):
                yield os.environ["PREFECT_API_URL"]
        finally:
            os.environ.clear()
            os.environ.update(before)


def test_another_user_is_not_let_in(server: str) -> None:
    attack.another_user(server)
    attack.addresses(os.getpid())


def test_another_page_of_the_browser_is_not_let_in(server: str) -> None:
    attack.another_page(server, os.environ["PREFECT_API_AUTH_STRING"])


def test_no_socket_lets_anybody_in(server: str) -> None:
    attack.sockets(server)


def test_with_key_and_token_it_works(server: str) -> None:
    with httpx.Client(headers=attack.basic(os.environ["PREFECT_API_AUTH_STRING"])) as client:
        token = client.get(f"{server}/csrf-token", params={"client": "t"}).json()["token"]
        client.headers.update({"Prefect-Csrf-Token": token, "Prefect-Csrf-Client": "t"})
        assert client.post(f"{server}/flows/", json=attack.FLOW).status_code in (200, 201)


def test_nobody_else_reads_what_it_keeps(server: str) -> None:
    home = Path(os.environ["PREFECT_HOME"])
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


def test_the_key_is_written_for_the_owner_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".prefect").mkdir()
    modes = []
    real = os.open
    monkeypatch.setattr(
        os,
        "open",
        lambda path, flags, mode=0o777, **more: (
            modes.append(mode) or real(path, flags, mode, **more)
        ),
    )
    umask = os.umask(0)
    try:
        assert environment.announce(tmp_path, "http://127.0.0.1:1/api", "repo:x")
    finally:
        os.umask(umask)
    for name in ("prefect.toml", ".prefect/server.json"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
        assert "repo:x" in (tmp_path / name).read_text()
    assert set(modes) == {0o600}
    environment.withdraw(tmp_path)
    assert not (tmp_path / "prefect.toml").exists()


def test_a_prefect_toml_of_the_user_s_own_stays(tmp_path: Path) -> None:
    (tmp_path / ".prefect").mkdir()
    (tmp_path / "prefect.toml").write_text("[api]\nurl = 'https://mine'\n")
    assert not environment.announce(tmp_path, "http://127.0.0.1:1/api", "repo:x")
    environment.withdraw(tmp_path)
    assert "mine" in (tmp_path / "prefect.toml").read_text()


@pytest.mark.skipif(os.getuid() != 0, reason="another's folder takes root")
def test_a_folder_that_another_made_ready_is_refused(tmp_path: Path) -> None:
    from pipeline.place import private

    trap = tmp_path / "repo-prefect"
    trap.mkdir()
    os.chown(trap, 12345, 12345)
    with pytest.raises(UserError, match="not yours"):
        private(trap)
    link = tmp_path / "link"
    link.symlink_to(tmp_path)
    with pytest.raises(UserError, match="not yours"):
        private(link)
