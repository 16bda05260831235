"""Servers on loopback that answer as they are told: what a sender meets, with real sockets."""

import socket
import socketserver
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event, Thread

Answer = Callable[[socket.socket, Event], None]
"""It gets the connection, and an event that is set when the server ends."""


@dataclass(frozen=True)
class Request:
    """What a server was asked."""

    line: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Server:
    """A server, and what it was asked so far."""

    port: int
    requests: list[Request]


def says(status: str, body: bytes | str = b"", **headers: str) -> Answer:
    """Answer with a status, as `500 Internal Server Error`, and a body."""
    content = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status}", f"content-length: {len(content)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return sends("\r\n".join(lines).encode() + b"\r\n\r\n" + content)


def sends(content: bytes) -> Answer:
    """Answer with these bytes, and close."""
    return lambda connection, _: connection.sendall(content)


def hangs(_connection: socket.socket, ends: Event) -> None:
    """Say nothing."""
    ends.wait()


def never_ends(status: str) -> Answer:
    """Answer with a status, and with a body that has no end."""

    def answer(connection: socket.socket, ends: Event) -> None:
        connection.sendall(f"HTTP/1.1 {status}\r\n\r\n".encode())
        while not ends.is_set():
            connection.sendall(b"x" * 65536)

    return answer


@contextmanager
def listening(answer: Answer, context: ssl.SSLContext | None = None) -> Iterator[Server]:
    """Serve HTTP, or what `answer` makes of it, until the block ends; over TLS where there is a context."""
    requests: list[Request] = []

    def serve(plain: socket.socket, ends: Event) -> None:
        connection = context.wrap_socket(plain, server_side=True) if context else plain
        with connection, connection.makefile("rb") as stream:
            line = stream.readline().decode().strip()
            headers = dict(_headers(iter(stream.readline, b"\r\n")))
            requests.append(Request(line, headers, stream.read(int(headers.get("content-length", "0")))))
            answer(connection, ends)

    with accepting(serve) as port:
        yield Server(port, requests)


@contextmanager
def accepting(answer: Answer) -> Iterator[int]:
    """Give each connection to `answer` until the block ends, and yield the port."""
    ends = Event()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            answer(self.request, ends)

    class Threads(socketserver.ThreadingTCPServer):
        def handle_error(self, *_: object) -> None:
            """Leave alone a client that has gone: that is what the tests are about."""

    with Threads(("127.0.0.1", 0), Handler) as threads:
        thread = Thread(target=threads.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield threads.server_address[1]
        finally:
            ends.set()
            threads.shutdown()
            thread.join()


def _headers(lines: Iterator[bytes]) -> Iterator[tuple[str, str]]:
    for line in lines:
        if not line:
            return
        name, _, value = line.decode().partition(":")
        yield name.lower(), value.strip()


@contextmanager
def nothing_listens() -> Iterator[int]:
    """Yield a port that is taken and refuses."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]
