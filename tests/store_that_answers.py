"""A store, or what stands before one, that gives the same answer to everything."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


@dataclass
class Answering:
    """What is answered from now on, and what was asked so far.

    `code` is an S3 error code, put into S3's own document, or the body itself when it begins with `<`.
    """

    port: int
    status: int = 503
    code: str = ""
    asked: list[str] = field(default_factory=list)

    def body(self) -> bytes:
        if not self.code or self.code.startswith("<"):
            return self.code.encode()
        return f"<Error><Code>{self.code}</Code><Message>No.</Message></Error>".encode()


@contextmanager
def store_that_answers() -> Iterator[Answering]:
    """Inside, a server answers; what it says can be changed at any time."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            asked.append(self.command)
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            body = b"" if self.command == "HEAD" else answering.body()
            self.send_response(answering.status)
            self.send_header("Content-Type", "application/xml" if answering.code else "text/plain")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_PUT = do_HEAD = answer  # noqa: N815 (names that the library calls)

        def log_message(self, *_words: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    answering = Answering(server.server_address[1], asked=asked)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield answering
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
