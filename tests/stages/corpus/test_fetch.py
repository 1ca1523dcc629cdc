"""Token files of a list: fetched by ranges, resumed after kill -9, checked against what was learned."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stages.common.errors import TryAgain, UserError
from stages.common.files import read_json, sha256
from stages.corpus import fetch as fetching
from stages.corpus.fetch import fetch
from stages.corpus.listed import LOCK
from tests.stages.corpus.token_server import Server, serving

NAMES = [f"preprocessed/web/part-{n}.npy" for n in range(3)]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(fetching, "WAIT_S", 0.01)
    monkeypatch.setattr(fetching, "PIECE", 1000)
    with serving() as state:
        state.files = {name: os.urandom(4096 + 4 * n) for n, name in enumerate(NAMES)}
        yield state


def test_files_come_whole_and_are_known_from_then_on(server: Server, tmp_path: Path) -> None:
    home, beside = tmp_path / "home", tmp_path / "list"
    server.failures = 2  # a network fails for moments
    fetch(NAMES, server.address, home, [home, beside])
    assert {name: (home / name).read_bytes() for name in NAMES} == server.files
    for folder in (home, beside):
        learned = read_json(folder / LOCK)["files"]
        assert learned == {
            name: {"bytes": len(content), "sha256": sha256(home / name)}
            for name, content in server.files.items()
        }
    assert not list(home.rglob("*.part"))
    asked = len(server.asked)
    fetch(NAMES, server.address, home, [home, beside])
    assert len(server.asked) == asked


def test_a_fetch_that_was_killed_goes_on_and_ends_with_the_same_bytes(
    server: Server, tmp_path: Path
) -> None:
    server.wait_s = 0.05
    code = (
        "import sys; from pathlib import Path; from stages.corpus import fetch as f; f.PIECE = 400;"
        "f.fetch(sys.argv[3:], sys.argv[1], Path(sys.argv[2]), [Path(sys.argv[2])])"
    )
    command = [sys.executable, "-c", code, server.address, str(tmp_path), *NAMES]
    child = subprocess.Popen(command)
    while len(server.asked) < 9 and child.poll() is None:
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait()
    parts = {part.name: part.stat().st_size for part in tmp_path.rglob("*.part")}
    assert parts and 0 < sum(parts.values()) < sum(map(len, server.files.values()))
    server.wait_s, before = 0.0, len(server.asked)
    fetch(NAMES, server.address, tmp_path, [tmp_path])
    assert {name: (tmp_path / name).read_bytes() for name in NAMES} == server.files
    first = dict(reversed(server.asked[before:]))
    for name in NAMES:  # nothing is fetched twice
        assert first.get(name, 0) == parts.get(f".{Path(name).name}.part", 0)


def _shorter(server: Server) -> None:
    server.files[NAMES[1]] = server.files[NAMES[1]][:-4]


def _other(server: Server) -> None:
    server.files[NAMES[1]] = bytes(len(server.files[NAMES[1]]))


def _gone(server: Server) -> None:
    del server.files[NAMES[1]]


def _whole(server: Server) -> None:
    server.ranges = False


WRONG: dict[str, tuple[Callable[[Server], None], str]] = {
    "one token short": (_shorter, rf"part-1\.npy: 4,096 bytes, {LOCK} has 4,100; it was cut short"),
    "another content": (_other, rf"part-1\.npy: its SHA-256 is .*, {LOCK} has .*; it changed"),
    "not there": (_gone, r"part-1\.npy: no such file there"),
    "no ranges": (_whole, "the server gives no ranges"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_there_is_one_line(name: str, server: Server, tmp_path: Path) -> None:
    fetch(NAMES, server.address, tmp_path, [tmp_path])
    (tmp_path / NAMES[1]).unlink()
    change, told = WRONG[name]
    change(server)
    with pytest.raises(UserError, match=told):
        fetch(NAMES, server.address, tmp_path, [tmp_path])
    assert not (tmp_path / NAMES[1]).exists()


def test_a_network_that_stays_away_is_tried_again_later(server: Server, tmp_path: Path) -> None:
    server.failures = 1000
    with pytest.raises(TryAgain, match=r"run again to go on from here"):
        fetch(NAMES[:1], server.address, tmp_path, [tmp_path])


def test_a_bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("s3fs")
    boto3, server = pytest.importorskip("boto3"), pytest.importorskip("moto.server")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    moto = server.ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    moto.start()
    try:
        address = "http://{}:{}".format(*moto.get_host_and_port())
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        store, content = boto3.client("s3", endpoint_url=address), os.urandom(2500)
        store.create_bucket(Bucket="olmo")
        store.put_object(Bucket="olmo", Key=f"mix/{NAMES[0]}", Body=content)
        monkeypatch.setattr(fetching, "PIECE", 1000)
        fetch(NAMES[:1], "s3://olmo/mix", tmp_path, [tmp_path])
        assert (tmp_path / NAMES[0]).read_bytes() == content
        with pytest.raises(UserError, match="no such file there"):
            fetch(NAMES[1:2], "s3://olmo/mix", tmp_path, [tmp_path])
    finally:
        moto.stop()
