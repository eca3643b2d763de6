"""Two hundred who watch, one who watches too slowly, and programs that ask: as a process of its own.

Called with the address, the number of streams, and of requests a second. Prints ``ready`` when all streams are open; told to
end, it prints one line of JSON: what was heard and how long answers took.
"""

import json
import re
import selectors
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from typing import cast
from urllib.parse import urlsplit

PATHS = (
    "/api/ops/status",
    "/api/ops/steps?limit=20",
    "/api/ops/events?limit=20",
    "/api/ops/agents",
    "/api/ops/control",
)
PLACE = re.compile(rb"\nid: (\d+)-(\d+)\n")
LENGTH = re.compile(rb"\r\ncontent-length: (\d+)\r\n", re.IGNORECASE)
GAP = re.compile(rb'event: gap\nid: [0-9-]+\ndata: \{"events":(\d+),')
MADE = re.compile(rb'"created_at":"([^"]{19,40})"')
TAIL = 100  # bytes of what was heard that may hold the beginning of a place
OPEN_WITHIN_S = 60.0
ANSWER_WITHIN_S = 30.0
ASKED = b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n"
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
    """Read everything from all streams, in one thread; ``ended`` counts those that were cut off.

    ``places``: how far each stream is that was not. ``late_s``: how old events were when one of the streams had them.
    """

    def __init__(self, host: str, port: int, count: int) -> None:
        self.bytes = 0
        self.ended = 0
        self.places: dict[int, tuple[int, int]] = {}
        self.late_s: list[float] = []
        self._tails: dict[int, bytes] = {}
        self._selector = selectors.DefaultSelector()
        for _ in range(count):
            one = stream(host, port)
            one.recv(1)
            one.setblocking(False)
            self.places[one.fileno()] = (0, 0)
            self._selector.register(one, selectors.EVENT_READ)

    def run(self) -> None:
        first = min(self.places)
        while not over.is_set():
            for key, _ in self._selector.select(0.2):
                try:
                    part = cast("socket.socket", key.fileobj).recv(262144)
                except BlockingIOError:
                    continue
                if not part:
                    self.ended += 1
                    self._selector.unregister(key.fileobj)
                    del self.places[key.fd]
                    continue
                self.bytes += len(part)
                heard = self._tails.get(key.fd, b"") + part
                self._tails[key.fd] = heard[-TAIL:]
                for place in PLACE.findall(heard)[-1:]:
                    self.places[key.fd] = (int(place[0]), int(place[1]))
                if key.fd == first:
                    self.late_s += [time.time() - made for made in made_at(part)]

    def place(self) -> tuple[int, int]:
        """Behind which every stream is."""
        return min(self.places.values(), default=(0, 0))


def made_at(part: bytes) -> Iterator[float]:
    """When the events in that part of a stream were written, by Unix time."""
    for moment in MADE.findall(part):
        yield datetime.fromisoformat(moment.decode()).timestamp()


def events_in(heard: bytes) -> int:
    """How many events a stream told of, one by one or as part of a sum; its greeting is none."""
    gaps = [int(number) for number in GAP.findall(heard)]
    return len(PLACE.findall(heard)) - len(gaps) + sum(gaps)


class Asker:
    """Asks so many times a second, on one connection; ``took_s`` has the times of the answers.

    By hand, for whoever asks is elsewhere in life, and here takes the processor from what is measured: a library's
    client costs as much as the server.
    """

    def __init__(self, host: str, port: int, per_s: float) -> None:
        self.took_s: list[float] = []
        self.wrong = 0
        self._where = (host, port)
        self._gap_s = 1 / per_s

    def run(self) -> None:
        with socket.create_connection(self._where, timeout=ANSWER_WITHIN_S) as connection:
            due = time.monotonic()
            number = 0
            while not over.is_set():
                time.sleep(max(0.0, due - time.monotonic()))
                due += self._gap_s
                began = time.monotonic()
                connection.sendall(ASKED % PATHS[number % len(PATHS)].encode())
                self.wrong += not _whole_answer(connection).startswith(b"HTTP/1.1 200 ")
                self.took_s.append(time.monotonic() - began)
                number += 1


def _whole_answer(connection: socket.socket) -> bytes:
    """The head of an answer, once all of its body has come."""
    heard = b""
    while (end := heard.find(b"\r\n\r\n")) < 0:
        heard += _more(connection)
    head = heard[: end + 2]
    length = LENGTH.search(head)
    assert length is not None, head
    left = int(length[1]) - (len(heard) - end - 4)
    while left > 0:
        left -= len(_more(connection))
    return head


def _more(connection: socket.socket) -> bytes:
    part = connection.recv(262144)
    if not part:
        raise ConnectionError("the server hung up before the end of its answer")
    return part


def main() -> None:
    where = urlsplit(sys.argv[1])
    host, port = str(where.hostname), int(where.port or 80)
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    slow = stream(host, port, buffer=4096)
    watchers = Watchers(host, port, int(sys.argv[2]))
    askers = [Asker(host, port, float(sys.argv[3]) / 2) for _ in range(2)]
    threads = [threading.Thread(target=run) for run in (watchers.run, *(one.run for one in askers))]
    for thread in threads:
        thread.start()
    print("ready", flush=True)
    while not over.is_set():  # not waited for: the handler sets it in this very thread
        time.sleep(0.2)
        print(json.dumps({"place": watchers.place(), "ended": watchers.ended}), flush=True)
    for thread in threads:
        thread.join()
    print(json.dumps({
        "late_s": watchers.late_s,
        "bytes": watchers.bytes,
        "ended": watchers.ended,
        "took_s": sorted(took for one in askers for took in one.took_s),
        "wrong": sum(one.wrong for one in askers),
        "slow": last_place(slow),
    }), flush=True)  # fmt: skip


def last_place(slow: socket.socket) -> str | None:
    """The last place in what the slow viewer was sent, before he was cut off or until now; None: he heard nothing."""
    slow.settimeout(1.0)
    heard = b""
    try:
        while part := slow.recv(262144):
            heard += part
    except OSError:  # cut off, or nothing more comes
        pass
    places = PLACE.findall(heard)
    return b"-".join(places[-1]).decode() if places else None


if __name__ == "__main__":
    main()
