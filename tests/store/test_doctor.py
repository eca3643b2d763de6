"""What doctor asks of a database."""

from contextlib import aclosing
from typing import Any

import psycopg
import pytest

from reactor.model.queues import Queue
from reactor.pg import connect
from reactor.store import doctor

pytestmark = pytest.mark.sql


async def test_the_session_that_keeps_a_bell_is_named(
    database: str, sql: psycopg.Connection[tuple[Any, ...]]
) -> None:
    with sql.transaction():
        sql.execute("set local application_name = 'a long import'")
        sql.execute("insert into ops_roundtable_queue (format) values ('standup')")
        async with aclosing(await connect(database, name="doctor")) as conn:
            [keeper] = await doctor.bell_keepers(conn, older_than_s=0)
            assert await doctor.bell_keepers(conn) == []  # it is not old enough to complain of
    assert (keeper.pid, keeper.application) == (sql.info.backend_pid, "a long import")
    assert keeper.queue_number == Queue.ROUNDTABLE.number
    async with aclosing(await connect(database, name="doctor")) as conn:
        assert await doctor.bell_keepers(conn, older_than_s=0) == []
