"""Checkouts of any form, with any settings of git's and DVC's: each is one line of a table."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline import checkout as module
from pipeline import git
from pipeline.checkout import checkout
from pipeline.graph import read_graph
from pipeline.plan import plan
from stages.common.errors import UserError
from tests.pipeline.conftest import Shell, project, shell, template

__all__ = ["project", "shell", "template"]  # fixtures


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
