"""Two versions on one database: they live side by side, or the older one drains and leaves before the schema changes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import trio

import reactor as program
from reactor.errors import SchemaError
from reactor.pg.migrations import load_migrations, migrate
from tests.fleet.processes import later, reactor, sql_with, until
from tests.support.queue_rows import new_step, scalar
from tests.support.scratch import scratch_directory

Sql = psycopg.Connection[tuple[Any, ...]]

BREAKING = """-- generation: 2, steps have a colour
alter table ops_mission_steps add column colour text;
"""
HARMLESS = "alter table ops_mission_steps add column colour text;"


@pytest.fixture
def here() -> Iterator[Path]:
    with scratch_directory(executable=True) as directory:
        yield directory


def test_our_generation_is_the_one_our_schema_asks_for() -> None:
    assert max(1, *(one.generation for one in load_migrations())) == program.GENERATION


def test_a_reactor_that_cannot_live_with_the_new_schema_drains_and_leaves_before_it_is_made(
    here: Path, database: str, sql: Sql
) -> None:
    sleeping = new_step(sql, payload='{"sleep_s": 4}')
    with reactor(database, here, OPS_GRACE_S="30") as old:
        until(
            lambda: scalar(sql, "select status from ops_mission_steps where id = %s", sleeping) == "running"
        )
        new = later(sql_with(here, _9000=BREAKING), generation=2)
        with reactor(database, here, command=new):
            # What it had begun it finished, and was gone when the column came.
            found = sql.execute(
                "select step.status, migration.applied_at > step.completed_at"
                " from ops_mission_steps as step cross join ops_migrations as migration"
                " where step.id = %s and migration.name = 'schema/9000.sql'",
                (sleeping,),
            ).fetchone()
            assert found == ("succeeded", True)
            assert "asks for generation 2" in old.last_words(1)
            states: dict[int, str] = dict(sql.execute("select generation, state from ops_workers").fetchall())
            assert states == {1: "stopped", 2: "ready"}
            next_one = new_step(sql)
            until(
                lambda: (
                    scalar(sql, "select status from ops_mission_steps where id = %s", next_one) == "succeeded"
                )
            )
            with reactor(database, here, ready=False) as again:
                assert "install the newer voxyz-reactor" in again.last_words(1)


@pytest.mark.chaos
def test_versions_that_can_live_together_do_and_the_older_one_may_start_again(
    here: Path, database: str, sql: Sql
) -> None:
    with reactor(database, here, OPS_MISSION_CONCURRENCY="10"):
        sql_files = sql_with(here, _9000=HARMLESS)
        wake = sql_files / "functions" / "wake.sql"
        wake.write_text(wake.read_text() + "\n-- newer\n")
        new = later(sql_files, generation=1)
        with reactor(database, here, command=new, OPS_MISSION_CONCURRENCY="10"):
            applied = "select checksum from ops_migrations where name = 'functions/wake.sql'"
            newer = scalar(sql, applied)
            with reactor(database, here, OPS_MISSION_CONCURRENCY="10"):
                rows = [new_step(sql, payload='{"sleep_s": 0.5}') for _ in range(90)]
                done = "select count(*) from ops_mission_steps where status = 'succeeded'"
                until(lambda: scalar(sql, done) == len(rows))
                assert scalar(sql, "select count(distinct claimed_by) from ops_mission_steps") == 3
                assert scalar(sql, "select count(*) from ops_workers where state = 'ready'") == 3
            assert scalar(sql, applied) == newer  # the older program left the newer one's function alone


async def test_a_migration_gives_up_when_an_older_reactor_stays_and_names_it(
    database: str, sql: Sql, tmp_path: Path
) -> None:
    sql.execute(
        "insert into ops_workers (id, hostname, pid, version, parts, liveness_key, state)"
        " values (gen_random_uuid(), 'far-away', 4711, '0.1.0', '{mission}', 0, 'ready')"
    )
    root = sql_with(tmp_path, _9000=BREAKING)
    with pytest.raises(SchemaError, match=r"process 4711 on far-away has not left within 0\.2 s: stop it"):
        await migrate(database, root=root, leave_within_s=0.2)
    assert scalar(sql, "select count(*) from ops_migrations where name = 'schema/9000.sql'") == 0
    assert sql.execute("select minimum, reason from ops_generation").fetchone() == (2, "steps have a colour")
    sql.execute("update ops_workers set state = 'dead'")
    report = await migrate(database, root=root)
    assert "schema/9000.sql" in report.applied
    await trio.lowlevel.checkpoint()


async def test_a_new_database_asks_for_the_generation_of_its_schema(
    empty_database: str, tmp_path: Path
) -> None:
    await migrate(empty_database, root=sql_with(tmp_path, _9000=BREAKING))
    with psycopg.connect(empty_database) as session:
        assert scalar(session, "select minimum from ops_generation") == 2
