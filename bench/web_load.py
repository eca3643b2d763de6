"""Two hundred who watch, one who watches too slowly, and programs that ask: as a process of its own.

Called with the address, the number of streams, and of requests a second. Prints ``ready`` when all streams are open; told to
end, it prints one line of JSON: what was heard and how long answers took.
"""

import http.client
import json
import selectors
import signal
import socket
import sys
import threading
import time
from urllib.parse import urlsplit

PATHS = (
    "/api/ops/status",
    "/api/ops/steps?limit=20",
    "/api/ops/events?limit=20",
    "/api/ops/agents",
    "/api/ops/control",
)
PLACE = b"\nid: "
OPEN_WITHIN_S = 60.0
over = threading.Event()


def stream(host: str, port: int, *, buffer: int | None = None, after: str | None = None) -> socket.socket:
    """A stream that was asked for; ``after``: from that place on."""
    one = socket.socket()
    if buffer is not None:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    one.settimeout(OPEN_WITHIN_S)
    one.connect((host, port))
    came_back = "" if after is None else f"Last-Event-ID: {after}\r\n"
    one.sendall(f"GET /api/ops/stream HTTP/1.1\r\nHost: localhost\r\n{came_back}\r\n".encode())
    return one


class Watchers:
    """Read everything from all streams, in one thread; ``ended`` counts those that were cut off."""

    def __init__(self, host: str, port: int, count: int) -> None:
        self.bytes = 0
        self.events = 0
        self.ended = 0
        self._selector = selectors.DefaultSelector()
        for _ in range(count):
            one = stream(host, port)
            one.recv(1)
            one.setblocking(False)
            self._selector.register(one, selectors.EVENT_READ)

    def run(self) -> None:
        while not over.is_set():
            for key, _ in self._selector.select(0.2):
                try:
                    part = key.fileobj.recv(262144)  # type: ignore[union-attr]  # only sockets are registered
                except BlockingIOError:
                    continue
                if not part:
                    self.ended += 1
                    self._selector.unregister(key.fileobj)
                self.bytes += len(part)
                self.events += part.count(PLACE)


class Asker:
    """Asks so many times a second; ``took_s`` has the times of the answers."""

    def __init__(self, host: str, port: int, per_s: float) -> None:
        self.took_s: list[float] = []
        self.wrong = 0
        self._where = (host, port)
        self._gap_s = 1 / per_s

    def run(self) -> None:
        connection = http.client.HTTPConnection(*self._where, timeout=30)
        due = time.monotonic()
        number = 0
        while not over.is_set():
            time.sleep(max(0.0, due - time.monotonic()))
            due += self._gap_s
            began = time.monotonic()
            connection.request("GET", PATHS[number % len(PATHS)])
            answer = connection.getresponse()
            answer.read()
            self.took_s.append(time.monotonic() - began)
            self.wrong += answer.status != 200
            number += 1


def main() -> None:
    where = urlsplit(sys.argv[1])
    host, port = str(where.hostname), int(where.port or 80)
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    slow = stream(host, port, buffer=4096)
    watchers = Watchers(host, port, int(sys.argv[2]))
    askers = [Asker(host, port, float(sys.argv[3]) / 2) for _ in range(2)]
    threads = [threading.Thread(target=one.run) for one in (watchers, *askers)]
    for thread in threads:
        thread.start()
    print("ready", flush=True)
    while not over.is_set():  # not waited for: the handler sets it in this very thread
        time.sleep(0.2)
        print(json.dumps({"events": watchers.events, "ended": watchers.ended}), flush=True)
    for thread in threads:
        thread.join()
    print(json.dumps({
        "events": watchers.events,
        "bytes": watchers.bytes,
        "ended": watchers.ended,
        "took_s": sorted(took for one in askers for took in one.took_s),
        "wrong": sum(one.wrong for one in askers),
        "slow": last_place(slow),
    }), flush=True)  # fmt: skip


def last_place(slow: socket.socket) -> str | None:
    """The last place in what the slow viewer was sent before he was cut off; None when he was not."""
    slow.settimeout(1.0)
    heard = b""
    try:
        while part := slow.recv(262144):
            heard += part
    except TimeoutError:
        return None
    except OSError:
        pass
    places = [line[4:].decode().strip() for line in heard.splitlines()[:-1] if line.startswith(b"id: ")]
    return places[-1] if places else None


if __name__ == "__main__":
    main()
