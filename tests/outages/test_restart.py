"""The server goes away and comes back under a real reactor: quiet meanwhile, and everything resumes by itself."""

import sys
import time

import psycopg
import pytest
import trio

from tests.engine.support import Session, insert, until_status
from tests.support.daemon import daemon
from tests.support.server import PrivateServer

AWAY_S = 4.0


@pytest.mark.chaos
async def test_a_server_that_is_away_for_a_while_costs_two_lines_and_no_processor(
    server: PrivateServer, database: str, sql: Session
) -> None:
    with daemon(DATABASE_URL=database) as reactor:
        await reactor.until_ready()
        await until_status(sql, insert(sql, "noop"), "succeeded", within_s=20)
        server.stop()
        try:
            await reactor.until_logged("not_listening")
            before_s, began_at = reactor.cpu_s(), time.monotonic()
            await trio.sleep(AWAY_S)
            used = (reactor.cpu_s() - before_s) / (time.monotonic() - began_at)
        finally:
            server.start()
        started_at = time.monotonic()
        await reactor.until_logged("listening_again")
        back_s = time.monotonic() - started_at
        with psycopg.connect(database, autocommit=True) as again:
            await until_status(again, insert(again, "noop"), "succeeded", within_s=20)
        assert used < 0.5  # of a core; a loop that spins takes all of one
        # A part of the heartbeat that was under way has lines of its own, and a row.
        its_own = ("heartbeat_part_failed", "heartbeat_not_noted")
        assert [one for one in reactor.warnings() if one not in its_own] == ["not_listening"]
        assert len(reactor.log("listening_again")) == 1
        assert "Traceback" not in reactor.errors()
    sys.stdout.write(f"away: {used:.1%} of a core; heard again {back_s:.2f} s after the server was back\n")
