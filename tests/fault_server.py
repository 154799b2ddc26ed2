"""A Hugging Face style hub on loopback that can be told to answer badly."""

from __future__ import annotations

import hashlib
import re
import sys
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

COMMIT = "c0ffee" + "0" * 34


@dataclass
class Answer:
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    cut: int | None = None  # close the connection after so many bytes of the body
    pause: float = 0.0  # seconds before each byte of the body


Fault = Callable[[Answer], Answer | None]  # changes the answer in place, or gives another


def git_sha1(body: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(body) + body).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves `routes`, with ranges; each answer first passes through the next of the faults queued for its method."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.routes: dict[str, Answer] = {}
        self.faults: dict[str, deque[Fault]] = defaultdict(deque)
        self.log: list[tuple[str, str, dict[str, str]]] = []  # method, path, headers
        self.ranges = True

    def handle_error(self, request: object, client_address: object) -> None:
        if not isinstance(sys.exception(), OSError):  # a client that hangs up is no fault of ours
            super().handle_error(request, client_address)

    def spoil(self, method: str, *faults: Fault) -> None:
        self.faults[method].extend(faults)

    def seen(self, method: str) -> list[dict[str, str]]:
        """The headers of each request so far."""
        return [headers for m, _, headers in self.log if m == method]

    def publish(
        self, repo: str, name: str, body: bytes, *, commit: str = COMMIT, cdn: Server | None = None,
        revisions: tuple[str, ...] = ("main",),
    ) -> None:
        """A file of a repository; with `cdn`, a large one, which the other server serves."""
        headers = {"X-Repo-Commit": commit, "ETag": f'"{git_sha1(body)}"'}
        answer = Answer(200, headers, body)
        if cdn is not None:
            headers |= {"X-Linked-Etag": f'"{hashlib.sha256(body).hexdigest()}"', "X-Linked-Size": str(len(body))}
            headers["Location"] = f"{cdn.url}/store/{name}?signature=secret"
            answer = Answer(302, headers, b"moved")
            cdn.routes[f"/store/{name}?signature=secret"] = Answer(200, {"ETag": '"of-the-store"'}, body)
        for revision in (*revisions, commit):
            self.routes[f"/{repo}/resolve/{revision}/{name}"] = answer


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        server = self.server
        server.log.append((self.command, self.path, dict(self.headers)))
        found = server.routes.get(self.path, Answer(404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT}))
        answer = self.part(Answer(found.status, dict(found.headers), found.body))
        if server.faults[self.command]:
            answer = server.faults[self.command].popleft()(answer) or answer
        self.send_response(answer.status)
        length = {} if "Transfer-Encoding" in answer.headers else {"Content-Length": str(len(answer.body))}
        for name, value in {**length, **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.send_body(answer)

    do_HEAD = do_GET

    def part(self, answer: Answer) -> Answer:
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        same = self.headers.get("If-Range") in (None, answer.headers.get("ETag"))
        if answer.status == 200 and wanted and same and self.server.ranges:
            start, whole = int(wanted[1]), len(answer.body)
            if start >= whole:
                return Answer(416, {"Content-Range": f"bytes */{whole}"})
            answer.headers["Content-Range"] = f"bytes {start}-{whole - 1}/{whole}"
            return Answer(206, answer.headers, answer.body[start:])
        return answer

    def send_body(self, answer: Answer) -> None:
        try:
            if answer.pause:
                for byte in answer.body:
                    time.sleep(answer.pause)
                    self.wfile.write(bytes([byte]))
            else:
                self.wfile.write(answer.body[: answer.cut])
        except OSError:  # the client has had enough
            self.close_connection = True
        if answer.cut is not None:
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def serving() -> Iterator[Server]:
    server = Server()
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
