"""A web server of the test's own on 127.0.0.1: answers by a function, remembers what it was sent."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple


class Came(NamedTuple):
    """A request as it arrived; header names in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Answer(NamedTuple):
    """What is sent back; ``chunks`` repeats the body so often, with the connection's end for its length."""

    status: int = 200
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    chunks: int = 1


Respond = Callable[[Came], Answer]


class WebServer:
    """Answers until its ``with`` ends; ``respond`` may be replaced at any time."""

    def __init__(self, respond: Respond) -> None:
        self.respond = respond
        self.came: list[Came] = []
        house = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                length = int(self.headers.get("content-length") or 0)
                headers = {name.lower(): value for name, value in self.headers.items()}
                came = Came(self.command, self.path, headers, self.rfile.read(length))
                house.came.append(came)
                answer = house.respond(came)
                self.send_response(answer.status)
                for name, value in answer.headers:
                    self.send_header(name, value)
                self.end_headers()
                try:
                    for _ in range(answer.chunks):
                        self.wfile.write(answer.body)
                except OSError:
                    self.close_connection = True

            do_POST = do_GET

            def log_message(self, format: str, *args: object) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        self.place = f"127.0.0.1:{self.port}"
        self.url = f"http://{self.place}"

    def serve(self) -> None:
        self._server.serve_forever(poll_interval=0.05)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def web_server(respond: Respond = lambda came: Answer()) -> Iterator[WebServer]:
    """A server that answers, closed afterwards."""
    server = WebServer(respond)
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.close()
        thread.join(5)
