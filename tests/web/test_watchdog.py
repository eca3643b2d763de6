"""An event loop that does not turn, and who notices."""

import http.client
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from inspect import currentframe
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trio
from structlog.testing import capture_logs

from reactor.web.ports import open_door
from reactor.web.watchdog import Watchdog
from tests.engine.support import Session, insert, until_status
from tests.support.daemon import daemon
from tests.support.waiting import until

SOURCE = Path(__file__).with_name("stubborn_kind.py")
MISTAKE = '    time.sleep(step.payload["s"])  # noqa: ASYNC251 - this is the mistake'


@contextmanager
def asking(url: str) -> Iterator[list[int]]:
    """Asks /healthz again and again from a thread, and keeps the statuses; 0: no answer within a second."""
    statuses: list[int] = []
    over = threading.Event()

    def ask() -> None:
        where = urlsplit(url)
        while not over.is_set():
            connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=1.0)
            try:
                connection.request("GET", "/healthz")
                statuses.append(connection.getresponse().status)
            except (OSError, http.client.HTTPException):
                statuses.append(0)
            finally:
                connection.close()
            over.wait(0.05)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield statuses
    finally:
        over.set()
        thread.join(5)


async def test_a_blocked_loop_is_told_in_the_log_and_answered_for_with_503() -> None:
    door = await open_door("127.0.0.1", 0)
    try:
        with capture_logs() as logs, asking(door.url) as statuses:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(
                    Watchdog(door.sockets, held_after_s=0.2, blocked_after_s=0.4, tick_s=0.1).run
                )
                await trio.sleep(0.2)
                time.sleep(1.5)  # noqa: ASYNC251 - this is the handler that never gives way
                await until(lambda: "event_loop_turns_again" in [line["event"] for line in logs])
                nursery.cancel_scope.cancel()
        assert 503 in statuses
        for event in ("event_loop_held", "event_loop_blocked"):
            [line] = [line for line in logs if line["event"] == event]
            assert line["handler"].startswith(f"{__file__}:")
            assert __file__ in line["where"]
    finally:
        door.close()


async def test_the_line_of_the_handler_is_named_however_deep_in_a_library_it_is() -> None:
    door = await open_door("127.0.0.1", 0)
    try:
        with capture_logs() as logs:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(Watchdog(door.sockets, held_after_s=0.2, tick_s=0.1).run)
                await trio.sleep(0.2)
                here = currentframe()
                assert here is not None
                line = here.f_lineno + 1
                subprocess.run([sys.executable, "-c", "import time; time.sleep(1)"], check=True)  # noqa: ASYNC221 - it shall block
                await until(lambda: "event_loop_turns_again" in [one["event"] for one in logs])
                nursery.cancel_scope.cancel()
        assert logs[0]["event"] == "event_loop_held"
        assert f"{__file__}:{line} " in logs[0]["handler"]
    finally:
        door.close()


HELD = "event_loop_held"  # which a start on a busy machine may be as well


async def test_a_reactor_names_the_line_of_its_handler_that_keeps_the_loop(
    database: str, sql: Session
) -> None:
    with daemon("mission", DATABASE_URL=database, VOXYZ_KINDS="tests.web.stubborn_kind") as reactor:
        await reactor.until_ready()
        before = len(reactor.log(HELD))
        id = insert(sql, "stubborn", '{"s": 4}')
        await until_status(sql, id, "succeeded", within_s=30)
        await reactor.until_logged("event_loop_turns_again")
        [line] = reactor.log(HELD)[before:]
    at = SOURCE.read_text().splitlines().index(MISTAKE)
    assert line["handler"] == f"{SOURCE}:{at + 1} stubborn"


@pytest.mark.chaos
async def test_a_reactor_blocked_for_half_a_minute_answers_for_itself_and_names_the_line(
    database: str, sql: Session
) -> None:
    with daemon("mission", DATABASE_URL=database, VOXYZ_KINDS="tests.web.stubborn_kind") as reactor:
        await reactor.until_ready()
        url = reactor.said().split(" · ")[-1].strip()
        with trio.fail_after(30):
            while await trio.to_thread.run_sync(status_of, url, "/healthz") != 200:
                await trio.sleep(0.2)
        before = len(reactor.log(HELD))
        id = insert(sql, "stubborn", '{"s": 40}')
        await until_status(sql, id, "running")
        began = time.monotonic()
        with trio.fail_after(60):
            while (said := await trio.to_thread.run_sync(status_of, url, "/healthz")) != 503:
                assert said in (None, 200)  # it may answer a last time before it is blocked
                await trio.sleep(0.2)
        after_s = time.monotonic() - began
        await until_status(sql, id, "succeeded", within_s=120)
        await reactor.until_logged("event_loop_turns_again")
        with trio.fail_after(60):
            while await trio.to_thread.run_sync(status_of, url, "/healthz") != 200:
                await trio.sleep(0.2)
        [held] = reactor.log(HELD)[before:]
        [blocked] = reactor.log("event_loop_blocked")
    assert after_s >= 29
    assert blocked["seconds"] >= 30
    line = SOURCE.read_text().splitlines().index(MISTAKE) + 1
    assert held["handler"] == blocked["handler"] == f"{SOURCE}:{line} stubborn"
    sys.stdout.write(
        f"/healthz turned 503 {after_s:.1f} s after the handler had begun to block, and 200 again\n"
    )


def status_of(url: str, path: str) -> int | None:
    """What is answered there within a second; None: nothing."""
    where = urlsplit(url)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=1.0)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


async def test_a_loop_that_turns_is_left_alone() -> None:
    door = await open_door("127.0.0.1", 0)
    try:
        with capture_logs() as logs:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(Watchdog(door.sockets, held_after_s=0.3, tick_s=0.1).run)
                await trio.sleep(1.0)
                nursery.cancel_scope.cancel()
        assert logs == []
    finally:
        door.close()


async def test_its_thread_ends_with_it() -> None:
    door = await open_door("127.0.0.1", 0)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Watchdog(door.sockets).run)
            await until(lambda: "watchdog" in [thread.name for thread in threading.enumerate()])
            nursery.cancel_scope.cancel()
        assert "watchdog" not in [thread.name for thread in threading.enumerate()]
    finally:
        door.close()
