"""Corpora from the network: on request, by hash, once; offline is one line."""

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from stages.benchmarks import corpora, documents
from stages.benchmarks.haystack import Prose
from stages.benchmarks.words import Words
from stages.common.errors import UserError

SQUAD = json.dumps(
    {
        "data": [
            {
                "title": "Mills",
                "paragraphs": [
                    {
                        "context": "The mill was built in 1801.",
                        "qas": [
                            {
                                "question": "When?",
                                "is_impossible": False,
                                "answers": [{"text": "1801", "answer_start": 22}],
                            }
                        ],
                    }
                ],
            }
        ]
    }
).encode()
ESSAYS = b"One sentence. Another sentence."
FILES = {"/dev.json": SQUAD, "/essays.txt": ESSAYS}


class Server:
    """A public home on this machine."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        asked = self.asked

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                if self.path == "/moved.json":
                    self.send_response(302)
                    self.send_header("Location", "/dev.json")
                    self.end_headers()
                    return
                content = FILES.get(self.path)
                self.send_response(404 if content is None else 200)
                self.end_headers()
                self.wfile.write(content or b"")

            def log_message(self, *arguments: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.http.server_port}"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    found = Server()
    thread = threading.Thread(target=found.http.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield found
    found.http.shutdown()
    found.http.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REPO_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def kept(runs: Path) -> list[Path]:
    return sorted(path for path in runs.rglob("*") if path.is_file())


def test_a_file_is_fetched_once_and_read(server: Server, runs: Path) -> None:
    source = f"{server.address}/dev.json#sha256={sha(SQUAD)}"
    found = documents.load("squad", source)
    assert [question.text for question in found.questions] == ["When?"]
    assert found.sha256 == sha(SQUAD)
    file = corpora.local("squad", source)
    assert file == runs / "corpora" / sha(SQUAD) / "dev.json"
    assert kept(runs) == [file]
    assert server.asked == ["/dev.json"]
    server.asked.clear()
    corpora.local("hotpotqa", f"{server.address}/elsewhere/dev.json#sha256={sha(SQUAD)}")
    assert server.asked == []  # what its hash names is here already


def test_essays_by_their_address(server: Server) -> None:
    source = f"{server.address}/essays.txt#sha256={sha(ESSAYS)}"
    prose = Prose(source, Words(len, None))
    assert prose.words == 4
    assert server.asked == ["/essays.txt"]


def test_a_moved_file_is_followed(server: Server) -> None:
    source = f"{server.address}/moved.json#sha256={sha(SQUAD)}"
    file = corpora.local("squad", source)
    assert file is not None
    assert file.read_bytes() == SQUAD


def test_the_public_homes_are_read_on_request_only(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = f"{server.address}/dev.json#sha256={sha(SQUAD)}"
    monkeypatch.setattr(corpora, "_HOMES", {"squad": home})
    assert corpora.local("squad", "generated") is None
    assert corpora.local("squad", "my/dev.json") == Path("my/dev.json")
    assert server.asked == []
    file = corpora.local("squad", "download")
    assert file is not None
    assert file.read_bytes() == SQUAD


def test_the_homes_name_their_content() -> None:
    for address in corpora._HOMES.values():
        assert corpora._DIGEST.fullmatch(address.partition("#")[2])


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (f"/dev.json#sha256={'0' * 64}", "another file than it was .*; nothing of it was kept"),
        (f"/none.json#sha256={'0' * 64}", "cannot be read .*404"),
        ("/dev.json", "add #sha256= and the file's 64 hexadecimal digits"),
        ("/dev.json#sha256=abc", "add #sha256= and the file's 64 hexadecimal digits"),
    ],
)
def test_another_file_is_refused_and_not_kept(
    server: Server, runs: Path, path: str, message: str
) -> None:
    with pytest.raises(UserError, match=message) as error:
        corpora.local("squad", server.address + path)
    assert str(error.value).startswith(f"benchmarks.ruler.squad is '{server.address}{path}': ")
    assert "\n" not in str(error.value)
    assert kept(runs) == []


def test_offline_is_one_line(server: Server, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server.http.shutdown()
    server.http.server_close()  # nobody listens there any more
    home = f"{server.address}/dev.json#sha256={sha(SQUAD)}"
    monkeypatch.setattr(corpora, "_HOMES", {"hotpotqa": home})
    with pytest.raises(UserError, match=r"cannot be read .*; try again with a network") as error:
        corpora.local("hotpotqa", "download")
    assert str(error.value).startswith("benchmarks.ruler.hotpotqa is 'download': http://127.0.0.1")
    assert "\n" not in str(error.value)
    assert kept(runs) == []


def test_the_essays_are_no_single_file() -> None:
    with pytest.raises(UserError, match="prose is 'download': Paul Graham's essays are no single"):
        corpora.local("prose", "download")
