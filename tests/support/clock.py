"""A clock that tests set, in their own database: ``ops_now()`` reads a row of one table."""

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

NOON = datetime(2030, 6, 1, 12, tzinfo=UTC)

_INSTALL = """
create table test_clock (at timestamptz not null);
insert into test_clock (at) values ('2030-06-01 12:00:00+00');
create or replace function ops_now()
returns timestamptz
language sql
stable
parallel safe
set search_path = public, pg_temp
as 'select at from test_clock';
"""


class Clock:
    """The time of one database; it stands still between calls and may go backwards."""

    def __init__(self, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        self._connection = connection
        self.now = NOON
        connection.execute(_INSTALL)

    def set(self, moment: datetime) -> None:
        """It is ``moment``."""
        self._connection.execute("update test_clock set at = %s", (moment,))
        self.now = moment

    def step(self, seconds: float) -> None:
        """It is ``seconds`` later, or earlier."""
        self.set(self.now + timedelta(seconds=seconds))
