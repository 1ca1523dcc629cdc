"""Places where people work: each is one line of a table, more can be added without more code."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import place
from pipeline.cluster import shared_ray
from pipeline.overrides import read_profile
from stages.common import guard, ray_place
from stages.common.errors import UserError
from stages.common.ray_session import cores
from tests.pipeline.conftest import project, shell, template

__all__ = ["project", "shell", "template"]  # fixtures
ROOT = Path(__file__).parents[2]


PLACES: dict[str, dict[str, str | None]] = {
    "nothing": {},
    "proxy": {"HTTP_PROXY": "http://10.255.255.1:3128", "https_proxy": "http://10.255.255.1:3128"},
    "SOCKS proxy": {"ALL_PROXY": "socks5://10.255.255.1:1080"},
    "SOCKS proxy that resolves": {"https_proxy": "socks5h://user:x@10.255.255.1:1080"},
    "proxy, own exceptions": {"HTTP_PROXY": "http://10.255.255.1:1", "NO_PROXY": "corp"},
    "lower-case exceptions": {"http_proxy": "http://10.255.255.1:1", "no_proxy": "corp"},
    "no home": {"HOME": None},
    "a home that is not there": {"HOME": "/nonexistent/home"},
    "no name": {"USER": None, "LOGNAME": None},
    "temporary folder not there": {"TMPDIR": "/nonexistent/tmp"},
    "long temporary folder": {"TMPDIR": "/tmp/" + "long/" * 25},
    "C locale": {"LC_ALL": "C", "LANG": "C"},
    "no locale": {"LC_ALL": "xx_YY.none"},
}
ASK = """
import os, urllib.request
from pathlib import Path
from pipeline.environment import prepare
prepare(Path.cwd())
import httpx, getpass, pwd
from stages.common import ray_place
assert urllib.request.proxy_bypass("127.0.0.1") or not urllib.request.getproxies()
with httpx.Client() as client:
    transport = client._transport_for_url(httpx.URL("http://127.0.0.1:4200/api"))
    assert transport is client._transport, "loopback by proxy"
assert getpass.getuser()
assert Path.home().is_dir()
assert len(ray_place.folder()) <= ray_place.LONGEST
assert os.stat(".prefect").st_mode & 0o077 == 0
"""


@pytest.mark.parametrize("name", PLACES)
def test_what_the_tools_take_for_granted(project: Path, name: str) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT")}
    for key, value in PLACES[name].items():
        environment.pop(key, None)
        if value is not None:
            environment[key] = value
    done = subprocess.run(
        [sys.executable, "-c", ASK],
        cwd=project,
        env={**environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ALL_PROXY", "socks4://host:1"),
        ("HTTPS_PROXY", "ftp://user:geheim@host:1"),
        ("SSL_CERT_FILE", "/nonexistent/ca.pem"),
        ("SSL_CERT_DIR", "/nonexistent"),
        ("REQUESTS_CA_BUNDLE", "/nonexistent/ca.pem"),
    ],
)
def test_a_setting_of_the_network_that_cannot_work_is_one_line(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=name) as raised:
        place.refuse_bad_network()
    assert "geheim" not in str(raised.value)


def test_a_socks_proxy_without_its_package_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5h://host:1")
    place.refuse_bad_network()
    monkeypatch.setattr(place, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"ALL_PROXY.*pip install socksio"):
        place.refuse_bad_network()


def test_ray_s_folder_is_short_and_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tempfile

    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", "/tmp/" + "x" * 90)
    found = ray_place.folder()
    assert found and len(found) <= ray_place.LONGEST and Path(found).stat().st_uid == os.getuid()


def test_cores_where_the_system_cannot_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert cores() == os.cpu_count()


def test_a_step_of_the_clock_ends_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    import psutil

    mark = guard.mark()
    monkeypatch.setattr(psutil, "boot_time", lambda: 1.0)
    monkeypatch.setattr(psutil.Process, "create_time", lambda self: 1.0)
    assert guard.alive(mark)
    pid, _, started = mark.partition(":")
    assert not guard.alive(f"{pid}:{int(float(started)) + 1}")
    for nonsense in ("", ":", "x:y", "99999999:1", f"{pid}:", "-1:0"):
        assert not guard.alive(nonsense)


@pytest.mark.parametrize(
    "name",
    ["../params", "/etc/passwd", "smoke; touch X", "$(touch X)", "smoke\n", "smoke.yaml", ""],
)
def test_a_profile_is_one_that_ships_and_its_name_reaches_no_path_and_no_shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="unknown; there are") as raised:
        read_profile(name)
    assert "\n" not in str(raised.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PREFECT_HOME", "/proc/x"),
        ("PREFECT_HOME", "/tmp/what?"),
        ("PREFECT_LOGGING_LEVEL", "LOUD"),
        ("PREFECT_API_URL", "http://127.0.0.1:9/api"),
        ("PREFECT_API_URL", "nonsense"),
    ],
)
def test_a_setting_of_prefect_s_that_cannot_be_is_one_line(
    project: Path, name: str, value: str
) -> None:
    code = (
        "from pathlib import Path; from pipeline.environment import prepare; prepare(Path.cwd())\n"
        "from pipeline.services import own_server\nwith own_server(print): pass"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(ROOT), name: value},
        capture_output=True,
        text=True,
        check=False,
    )
    last = done.stderr.splitlines()[-1]
    assert last.startswith("stages.common.errors.UserError") and name in last, done.stderr
    assert repr(value) in last


@pytest.mark.parametrize("address", ["127.0.0.1:9", "ray://127.0.0.1:9", "nonsense", "x.invalid:1"])
def test_a_ray_that_is_not_there_is_one_line(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(UserError, match="RAY_ADDRESS") as raised, shared_ray():
        pass
    assert len(str(raised.value).splitlines()) == 1
