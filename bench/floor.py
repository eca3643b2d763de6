"""The least any of them can need: an insert whose trigger notifies, and a process that waits for nothing but that.

No claim, no row is read or finished. What a contestant needs beyond this is its own; below it nobody can come.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg

from bench.contestants import Statements
from bench.process import Contender, contender
from bench.stage import Server, Stage

NAME = "a notification alone"

_SCHEMA = """
create table bench_floor (
  id bigint generated always as identity primary key,
  at bigint not null
);

create function bench_floor_notify()
returns trigger
language plpgsql
as $$
begin
  perform pg_notify('bench_floor', new.at::text);
  return null;
end
$$;

create trigger bench_floor_notify
  after insert on bench_floor
  for each row
  execute function bench_floor_notify();
"""

_SQL = Statements(
    insert="insert into bench_floor (at) values (%s)",
    fill="insert into bench_floor (at) select 0 from generate_series(1, %s)",
    last="select max(id) from bench_floor",
    ended="select true or %s is null",
    unfinished="select 0 * %s",
)


@dataclass(frozen=True)
class Floor:
    """A process that blocks on one listening connection."""

    name: str = NAME
    rows_s: float = 10_000
    sql: Statements = _SQL

    def missing(self, stage: Stage) -> str | None:
        return None

    def version(self) -> str:
        return psycopg.__version__

    def install(self, dsn: str) -> None:
        with psycopg.connect(dsn, autocommit=True) as conn:
            conn.execute(_SCHEMA)

    @contextmanager
    def works(self, server: Server, database: str) -> Iterator[Contender]:
        with contender(self.name, [sys.executable, "-m", __name__, server.dsn(database)], {}) as running:
            yield running


def _hear(dsn: str) -> None:
    from bench.marks import mark

    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("listen bench_floor")
        print("ready", flush=True)
        for heard in conn.notifies():
            mark(int(heard.payload))


if __name__ == "__main__":
    _hear(sys.argv[1])
