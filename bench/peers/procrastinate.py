"""procrastinate: asyncio and psycopg, one fetching statement and one finishing statement a job."""

import asyncio
import importlib.metadata
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.contestants import Statements
from bench.process import Contender, contender
from bench.stage import Server, Stage

if TYPE_CHECKING:
    import procrastinate

CONCURRENCY = (
    50  # as many as our own default; its own is 1, which makes no difference to jobs that do nothing
)

_SQL = Statements(
    insert="select procrastinate_defer_jobs_v1(array[row('default', 'mark', 0, null, null,"
    " jsonb_build_object('at', %s::bigint), null)]::procrastinate_job_to_defer_v1[])",
    fill="insert into procrastinate_jobs (queue_name, task_name, args)"
    " select 'default', 'noop', '{}' from generate_series(1, %s)",
    last="select max(id) from procrastinate_jobs",
    ended="select status = 'succeeded' from procrastinate_jobs where id = %s",
    unfinished="select count(*) from procrastinate_jobs where id > %s and status <> 'succeeded'",
)


@dataclass(frozen=True)
class Procrastinate:
    """A worker as ``procrastinate worker`` runs it."""

    name: str = "procrastinate"
    rows_s: float = 250
    sql: Statements = _SQL

    def missing(self, stage: Stage) -> str | None:
        if importlib.util.find_spec("procrastinate") is None:
            return "not installed: pip install -e '.[bench]'"
        return None

    def version(self) -> str:
        return importlib.metadata.version("procrastinate")

    def install(self, dsn: str) -> None:
        asyncio.run(_install(dsn))

    @contextmanager
    def works(self, server: Server, database: str) -> Iterator[Contender]:
        command = [sys.executable, "-m", __name__, server.dsn(database)]
        with contender(self.name, command, {}) as running:
            yield running


def _app(dsn: str) -> "procrastinate.App":
    import procrastinate

    return procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=dsn))


async def _install(dsn: str) -> None:
    app = _app(dsn)
    async with app.open_async():
        await app.schema_manager.apply_schema_async()


async def _work(dsn: str) -> None:
    from bench.marks import FirstEntry, mark

    app = _app(dsn)
    first = FirstEntry()

    @app.task(name="noop")
    async def noop() -> None:
        first()

    @app.task(name="mark")
    async def marked(at: int) -> None:
        mark(at)

    async with app.open_async():
        print("ready", flush=True)
        await app.run_worker_async(concurrency=CONCURRENCY)


if __name__ == "__main__":
    asyncio.run(_work(sys.argv[1]))
