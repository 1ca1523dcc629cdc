"""Places where people work: each is one line of a table, more can be added without more code."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline import checkout as module
from pipeline import git, place
from pipeline.checkout import checkout
from pipeline.cluster import shared_ray
from pipeline.graph import read_graph
from pipeline.overrides import read_profile
from pipeline.plan import plan
from stages.common import guard, ray_place
from stages.common.errors import UserError
from stages.common.ray_session import cores
from tests.pipeline.conftest import Shell, project, shell, template

__all__ = ["project", "shell", "template"]  # fixtures
ROOT = Path(__file__).parents[2]


@pytest.fixture
def committed(project: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(project)
    monkeypatch.setenv("REPO_RUNS", str(project / "runs"))
    (project / ".gitignore").write_text("/out/\n/final\n/runs/\n")
    shell(project, "git", "config", "user.name", "t")
    shell(project, "git", "config", "user.email", "t@t")
    shell(project, "git", "add", "-A")
    shell(project, "git", "commit", "-qm", "all")
    return project


def worktree(main: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    text = (main / "params.yaml").read_text().replace("one: 1", "one: 7")
    monkeypatch.setattr(module, "compose", lambda *given: text)
    return checkout(main, None, ["one=7"]).root


GIT_SETTINGS = (
    ("diff.noprefix", "true"),
    ("diff.mnemonicPrefix", "true"),
    ("diff.external", "/bin/false"),
    ("diff.relative", "true"),
    ("color.ui", "always"),
    ("color.status", "always"),
    ("core.pager", "/bin/false"),
    ("core.quotePath", "true"),
    ("core.autocrlf", "true"),
    ("core.eol", "crlf"),
    ("core.fsmonitor", "/bin/false"),
    ("core.hooksPath", "hooks-that-fail"),
    ("core.safecrlf", "true"),
    ("core.whitespace", "cr-at-eol"),
    ("apply.whitespace", "error-all"),
    ("status.showUntrackedFiles", "no"),
    ("status.branch", "true"),
    ("status.short", "true"),
    ("status.relativePaths", "true"),
    ("commit.gpgSign", "true"),
    ("init.defaultBranch", "x"),
    ("checkout.defaultRemote", "nowhere"),
    ("submodule.recurse", "true"),
    ("worktree.guessRemote", "true"),
    ("core.commentChar", "%"),
    ("log.showSignature", "true"),
)


@pytest.mark.parametrize("where", ["--global", "--local"])
def test_no_setting_of_git_changes_what_a_worktree_has(
    committed: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, where: str
) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    hook = committed / "hooks-that-fail" / "post-checkout"
    hook.parent.mkdir()
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    (committed / "new name \xe4.py").write_text("new")
    news = ["hooks-that-fail/post-checkout", "new name \xe4.py", "three.py"]
    for number, (name, value) in enumerate(GIT_SETTINGS):
        shell(committed, "git", "config", where, name, value)
        edit = b"# caf\xe9\nprint(%d)\n" % number
        (committed / "three.py").write_bytes(edit)
        assert sorted(git.changed(committed)) == news, name
        here = worktree(committed, monkeypatch)
        assert (here / "three.py").read_bytes() == edit, name
        assert (here / "new name \xe4.py").read_text() == "new", name
        assert b"\r" not in (here / "dvc.yaml").read_bytes(), name
        assert (here / "params.yaml").read_text().count("one: 7") == 1
        shell(committed, "git", "config", where, "--unset", name)


def test_a_run_from_within_a_hook_of_another_repository(
    committed: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    shell(other, "git", "init", "-q")
    for name in ("GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE", "GIT_EXTERNAL_DIFF"):
        monkeypatch.setenv(name, str(other / ".git"))
    assert (worktree(committed, monkeypatch) / "dvc.yaml").is_file()


def test_a_project_in_a_folder_of_a_monorepo(
    tmp_path: Path, project: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    mono = tmp_path / "mono"
    mono.mkdir()
    shell(mono, "git", "init", "-q")
    for key in ("name", "email"):
        shell(mono, "git", "config", f"user.{key}", "t@t")
    inner = mono / "deep" / "project"
    inner.parent.mkdir()
    subprocess.run(["rm", "-rf", project / ".git"], check=True)
    project.rename(inner)
    monkeypatch.setenv("REPO_RUNS", str(tmp_path / "runs"))
    shell(mono, "git", "add", "-A")
    shell(mono, "git", "commit", "-qm", "all")
    (mono / "elsewhere").write_text("an edit outside of the project")
    (inner / "three.py").write_text("edited")
    here = worktree(inner, monkeypatch)
    assert here.as_posix().endswith("/deep/project")
    assert (here / "three.py").read_text() == "edited"
    assert not (here.parents[1] / "elsewhere").exists()
    assert git.changed(inner) == ["three.py"]
    assert list(read_graph(here).stages) == ["one", "two@a", "two@b", "three"]

    from pipeline.remote.package import Tree

    tree = Tree(inner, dirty=True)
    assert "dvc.yaml" in git.git(mono, "ls-tree", "--name-only", tree.tree).split()
    tree.package("x: 1", {})


def _clone(project: Path, shell: Shell, *options: str) -> Path:
    there = project.parent / "there"
    shell(project.parent, "git", "clone", "-q", *options, f"file://{project}", str(there))
    return there


def _worktree(project: Path, shell: Shell) -> Path:
    shell(project, "git", "worktree", "add", "-q", "../there")
    return project.parent / "there"


def _submodule(project: Path, shell: Shell) -> Path:
    mother = project.parent / "mother"
    mother.mkdir()
    shell(mother, "git", "init", "-q")
    allow = ("-c", "protocol.file.allow=always")
    shell(mother, "git", *allow, "submodule", "--quiet", "add", f"file://{project}", "there")
    assert (mother / "there" / ".git").is_file()
    return mother / "there"


def _moved_git_folder(project: Path, shell: Shell) -> Path:
    shell(project, "git", "init", "-q", "--separate-git-dir", str(project.parent / "git folder"))
    return project


def _odd_name(project: Path, shell: Shell) -> Path:
    name = "50 % #1 ${x} {y} 'q' \"d\" $(touch X) é\u2028;&?"
    return project.rename(project.parent / name)


FORMS: dict[str, Callable[[Path, Shell], Path]] = {
    "shallow clone": lambda project, shell: _clone(project, shell, "--depth", "1"),
    "clone without blobs": lambda project, shell: _clone(project, shell, "--filter=blob:none"),
    "one commit checked out": lambda project, shell: project,
    "worktree": _worktree,
    "submodule": _submodule,
    "git folder elsewhere": _moved_git_folder,
    "odd name": _odd_name,
}


@pytest.mark.parametrize("form", FORMS)
def test_a_checkout_of_any_form(
    committed: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    if form == "one commit checked out":
        shell(committed, "git", "checkout", "-q", "--detach")
    there = FORMS[form](committed, shell)
    monkeypatch.chdir(there)
    monkeypatch.setenv("REPO_RUNS", str(there / "runs"))
    (there / "three.py").write_text("edited")
    if form == "submodule":
        with pytest.raises(UserError, match=r"submodule of .*clone the project by itself"):
            worktree(there, monkeypatch)
        here = there
    else:
        here = worktree(there, monkeypatch)
    assert (here / "three.py").read_text() == "edited"
    (here / "out").mkdir(exist_ok=True)
    graph = read_graph(here)
    assert set(plan(graph, graph.select([]))) == {"one", "two@a", "two@b", "three"}

    from pipeline.remote.package import Tree

    assert Tree(there, dirty=True).package("x: 1", {})


@pytest.mark.parametrize("commits", [True, False])
def test_no_repository_or_one_without_a_commit_is_one_line(
    project: Path, monkeypatch: pytest.MonkeyPatch, commits: bool
) -> None:
    if not commits:
        subprocess.run(["rm", "-rf", project / ".git"], check=True)
    monkeypatch.setenv("REPO_RUNS", str(project / "runs"))
    from pipeline.remote.package import Tree

    for way in (lambda: worktree(project, monkeypatch), lambda: Tree(project, dirty=True)):
        with pytest.raises(UserError) as raised:
            way()
        assert len(str(raised.value).splitlines()) == 1, raised.value


@pytest.mark.skipif(os.getuid() != 0, reason="giving a folder away takes root")
def test_a_checkout_that_belongs_to_another(
    committed: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell(committed, "chown", "-R", "12345", ".")
    monkeypatch.delenv("SUDO_UID", raising=False)
    assert (worktree(committed, monkeypatch) / "dvc.yaml").is_file()
    assert git.head(committed)


def test_large_new_files_are_linked_and_small_ones_copied(
    committed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (committed / "own.jsonl").write_bytes(b"x" * (module.NEW_CODE + 1))
    (committed / "helper.py").write_text("x")
    here = worktree(committed, monkeypatch)
    assert (here / "own.jsonl").is_symlink()
    assert not (here / "helper.py").is_symlink()


def _added(folder: Path, shell: Shell) -> None:
    (folder / "my.jsonl").write_text("{}")
    shell(folder, "dvc", "add", "-q", "my.jsonl")


def _nested(folder: Path, shell: Shell) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "dvc.yaml").write_text("stages:\n  one: {cmd: 'true', deps: [../one.py]}\n")


def _frozen(folder: Path, shell: Shell) -> None:
    (folder / "table.dvc").write_text(
        "deps: [{path: one.py}]\nfrozen: true\nouts: [{path: table}]\n"
    )


@pytest.mark.parametrize("beside", [_added, _nested, _frozen])
def test_other_files_of_dvc_beside(
    project: Path, shell: Shell, beside: Callable[[Path, Shell], None]
) -> None:
    beside(project, shell)
    graph = read_graph(project)
    assert list(graph.stages) == ["one", "two@a", "two@b", "three"]
    assert set(plan(graph, graph.select([]))) == set(graph.stages)


@pytest.mark.parametrize(
    "name", ["a; touch X; echo", "$(touch X)", "a b", "`x`", "a&b", "../x", "a\n"]
)
def test_a_name_that_would_reach_a_shell_is_refused(project: Path, name: str) -> None:
    import json

    text = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(text.replace("[a, b]", json.dumps([name])))
    with pytest.raises(UserError):
        read_graph(project)
    assert not (project / "X").exists()


def test_a_link_that_leads_out_is_left_behind(committed: Path, shell: Shell) -> None:
    from pipeline.remote.package import Tree

    (committed / "out-there").symlink_to("/etc/passwd")
    (committed / "up").symlink_to("../../secret")
    (committed / "near").symlink_to("one.py")
    (committed / "circle").symlink_to("circle")
    shell(committed, "git", "add", "-A")
    shell(committed, "git", "commit", "-qm", "links")
    import io
    import zipfile

    _, content = Tree(committed, dirty=False).package("x: 1", {})
    names = set(zipfile.ZipFile(io.BytesIO(content)).namelist())
    assert "near" in names and not names & {"out-there", "up", "circle"}


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
    "command", [("serve",), ("run",), ("plan",), ("submit", "--address", "http://127.0.0.1:9")]
)
def test_outside_of_a_project_is_one_line(tmp_path: Path, command: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.cli", *command],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


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


def test_git_s_or_dvc_s_own_settings_that_cannot_be_read_are_one_line(
    project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "config").write_text("[core\nxx")
    for name, value in (("GIT_CONFIG_GLOBAL", "config"), ("DVC_GLOBAL_CONFIG_DIR", "")):
        with monkeypatch.context() as patch:
            patch.setenv(name, str(tmp_path / value))
            with pytest.raises(UserError, match="config") as raised:
                read_graph(project)
            assert len(str(raised.value).splitlines()) == 1


SHELLS = {
    "closed input": ("{} <&-", 0),
    "closed output": ("{} >&-", 0),
    "all closed": ("{} <&- >&- 2>&-", 0),
    "full disk": ("{} >/dev/full", 1),
    "full disk twice": ("{} >/dev/full 2>/dev/full", 1),
    "another's pipeline first": ("PYTHONPATH=$PWD:$PYTHONPATH {}", 0),
    "another Python's home": ("PYTHONHOME=/usr {}", 2),
    "warnings are errors": ("PYTHONWARNINGS=error {}", 0),
    "optimized": ("PYTHONOPTIMIZE=2 {}", 0),
}


@pytest.mark.parametrize("name", SHELLS)
def test_a_shell_that_gives_little(tmp_path: Path, name: str) -> None:
    (tmp_path / "pipeline").mkdir()
    for file in ("__init__", "cli"):
        (tmp_path / "pipeline" / f"{file}.py").write_text("raise SystemExit('not ours')")
    (tmp_path / "pipeline.py").write_text("raise SystemExit('not ours')")
    line, code = SHELLS[name]
    script = f"{sys.executable} {ROOT / 'pipeline' / 'bin' / 'repo-pipeline'} --version"
    done = subprocess.run(
        ["bash", "-c", line.format(script)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert len(done.stderr.splitlines()) <= (code != 0), done.stderr


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


LETTERS = """
import subprocess, sys
from stages.common.command import ended
def work():
    print("45.0 \\xb1 2.1", "\\udcff", flush=True)
    subprocess.run([sys.executable, "-c", "print(chr(0x25cf))"], check=True)
ended(work)
"""


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8", None])
def test_no_encoding_of_the_output_ends_a_table_of_scores(encoding: str | None) -> None:
    named = {} if encoding is None else {"PYTHONIOENCODING": encoding}
    done = subprocess.run(
        [sys.executable, "-c", LETTERS],
        cwd=ROOT,
        env={**os.environ, "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", **named},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(b"45.0 ") and len(done.stdout.splitlines()) == 2
