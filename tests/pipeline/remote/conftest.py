"""A clone of this checkout as a laptop has it, and a server that answers as it is told."""

import copy
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline.conftest import add_remote

COPIED = (
    *("dvc.yaml", "params.yaml", "prefect.yaml", ".dvcignore", ".gitignore"),
    *("stages", "pipeline", "repo_model", "infra"),
)
Answer = tuple[int, Any]


class Laptop:
    """A clone with a committed DVC remote, and the commands typed in it."""

    def __init__(self, folder: Path, root: Path) -> None:
        self.folder, self.environment = folder, {}  # type: ignore[var-annotated]
        folder.mkdir(parents=True)
        for name in COPIED:  # with bytecode: nothing is compiled again
            put = shutil.copytree if (root / name).is_dir() else shutil.copy
            put(root / name, folder / name)
        (folder / ".dvc").mkdir()
        for name in ("config", ".gitignore"):
            shutil.copy(root / ".dvc" / name, folder / ".dvc" / name)
        self.git("init", "-q")

    def copy(self, folder: Path) -> "Laptop":
        """The same in another place: git takes most of a second to commit 400 new files."""
        made = copy.copy(self)
        made.folder, made.environment = folder, {}
        shutil.copytree(self.folder, folder, symlinks=True)
        return made

    def remote(self, url: str, **options: str) -> None:
        """Add a default DVC remote and commit everything."""
        add_remote(self.folder, "store", url, **options)
        self.commit()

    def commit(self) -> str:
        self.git("add", "-A")
        self.git("-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "state")
        return self.git("rev-parse", "HEAD")

    def git(self, *words: str) -> str:
        done = subprocess.run(
            ["git", *words], cwd=self.folder, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def env(self) -> dict[str, str]:
        dropped = ("REPO_", "RAY_", "PREFECT", "AWS_")
        clean = {k: v for k, v in os.environ.items() if not k.startswith(dropped)}
        binaries = str(Path(sys.executable).parent)
        home = self.folder.parent / "home"
        home.mkdir(exist_ok=True)
        return {
            **clean,
            "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(self.folder),
            "HOME": str(home),
            **self.environment,
        }

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command, cwd=self.folder, env=self.env(), capture_output=True, text=True, check=False
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def command(self, *words: str) -> list[str]:
        """``repo-pipeline WORDS`` of the clone's own code."""
        return [sys.executable, "-m", "pipeline.cli", *words]

    def pipeline(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.run(*self.command(*words), check=False)


def one_line(done: subprocess.CompletedProcess[str], code: int) -> str:
    """The one line of an error."""
    assert done.returncode == code, done.stdout + done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    return lines[0]


@pytest.fixture(scope="session")
def first_laptop(tmp_path_factory: pytest.TempPathFactory, project_root: Path) -> Laptop:
    made = Laptop(tmp_path_factory.mktemp("first") / "laptop", project_root)
    made.commit()
    return made


@pytest.fixture
def laptop(first_laptop: Laptop, tmp_path: Path) -> Laptop:
    made = first_laptop.copy(tmp_path / "laptop")
    made.remote(str(tmp_path / "store"))
    return made


@pytest.fixture
def server() -> Iterator[Callable[[Callable[[str, str, bytes], Answer]], str]]:
    """Start a server whose answers a function gives; returns its address."""
    started: list[ThreadingHTTPServer] = []

    def start(answer: Callable[[str, str, bytes], Answer]) -> str:
        class Handler(BaseHTTPRequestHandler):
            def _do(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                code, value = answer(self.command, self.path, self.rfile.read(length))
                body = value.encode() if isinstance(value, str) else json.dumps(value).encode()
                self.send_response(code)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PUT = _do  # noqa: N815 - http.server's names

            def log_message(self, *_: Any) -> None:
                pass

        made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        started.append(made)
        threading.Thread(target=made.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{made.server_port}"

    yield start
    for made in started:
        made.shutdown()
        made.server_close()
