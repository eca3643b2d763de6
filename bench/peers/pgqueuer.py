"""pgqueuer: asyncio and asyncpg, batches of claims and of completions."""

import asyncio
import importlib.metadata
import importlib.util
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bench.contestants import Statements
from bench.process import Contender, contender
from bench.stage import Server, Stage

BATCH = 10  # its default
TUNED_BATCH = 500  # of 100 to 2,000 none was reliably faster

_INSERT = (
    "with input as materialized (select nextval((select pg_get_serial_sequence('pgqueuer', 'id'))) as id, %s::bigint as at),"
    " inserted as (insert into pgqueuer (id, priority, entrypoint, payload, execute_after, status)"
    " select id, 0, 'mark', convert_to(at::text, 'UTF8'), now(), 'queued' from input returning id, entrypoint, priority)"
    " insert into pgqueuer_log (job_id, status, entrypoint, priority)"
    " select id, 'queued', entrypoint, priority from inserted"
)
_FILL = (
    "with inserted as (insert into pgqueuer (priority, entrypoint, payload, execute_after, status)"
    " select 0, 'noop', null, now(), 'queued' from generate_series(1, %s) returning id, entrypoint, priority)"
    " insert into pgqueuer_log (job_id, status, entrypoint, priority)"
    " select id, 'queued', entrypoint, priority from inserted"
)

_SQL = Statements(
    insert=_INSERT,
    fill=_FILL,
    last="select max(id) from pgqueuer",
    ended="select not exists (select from pgqueuer where id = %s)",
    unfinished="select count(*) from pgqueuer where id > %s",
)


@dataclass(frozen=True)
class Pgqueuer:
    """A worker on an asyncpg connection and uvloop, as its command line runs one; ``tuned``: with large batches."""

    tuned: bool = False
    sql: Statements = _SQL

    @property
    def name(self) -> str:
        return f"pgqueuer, batches of {TUNED_BATCH}" if self.tuned else "pgqueuer"

    @property
    def rows_s(self) -> float:
        return 10_000 if self.tuned else 2_000

    def missing(self, stage: Stage) -> str | None:
        if any(importlib.util.find_spec(name) is None for name in ("pgqueuer", "asyncpg", "uvloop")):
            return "not installed: pip install -e '.[bench]'"
        return None

    def version(self) -> str:
        return importlib.metadata.version("pgqueuer")

    def install(self, dsn: str) -> None:
        asyncio.run(_install(dsn))

    @contextmanager
    def works(self, server: Server, database: str) -> Iterator[Contender]:
        batch = TUNED_BATCH if self.tuned else BATCH
        command = [sys.executable, "-m", __name__, server.dsn(database), str(batch)]
        with contender(self.name, command, {}) as running:
            yield running


async def _install(dsn: str) -> None:
    import asyncpg
    from pgqueuer import AsyncpgDriver, Queries

    connection = await asyncpg.connect(dsn)
    await Queries(AsyncpgDriver(connection)).install()
    await connection.close()


async def _work(dsn: str, batch: int) -> None:
    import asyncpg
    from pgqueuer import AsyncpgDriver, Job, PgQueuer

    from bench.marks import FirstEntry, mark

    first = FirstEntry()
    queue = PgQueuer(AsyncpgDriver(await asyncpg.connect(dsn)))

    @queue.entrypoint("noop")
    async def noop(job: Job) -> None:
        first()

    @queue.entrypoint("mark")
    async def marked(job: Job) -> None:
        mark(json.loads(job.payload or b"0"))

    print("ready", flush=True)
    await queue.run(batch_size=batch)


if __name__ == "__main__":
    import uvloop

    uvloop.run(_work(sys.argv[1], int(sys.argv[2])))
