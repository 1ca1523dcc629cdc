"""The user's own documents on their way to a cluster: by git, by ``dvc add``, or refused here."""

import io
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.cluster_file import ClusterFile
from pipeline.remote import own
from pipeline.remote.job import Job
from pipeline.remote.submission import Request
from stages.common.errors import UserError
from stages.common.tracked import dvc_files
from stages.params import load
from tests.pipeline.remote.conftest import Laptop, one_line

OWN = ("source=local", "path=mine/my.jsonl", "needs=mine/my.jsonl")


def request_of(laptop: Laptop, dirty: bool = False) -> Request:
    overrides = [f"corpus.{value}" for value in OWN]
    return Request.of(laptop.folder, ["corpus"], ClusterFile(), "smoke", overrides, dirty)


@pytest.fixture
def mine(laptop: Laptop) -> Path:
    """Documents in a folder of the clone, which git does not know yet."""
    file = laptop.folder / "mine" / "my.jsonl"
    file.parent.mkdir()
    texts = (f"Document {number}: " + f"word{number} " * 40 for number in range(400))
    file.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return file


def job_of(request: Request, folder: Path) -> Job:
    """The job of a request where its package was unpacked, with a cache of its own."""
    sent, runs = folder / "sent", folder / "runs"
    with zipfile.ZipFile(io.BytesIO(request.tree.package(request.params, request.wish)[1])) as file:
        file.extractall(sent)
    (sent / ".dvc" / "config.local").write_text(f"[core]\nno_scm = true\n[cache]\ndir = {runs}\n")
    made = Job(request.wish, sent, runs)
    made.environment |= {"HOME": str(folder)}
    return made


def test_what_git_holds_travels_with_the_commit(laptop: Laptop, mine: Path) -> None:
    assert request_of(laptop, dirty=True).own == ()
    laptop.commit()
    assert request_of(laptop).own == ()


@pytest.mark.parametrize("added", ["mine", "mine/my.jsonl"])
def test_what_dvc_add_tracks_is_pushed_and_comes_back(
    laptop: Laptop, mine: Path, tmp_path: Path, added: str
) -> None:
    """The folder of a file as well as the file itself; and from a clone that has neither."""
    laptop.run("dvc", "add", "-q", added)
    laptop.commit()
    request = request_of(laptop)
    assert [str(file) for file in request.own] == [f"{added}.dvc"]
    own.push(laptop.folder, request.own)
    content = mine.read_bytes()

    job = job_of(request, tmp_path)
    assert not (job.folder / "mine" / "my.jsonl").exists()
    job._pull()
    assert (job.folder / "mine" / "my.jsonl").read_bytes() == content

    shutil.rmtree(laptop.folder / added) if added == "mine" else mine.unlink()
    assert request_of(laptop).own == request.own  # the remote is asked by the job
    values = [word for value in OWN for word in ("--set", f"corpus.{value}")]
    line = one_line(laptop.pipeline("run", "--profile", "smoke", *values), 2)
    assert f"`dvc pull {added}.dvc` brings it" in line


def test_what_was_never_pushed_is_one_line_of_the_job(
    laptop: Laptop, mine: Path, tmp_path: Path
) -> None:
    """A clone without the data, of somebody who forgot `dvc push`."""
    laptop.run("dvc", "add", "-q", "mine/my.jsonl")
    laptop.commit()
    job = job_of(request_of(laptop), tmp_path)
    with pytest.raises(UserError, match=r"what mine/my.jsonl.dvc record is neither on the cluster"):
        job._pull()


def test_what_would_not_arrive_is_refused_by_its_param(laptop: Laptop, mine: Path) -> None:
    (laptop.folder / ".git" / "info" / "exclude").write_text("mine/*.jsonl\n")
    for dirty in (False, True):
        with pytest.raises(
            UserError, match=r"corpus.path is 'mine/my.jsonl': git does not hold it"
        ):
            request_of(laptop, dirty)
    mine.rename(laptop.folder.parent / "my.jsonl")
    mine.symlink_to(laptop.folder.parent / "my.jsonl")
    with pytest.raises(UserError, match=r"`dvc add mine/my.jsonl` and commit"):
        request_of(laptop)


def test_a_folder_that_git_holds_in_part_is_refused_by_the_file(laptop: Laptop, mine: Path) -> None:
    """Weights are what people's own .gitignore leaves out."""
    (laptop.folder / ".git" / "info" / "exclude").write_text("*.safetensors\n.DS_Store\n")
    (mine.parent / ".DS_Store").touch()
    laptop.commit()
    assert request_of(laptop).own == ()
    (mine.parent / "x.safetensors").touch()
    with pytest.raises(UserError, match=r"git does not hold mine/x.safetensors, so the cluster"):
        own.to_send(laptop.folder, [Path("mine")], load(laptop.folder / "params.yaml"))


def test_what_was_edited_since_it_was_added_is_refused(laptop: Laptop, mine: Path) -> None:
    laptop.run("dvc", "add", "-q", "mine/my.jsonl")
    laptop.commit()
    text = mine.read_text()
    mine.unlink()  # a link into DVC's cache
    mine.write_text(text.replace("Document 7:", "Document seven:"))
    with pytest.raises(UserError, match=r"is not what mine/my.jsonl.dvc says; `dvc add mine/my"):
        request_of(laptop)
    mine.write_text(text)
    assert request_of(laptop).own


def test_a_remote_that_takes_nothing_is_one_line_before_anything_is_sent(
    laptop: Laptop, mine: Path, server: Callable[..., str], tmp_path: Path
) -> None:
    laptop.run("dvc", "add", "-q", "mine/my.jsonl")
    laptop.commit()
    (tmp_path / "store").write_text("a file where a folder should be")
    asked: list[str] = []

    def answer(method: str, path: str, body: bytes) -> tuple[int, object]:
        import ray

        asked.append(f"{method} {path}")
        return (
            (200, {"ray_version": ray.__version__}) if "version" in path else (404, "no such job")
        )

    values = [word for value in OWN for word in ("--set", f"corpus.{value}")]
    words = ("submit", "corpus", "--profile", "smoke", *values, "--address", server(answer))
    done = laptop.pipeline(*words)
    assert "dvc push mine/my.jsonl.dvc: " in one_line(done, 2)
    assert not [request for request in asked if request.startswith(("PUT", "POST"))]


def test_files_that_hold_a_path(tmp_path: Path) -> None:
    for name in ("data.dvc", "data/a.txt.dvc", "data/deep/b.dvc", "other.dvc", "data/.dvc"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    inside = [Path("data/a.txt.dvc"), Path("data/deep/b.dvc")]
    assert dvc_files(tmp_path, ["data"]) == [Path("data.dvc"), *inside]
    assert dvc_files(tmp_path, ["data/deep/b"]) == [inside[1], Path("data.dvc")]
    assert dvc_files(tmp_path, ["data/new", tmp_path / "other", "elsewhere"]) == [Path("data.dvc")]
