"""Two hundred open streams and 50 requests a second beside a queue that is worked off, against the same queue left alone.

The page is served by a process of its own, as where many look; it shares the machine's cores with the reactor, the server
and those who ask. A viewer who reads nothing finds everything when he reads on, or, cut off, when he comes back.
"""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from bench.contestants import Contestant, Ours
from bench.drain import drained, fill
from bench.figures import percentile
from bench.process import Contender, contender, wait_until
from bench.stage import Server, Sql, Stage
from bench.web_load import events_in, stream

ROUNDS = 9
ROWS = 50_000
STREAMS = 200
REQUESTS_A_SECOND = 50
CAUGHT_UP_WITHIN_S = 240.0
BACK_WITHIN_S = 60.0
MISSED = "select count(*) from ops_agent_events as event where (event.xact, event.id) > (%s::text::xid8, %s::bigint)"


@dataclass
class Seen:
    """What the rounds came to."""

    alone: list[float] = field(default_factory=list)
    beside: list[float] = field(default_factory=list)
    peak_mb: list[float] = field(default_factory=list)
    took_ms: list[float] = field(default_factory=list)
    behind_s: list[float] = field(default_factory=list)
    cut_and_back: list[float] = field(default_factory=list)
    late_s: list[float] = field(default_factory=list)
    wrong: int = 0


def run(stage: Stage) -> None:
    rows = stage.amount(ROWS, 3_000)
    rounds = stage.rounds(ROUNDS)
    streams = stage.amount(STREAMS, 20)
    seen = Seen()
    ours = Ours()
    with stage.server() as server, stage.progress("web", rounds * 2) as part:
        for _ in range(rounds):
            part("the queue alone")
            with server.database(ours.install) as database, server.sql(database) as sql:
                fill(sql, ours, rows)
                seen.alone.append(drained(server, ours, database, sql, rows)[0])
            part(f"{streams} streams beside it")
            _beside(server, ours, rows, streams, seen)
    ratios = [beside / alone for beside, alone in zip(seen.beside, seen.alone, strict=True)]
    add = stage.run.add
    add("web", "drain alone", "rows/s", seen.alone)
    add("web", f"drain beside {streams} streams, {REQUESTS_A_SECOND} requests/s", "rows/s", seen.beside)
    add("web", "÷ alone", "", ratios, bar=0.9)
    add("web", "memory of the web process, most", "MB", seen.peak_mb, better="less", bar=300)
    add("web", "answers, p50", "ms", [percentile(seen.took_ms, 0.5)], better="less")
    add("web", "answers, p99", "ms", [percentile(seen.took_ms, 0.99)], better="less")
    add(
        "web", "age of events when a viewer has them, p50", "s", [percentile(seen.late_s, 0.5)], better="less"
    )
    add("web", "age of events when a viewer has them, most", "s", [max(seen.late_s)], better="less", bar=5)
    add("web", "answers that were no 200", "", [float(seen.wrong)], better="less", bar=0)
    add(
        "web",
        "until all streams had the last event, after the queue was empty",
        "s",
        seen.behind_s,
        better="less",
    )
    add("web", "slow viewer: share of what he missed that he got", "", seen.cut_and_back, bar=1)


def _beside(server: Server, ours: Contestant, rows: int, streams: int, seen: Seen) -> None:
    with (
        server.database(ours.install) as database,
        server.sql(database) as sql,
        _web(server, database) as web,
    ):
        url = web.said().split(" · ")[-1].strip().removesuffix("/ops")
        command = [sys.executable, "-m", "bench.web_load", url, str(streams), str(REQUESTS_A_SECOND)]
        with contender("load", command, {}) as load:
            load.await_ready()
            wait_until(lambda: "{" in load.said(), "the load: its first words", within_s=30)
            fill(sql, ours, rows)
            seen.beside.append(drained(server, ours, database, sql, rows)[0])
            ended = time.monotonic()
            _await_the_last(load, sql)
            seen.behind_s.append(time.monotonic() - ended)
            seen.peak_mb.append(web.peak_mb())
            load.stop()
            told = json.loads(load.said().splitlines()[-1])
        seen.took_ms += [took * 1000 for took in told["took_s"]]
        seen.late_s += told["late_s"]
        seen.wrong += told["wrong"] + told["ended"]
        seen.cut_and_back.append(_share_got(url, told["slow"], sql))


@contextmanager
def _web(server: Server, database: str) -> Iterator[Contender]:
    environment = {
        "DATABASE_URL": server.dsn(database),
        "VOXYZ_LLM": "mock",
        "VOXYZ_LOG_LEVEL": "warning",
        "OPS_PORT": "0",
        "OPS_GRACE_S": "0",
    }
    command = [sys.executable, "-m", "reactor.cli", "run", "web"]
    with contender("web", command, environment) as running:
        running.await_ready()
        yield running


def _await_the_last(load: Contender, sql: Sql) -> None:
    """All streams have heard all events, but for those that were cut off."""
    last = "select xact::text, id from ops_agent_events order by xact desc, id desc limit 1"
    [(xact, id)] = sql.execute(last).fetchall()

    def heard() -> bool:
        told = json.loads(load.said().splitlines()[-1])
        return bool(told["place"] >= [int(xact), id])

    wait_until(heard, "the streams: the last event", within_s=CAUGHT_UP_WITHIN_S, gap_s=0.2)


def _share_got(url: str, place: str | None, sql: Sql) -> float:
    """Of the events behind ``place``, the share that somebody gets who comes back with it; 0: there is no place."""
    if place is None:
        return 0.0
    xact, _, id = place.partition("-")
    [(missed,)] = sql.execute(MISSED, (xact, id)).fetchall()
    where = urlsplit(url)
    heard = b""
    got = 0
    deadline = time.monotonic() + BACK_WITHIN_S
    with stream(str(where.hostname), int(where.port or 80), after=place) as back:
        while got < missed and time.monotonic() < deadline:
            heard += back.recv(262144)
            got = events_in(heard) - 1  # the first place is that of the greeting
    return got / missed if missed else 1.0
