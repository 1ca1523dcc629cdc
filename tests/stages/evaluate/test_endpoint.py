"""An endpoint: a small server that answers with a real model, and servers that answer badly."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForCausalLM

from stages.common.encoder import Encoder
from stages.common.files import read_jsonl
from stages.evaluate import endpoint, engine, pool
from tests.stages.evaluate.asked import call, tiny_llama
from tests.stages.evaluate.without_ray import in_this_process

Answer = Callable[[str, dict[str, Any], Any], tuple[int, Any]]
"""From path, body and headers to status and content."""


class Server:
    """A server on this machine; ``asked`` are the paths, bodies and keys that came."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any], str | None]] = []
        self.answer: Answer = lambda path, body, headers: (404, {})
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                outer.asked.append((self.path, body, self.headers.get("authorization")))
                status, content = outer.answer(self.path, body, self.headers)
                data = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                if status == 302:
                    self.send_header("location", "http://127.0.0.1:1/v1/completions")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *arguments: Any) -> None:
                pass

        self.handler: Any = Handler
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    yield found
    found.http.shutdown()
    found.http.server_close()


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tiny_llama(tmp_path_factory.mktemp("llama"))
    (folder / "chat_template.jinja").write_text("User: {{ messages[0].content }}\nYou:")
    return folder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REPO_RUNS", str(tmp_path / "runs"))
    monkeypatch.delenv(endpoint.KEY, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pool, "_compute", in_this_process)
    monkeypatch.setattr(endpoint, "_WAITS_S", (0.0, 0.0))
    return tmp_path


def answers_of(model_folder: Path) -> Answer:
    """transformers' greedy answers, in the layout of the completions."""
    encoder = Encoder(model_folder)
    model = AutoModelForCausalLM.from_pretrained(model_folder).eval()
    one_at_a_time = threading.Lock()

    def answer(path: str, body: dict[str, Any], headers: Any) -> tuple[int, Any]:
        chat = path.endswith("chat/completions")
        text = body["messages"][0]["content"] if chat else body["prompt"]
        with one_at_a_time:
            (found,) = engine.by_generate(model, [encoder.ids(text)], body["max_tokens"], 0)
        reason = "stop" if found.ended else "length"
        said = encoder.text(found.ids)
        choice = {"message": {"content": said}} if chat else {"text": said}
        return 200, {"choices": [{**choice, "finish_reason": reason}]}

    return answer


ASKED = (
    "--tasks",
    "fwe,niah_single_1",
    "--lengths",
    "900",
    "--num",
    3,
    "--full",
    "--new-tokens",
    8,
)


def test_it_scores_as_the_model_of_this_machine(
    capsys, llama: Path, folder: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answer = answers_of(llama)
    monkeypatch.setenv(endpoint.KEY, "secret-of-mine")
    remote = ("--endpoint", server.url, "--model", "tiny")
    code, text = call(capsys, llama, *ASKED, *remote, "--out", "theirs")
    assert code == 0, text
    assert call(capsys, llama, *ASKED, "--out", "ours")[0] == 0
    for file in ("fwe-900.jsonl", "niah_single_1-900.jsonl"):
        ours, theirs = (list(read_jsonl(Path(o) / "samples" / file)) for o in ("ours", "theirs"))
        for name in ("id", "prediction", "score", "ended_by_eos"):
            assert [row[name] for row in theirs] == [row[name] for row in ours]
    assert len(server.asked) == 6
    assert {(path, key) for path, _, key in server.asked} == {
        ("/v1/completions", "Bearer secret-of-mine")
    }
    assert all(body["model"] == "tiny" and body["temperature"] == 0 for _, body, _ in server.asked)
    metrics = json.loads(Path("theirs/metrics.json").read_text())
    assert (metrics["model"], metrics["made"]["engine"]) == ("tiny", "endpoint")
    assert "secret-of-mine" not in text + Path("theirs/metrics.json").read_text()
    again = call(capsys, llama, *ASKED, *remote)
    assert again[0] == 0
    assert len(server.asked) == 6  # nothing is asked twice


def test_a_template_is_the_server_s_own(capsys, llama: Path, folder: Path, server: Server) -> None:
    server.answer = answers_of(llama)
    remote = ("--endpoint", server.url, "--model", "tiny", "--template", "auto")
    code, text = call(capsys, llama, *ASKED, *remote)
    assert code == 0, text
    assert {path for path, _, _ in server.asked} == {"/v1/chat/completions"}
    for _, body, _ in server.asked:
        ((role, content),) = [(m["role"], m["content"]) for m in body["messages"]]
        assert role == "user"
        assert "User:" not in content  # the length has room for it all the same


@pytest.mark.parametrize(
    ("status", "content", "code", "message"),
    [
        (401, {}, 2, "wants a key: put it into REPO_ENDPOINT_KEY"),
        (404, {"error": "no such\nmodel"}, 2, r"answers 404 to 'tiny' and says: .*no such"),
        (302, {}, 2, "it answers 302"),
        (200, b"<html>", 2, "its answer is not JSON"),
        (200, {"choices": []}, 2, "no answer of an OpenAI-compatible server"),
        (200, {"choices": [{"text": None}]}, 2, "no answer of an OpenAI-compatible server"),
        (200, {"choices": [{"text": 3}]}, 2, "no answer of an OpenAI-compatible server"),
        (200, b"[" * 100_000, 2, "its answer is not JSON"),
        (200, {"error": {"message": "no"}}, 2, "no answer of an OpenAI-compatible server"),
        (500, b"down", 75, r"does not answer \(status 500\)"),
        (429, {}, 75, r"does not answer \(status 429\); run again: what was answered is kept"),
    ],
)
def test_bad_answers_are_one_line(
    capsys, llama: Path, folder: Path, server: Server, status, content, code, message
) -> None:
    import re

    server.answer = lambda path, body, headers: (status, content)
    found = call(capsys, llama, *ASKED, "--endpoint", server.url, "--model", "tiny")
    assert found[0] == code, found
    errors = [line for line in found[1].splitlines() if line.startswith("repo-pipeline")]
    assert len(errors) == 1
    assert re.search(message, errors[0])
    assert "Traceback" not in found[1]


def test_a_busy_server_is_asked_again(capsys, llama: Path, folder: Path, server: Server) -> None:
    good, busy = answers_of(llama), iter([503, 429])
    server.answer = lambda path, body, headers: (
        (status, {}) if (status := next(busy, None)) else good(path, body, headers)
    )
    code, text = call(capsys, llama, *ASKED, "--endpoint", server.url, "--model", "tiny")
    assert code == 0, text
    assert len(server.asked) == 8


@pytest.mark.parametrize("sent", [b"\x1f\x8bno gzip", b'{"choices": [{"te'])
def test_an_answer_cut_or_packed_wrongly(
    capsys, llama: Path, folder: Path, server: Server, sent: bytes
) -> None:
    """A proxy that ends in the middle: the connection says more bytes than come, or packs wrongly."""
    send = server.handler.send_header

    def header(self: Any, name: str, value: str) -> None:
        if name == "content-length" and not sent.startswith(b"\x1f"):
            value = "99999"
        send(self, name, value)
        if name == "content-length" and sent.startswith(b"\x1f"):
            send(self, "content-encoding", "gzip")

    server.handler.send_header = header
    server.answer = lambda path, body, headers: (200, sent)
    code, text = call(capsys, llama, *ASKED, "--endpoint", server.url, "--model", "tiny")
    assert code == 75, text
    assert "does not answer" in text
    assert "Traceback" not in text


def test_half_of_a_pair_in_an_answer(capsys, llama: Path, folder: Path, server: Server) -> None:
    cut = {"text": "a\ud83d", "finish_reason": "length"}
    server.answer = lambda path, body, headers: (200, {"choices": [cut]})
    code, text = call(capsys, llama, *ASKED, "--endpoint", server.url, "--model", "tiny")
    assert code == 0, text


def test_nobody_there(capsys, llama: Path, folder: Path) -> None:
    asked = ("--endpoint", "http://127.0.0.1:1/v1", "--model", "tiny")
    code, text = call(capsys, llama, *ASKED, *asked)
    assert code == 75
    assert "http://127.0.0.1:1/v1 does not answer" in text


@pytest.mark.parametrize(
    ("more", "key", "message"),
    [
        (("--endpoint", "http://far:8000/v1"), "k", "REPO_ENDPOINT_KEY would go in clear"),
        (("--endpoint", "http://far:99999/v1"), None, "--endpoint is 'http://far:99999/v1': "),
        (("--endpoint", "http://[far/v1"), None, "--endpoint is 'http://[far/v1': "),
        (("--endpoint", "ftp://far/v1"), None, "give an address such as https://host/v1"),
        (("--endpoint", "https://me:pw@far/v1"), None, "put the key into REPO_ENDPOINT_KEY"),
        (("--endpoint", "https://far/v1?key=pw"), None, "put the key into REPO_ENDPOINT_KEY"),
        (("--endpoint", "https://far/v1", "--suite", "general"), None, "needs log-probabilities"),
        (("--endpoint", "https://far/v1", "--yarn"), None, "--yarn is not for --endpoint"),
        (("--endpoint", "https://far/v1", "--engine", "static"), None, "--engine is not for"),
        (("--endpoint", "https://far/v1", "--template", "t"), None, "--template is 't': a server"),
        ((), None, "--model is for --endpoint"),
    ],
)
def test_mistakes_are_one_line(
    capsys, llama: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, more, key, message: str
) -> None:
    if key:
        monkeypatch.setenv(endpoint.KEY, key)
    code, text = call(capsys, llama, "--model", "tiny", *more)
    assert (code, text.count("\n")) == (2, 1)
    assert message in text
    assert "pw" not in text


def test_the_model_s_name_is_needed(capsys, llama: Path, folder: Path) -> None:
    code, text = call(capsys, llama, "--endpoint", "https://far/v1")
    assert (code, "--model is missing" in text) == (2, True)
