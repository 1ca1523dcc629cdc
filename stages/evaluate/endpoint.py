"""An OpenAI-compatible server as the model: ``evaluate FOLDER --endpoint URL --model NAME``.

FOLDER has the tokenizer, by which lengths are counted. Without a template the text goes to
``URL/completions``; with ``--template auto`` to ``URL/chat/completions``, where the server puts its own
template around the user's turn, answer prefix included, as NVIDIA's client does. Greedy; the server
says when an answer ends. Each answer is kept: the same command goes on where it was stopped.

The key comes from ``REPO_ENDPOINT_KEY`` alone. It goes to no other host than the one that is named
(redirects are not followed), and not in clear to another machine.
"""

import hashlib
import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from stages.common.encoder import Encoder
from stages.common.errors import TryAgain, UserError
from stages.common.files import read_json, read_jsonl, write_json
from stages.common.progress import Progress
from stages.common.variables import value, whole
from stages.evaluate.shards import Model, Shard

ENGINE = "endpoint"
KEY = "REPO_ENDPOINT_KEY"
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_WAITS_S = (1.0, 2.0, 4.0, 8.0)
"""Between tries of what another try may pass: a busy server, a lost connection."""
_TIMEOUT = httpx.Timeout(600.0, connect=10.0)
_BUSY = (408, 409, 425, 429, 500, 502, 503, 504)


@dataclass(frozen=True)
class Endpoint:
    """A server, the name of a model there, and how it is asked."""

    url: str
    name: str
    chat: bool

    @property
    def model(self) -> Model:
        """As shards name it: what stands behind the address is not known."""
        identity = f"{self.url} {self.name} {self.chat}"
        return Model(self.name, hashlib.sha256(identity.encode()).hexdigest())


def endpoint(options: Any) -> Endpoint | None:
    """What the options ask for, checked before anything is built; none: a model of this machine."""
    if options.endpoint is None:
        if options.served is not None:
            raise UserError(
                "--model is for --endpoint; a model of this machine is named without it"
            )
        return None
    if options.served is None:
        raise UserError("--model is missing: give the model's name at the endpoint")
    if options.suite == "general":
        raise UserError(
            "--suite general needs log-probabilities, which --endpoint does not give; take another "
            "suite, or a model folder"
        )
    for name, wrong in (("engine", options.engine != "own"), ("yarn", options.yarn)):
        if wrong:
            raise UserError(f"--{name} is not for --endpoint; leave it out")
    if options.template not in ("none", "auto"):
        raise UserError(
            f"--template is {options.template!r}: a server has a template of its own; give none "
            "(plain completions) or auto (chat)"
        )
    try:
        parts = urlsplit(options.endpoint)
        _ = parts.port, httpx.URL(options.endpoint)
    except (ValueError, httpx.InvalidURL) as error:
        raise UserError(f"--endpoint is {options.endpoint!r}: {error}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UserError(
            f"--endpoint is {options.endpoint!r}: give an address such as https://host/v1"
        )
    if parts.username or parts.password or parts.query:
        raise UserError(f"--endpoint holds a user, password or query: put the key into {KEY}")
    if _key() and parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        raise UserError(
            f"--endpoint is {options.endpoint!r}: {KEY} would go in clear to another machine; use "
            "https://, or a tunnel (ssh -L 8000:localhost:8000)"
        )
    return Endpoint(options.endpoint.rstrip("/"), options.served, options.template == "auto")


def finish(
    asked: Endpoint, shards: Sequence[Shard], folder: Path, root: Path, encoder: Encoder
) -> dict[Shard, list[Any]]:
    """Answers of all shards (a sample each); those in ``folder`` are not asked for again.

    ``root`` is where the shards' files are relative to. A failure leaves the finished ones in place.
    """
    missing = [shard for shard in shards if not _file(folder, shard).is_file()]
    if missing:
        progress = Progress("evaluate", len(missing), "answers")
        files = {shard.source: list(read_jsonl(root / shard.source)) for shard in missing}
        headers = {"authorization": f"Bearer {_key()}"} if _key() else {}
        with httpx.Client(headers=headers, timeout=_TIMEOUT, follow_redirects=False) as client:

            def answer(shard: Shard) -> None:
                rows = [files[shard.source][row] for row in shard.rows]
                found = [_result(client, asked, row, encoder) for row in rows]
                write_json(_file(folder, shard), found)

            with ThreadPoolExecutor(whole("REPO_ENDPOINT_PARALLEL")) as threads:
                futures = [threads.submit(answer, shard) for shard in missing]
                try:
                    for done, future in enumerate(futures, start=1):
                        future.result()
                        progress.update(done)
                except BaseException:
                    threads.shutdown(wait=True, cancel_futures=True)
                    raise
    return {shard: read_json(_file(folder, shard)) for shard in shards}


def _result(
    client: httpx.Client, asked: Endpoint, sample: Mapping[str, Any], encoder: Encoder
) -> dict[str, Any]:
    prompt = sample["input"] + sample["answer_prefix"]
    body: dict[str, Any] = {"model": asked.name, "max_tokens": sample["max_new_tokens"]}
    body |= {"temperature": 0.0}
    if asked.chat:
        body["messages"] = [{"role": "user", "content": prompt}]
    else:
        body["prompt"] = prompt
    started = time.monotonic()
    found = _post(client, asked, f"{asked.url}/{'chat/' if asked.chat else ''}completions", body)
    try:
        choice = found["choices"][0]
        text = (choice["message"]["content"] or "") if asked.chat else choice["text"]
        ended = choice.get("finish_reason") == "stop"
        text = text.encode("utf-8", "replace").decode()  # half of a pair, where an answer is cut
        ids = encoder.ids(text)
    except (KeyError, IndexError, TypeError, AttributeError):
        raise UserError(
            f"--endpoint is {asked.url!r}: no answer of an OpenAI-compatible server; is the address "
            "the one that ends in /v1?"
        ) from None
    return {
        "ids": ids,
        "text": text,
        "ended": ended,
        "stopped": False,
        "position": None,
        "seconds": round(time.monotonic() - started, 4),
        "decoded": ENGINE,
        "because": "",
    }


def _post(client: httpx.Client, asked: Endpoint, url: str, body: Mapping[str, Any]) -> Any:
    for wait in (*_WAITS_S, None):
        try:
            answer = client.post(url, json=body)
        except httpx.RequestError as error:  # also an answer that cannot be unpacked
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        else:
            if answer.status_code not in _BUSY:
                return _read(answer, asked)
            reason = f"status {answer.status_code}"
        if wait is not None:
            time.sleep(wait)
    raise TryAgain(f"{asked.url} does not answer ({reason}); run again: what was answered is kept")


def _read(answer: httpx.Response, asked: Endpoint) -> Any:
    if answer.status_code in (401, 403):
        what = "does not take the key of" if _key() else "wants a key: put it into"
        raise UserError(f"--endpoint is {asked.url!r}, which {what} {KEY}")
    if not answer.is_success:
        said = " ".join(answer.text.split())[:200] or "no more"
        raise UserError(
            f"--endpoint is {asked.url!r}: it answers {answer.status_code} to {asked.name!r} and says: "
            f"{said}"
        )
    try:
        return answer.json()
    except (ValueError, RecursionError):
        raise UserError(
            f"--endpoint is {asked.url!r}: its answer is not JSON; is the address the one that ends "
            "in /v1?"
        ) from None


def _key() -> str:
    return value(KEY, os.environ)


def _file(folder: Path, shard: Shard) -> Path:
    return folder / ENGINE / f"{shard.key}.json"
