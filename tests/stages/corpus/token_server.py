"""Files over HTTP as an object store gives them: sizes and ranges, and misbehaviour on request."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server:
    """What is served, and what was asked for."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[tuple[str, int]] = []
        """File and first byte of every range, in order."""
        self.ranges, self.wait_s, self.failures = True, 0.0, 0
        self.address = ""


@contextmanager
def serving() -> Iterator[Server]:
    """Serve until the block ends."""
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def _answer(self, body: bool) -> None:
            content = state.files.get(self.path.lstrip("/"))
            if content is None or state.failures:
                state.failures = max(0, state.failures - 1)
                self.send_response(404 if content is None else 503)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            given, code, start = self.headers.get("Range", ""), 200, 0
            if body and given and state.ranges:
                first, _, last = given.removeprefix("bytes=").partition("-")
                start, code = int(first), 206
                state.asked.append((self.path.lstrip("/"), start))
                time.sleep(state.wait_s)
                content = content[start : int(last) + 1 if last else None]
            self.send_response(code)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Accept-Ranges", "bytes")
            self.end_headers()
            if body:
                self.wfile.write(content)

        def log_message(self, *args: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.address = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
