"""What can be wrong before a job runs: one clear line each, exit code 2, nothing sent."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from pipeline.remote import entry, events
from pipeline.remote.api import Jobs
from stages.common.errors import UserError
from tests.pipeline.remote.conftest import Answer, Laptop, one_line

Server = Callable[[Callable[[str, str, bytes], Answer]], str]
OURS = version("ray")
ABOUT = "{}.{}".format(*sys.version_info)


def ray(answer: Any = None) -> Callable[[str, str, bytes], Answer]:
    """A dashboard of our version that knows no job."""

    def give(method: str, path: str, body: bytes) -> Answer:
        return (200, answer or {"ray_version": OURS}) if path == "/api/version" else (404, "none")

    return give


def test_no_address_and_odd_ones(laptop: Laptop) -> None:
    line = one_line(laptop.pipeline("submit", "--profile", "smoke"), 2)
    assert "--address http(s)://host:8265" in line and "RAY_API_SERVER_ADDRESS" in line
    line = one_line(laptop.pipeline("submit", "--address", "ray://head:10001"), 2)
    assert "address is 'ray://head:10001'" in line
    line = one_line(laptop.pipeline("submit", "--address", "http://u:geheim@head:8265"), 2)
    assert "geheim" not in line


def test_nobody_answers(laptop: Laptop) -> None:
    line = one_line(laptop.pipeline("submit", "--address", "http://127.0.0.1:9"), 2)
    assert "http://127.0.0.1:9: nobody answers" in line and "is the address right?" in line
    laptop.environment["RAY_ADDRESS"] = "http://127.0.0.1:9"  # as Ray's own job commands have it
    assert one_line(laptop.pipeline("submit"), 2) == line


def test_something_else_answers(laptop: Laptop, server: Server) -> None:
    address = server(lambda method, path, body: (200, "<html>hello</html>"))
    line = one_line(laptop.pipeline("submit", "--address", address), 2)
    assert f"{address}: no Ray dashboard answers there" in line


def test_a_ray_of_another_version(laptop: Laptop, server: Server) -> None:
    address = server(ray({"ray_version": "2.9.3"}))
    line = one_line(laptop.pipeline("submit", "--address", address), 2)
    assert "runs Ray 2.9.3" in line and OURS in line and "infra/docker" in line


def test_a_python_of_another_version() -> None:
    said = entry.another_version({"python": "3.99.1", "ray": OURS})
    assert "has Python 3." in said and "sent with 3.99.1" in said
    assert entry.another_version({"python": f"{ABOUT}.99", "ray": OURS}) is None
    assert entry.PREFIX == events.PREFIX


def another_python() -> str:
    """One of another minor version, on PATH or beside ours (pyenv)."""
    places = [shutil.which(f"python3.{minor}") for minor in range(6, 15)]
    places += [str(path) for path in Path(sys.base_prefix).parent.glob("*/bin/python3")]
    code = "import sys; print('{}.{}'.format(*sys.version_info))"
    for place in filter(None, places):
        told = subprocess.run([place, "-c", code], capture_output=True, text=True, check=False)
        if told.returncode == 0 and told.stdout.strip() != ABOUT:
            return place
    pytest.skip("only one Python here")


@pytest.mark.parametrize("python", ["another", "bare"])
def test_a_cluster_whose_python_cannot_run_it_says_so(
    python: str, project_root: Path, tmp_path: Path
) -> None:
    """An older Python, where this machine has one; and one of ours without our packages."""
    (tmp_path / "pipeline").symlink_to(project_root / "pipeline")
    (tmp_path / "submission.json").write_text(json.dumps({"python": f"{ABOUT}.1", "ray": OURS}))
    command = [sys.executable, "-S"]  # no site-packages
    if python == "bare":
        path = tmp_path / "ray-0.dist-info"
        path.mkdir()
        (path / "METADATA").write_text(f"Name: ray\nVersion: {OURS}\n")
        expected = "has no package"
    else:
        command, expected = [another_python()], f"sent with {ABOUT}.1"
    done = subprocess.run(
        [*command, "-m", "pipeline.remote.entry"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 2, done.stderr
    (happened,) = filter(None, map(events.parse, done.stdout.splitlines()))
    assert happened.state == "failed" and expected in happened.line
    assert not done.stderr


@pytest.mark.parametrize(("code", "said"), [(401, "wants a token"), (403, "refuses our token")])
def test_the_token(laptop: Laptop, server: Server, code: int, said: str) -> None:
    laptop.environment["RAY_AUTH_TOKEN"] = "0123456789abcdef" * 4
    address = server(lambda method, path, body: (code, "Unauthorized"))
    line = one_line(laptop.pipeline("submit", "--address", address), 2)
    assert f"{address}: {code}" in line and said in line and "RAY_AUTH_TOKEN" in line
    assert laptop.environment["RAY_AUTH_TOKEN"] not in line


def test_headers_that_a_proxy_before_the_dashboard_wants(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "t0ken")
    monkeypatch.setenv("RAY_JOB_HEADERS", '{"X-Team": "a", "cookie": "b=c"}')
    wanted = {"authorization": "Bearer t0ken", "x-team": "a", "cookie": "b=c"}
    assert Jobs("https://head").headers == wanted
    monkeypatch.setenv("RAY_JOB_HEADERS", '{"Authorization": "Basic abc"}')  # the proxy's own
    assert Jobs("https://head").headers == {"authorization": "Basic abc"}
    monkeypatch.delenv("RAY_AUTH_TOKEN")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", "/dev/null")
    monkeypatch.setenv("RAY_JOB_HEADERS", '{"cookie": "s3cret"}')
    with pytest.raises(UserError, match="RAY_JOB_HEADERS holds would go in clear"):
        Jobs("http://head:8265")


@pytest.mark.parametrize(
    "text", ["x", "[]", '"x"', '{"a": 1}', '{"a": "s3cret\\r\\nb: c"}', '{"\u00fc \\n": "s3cret"}']
)
def test_odd_headers_are_one_line_that_repeats_nothing(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_JOB_HEADERS", text)
    with pytest.raises(UserError, match="RAY_JOB_HEADERS is no JSON object") as caught:
        Jobs("https://head")
    assert "s3cret" not in str(caught.value)


def test_edits_are_refused_or_sent_on_request(laptop: Laptop, server: Server) -> None:
    address = server(ray())
    (laptop.folder / "stages" / "common" / "errors.py").open("a").write("# edited\n")
    line = one_line(laptop.pipeline("submit", "--address", address), 2)
    assert "stages/common/errors.py: not committed" in line and "--dirty" in line
    (laptop.folder / "mine.py").write_text("new = 1\n")
    line = one_line(laptop.pipeline("submit", "--address", address), 2)
    assert "and 1 more" in line


def test_edited_params_count_and_profiles_and_the_lock_do_not(
    laptop: Laptop, server: Server
) -> None:
    dead = "http://127.0.0.1:9"
    params = laptop.folder / "params.yaml"
    params.write_text((laptop.folder / "pipeline/profiles/smoke.yaml").read_text())
    (laptop.folder / "dvc.lock").write_text("schema: '2.0'\n")
    assert "nobody answers" in one_line(laptop.pipeline("submit", "--address", dead), 2)
    params.write_text(params.read_text().replace("seed: 1\n", "seed: 2\n", 1))
    assert "params.yaml: not committed" in one_line(laptop.pipeline("submit", "--address", dead), 2)


def test_a_target_or_param_that_does_not_exist(laptop: Laptop) -> None:
    dead = ("--address", "http://127.0.0.1:9")
    assert "stage 'trian': unknown" in one_line(laptop.pipeline("submit", "trian", *dead), 2)
    line = one_line(laptop.pipeline("submit", "--set", "train.tokns=5", *dead), 2)
    assert "train.tokns: unknown key; did you mean 'tokens'" in line
    assert "'tin': unknown" in one_line(laptop.pipeline("submit", "--profile", "tin", *dead), 2)


def test_a_tree_over_the_limit_names_the_big_folder(laptop: Laptop) -> None:
    folder = laptop.folder / "stages" / "huge"
    folder.mkdir()
    (folder / "blob.bin").write_bytes(b"x" * 3_000_000)
    laptop.commit()
    laptop.environment["REPO_SUBMIT_MB"] = "2"
    line = one_line(laptop.pipeline("submit", "--address", "http://127.0.0.1:9"), 2)
    assert "stages/huge is 3 MB" in line and "REPO_SUBMIT_MB" in line
    laptop.environment["REPO_SUBMIT_MB"] = "2 GB"
    line = one_line(laptop.pipeline("submit", "--address", "http://127.0.0.1:9"), 2)
    assert "REPO_SUBMIT_MB is '2 GB'" in line


def test_no_git_and_no_remote(tmp_path: Path, project_root: Path) -> None:
    made, dead = Laptop(tmp_path / "bare", project_root), ("--address", "http://127.0.0.1:9")
    assert "no git commit here" in one_line(made.pipeline("submit", *dead), 2)
    made.commit()
    assert "no DVC remote" in one_line(made.pipeline("submit", *dead), 2)


def test_a_named_token_file_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", "/nowhere/token")
    with pytest.raises(UserError, match="RAY_AUTH_TOKEN_PATH is '/nowhere/token': no such file"):
        Jobs("http://127.0.0.1:9")


def test_runs_that_are_not_known(laptop: Laptop) -> None:
    assert "no run was submitted from here" in one_line(laptop.pipeline("fetch"), 2)
    assert "'x-1': not submitted from here" in one_line(laptop.pipeline("logs", "x-1"), 2)
    line = one_line(laptop.pipeline("fetch", "never-0123"), 75)
    assert "never-0123: nothing on remote 'store' yet" in line
