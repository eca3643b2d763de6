"""Data of an older PostgreSQL: carried over once, all of them, the old ones kept; or left alone with one clear line."""

from pathlib import Path

import psycopg
import pytest

from reactor.errors import ConfigurationError, EmbeddedServerError
from reactor.pg.embedded import ensure_running, server
from reactor.pg.embedded.account import server_account
from reactor.pg.embedded.binaries import reachable, wheel_binaries
from reactor.pg.embedded.cluster import Cluster
from reactor.pg.embedded.places import STATE_ROOT, establish, socket_directory
from reactor.pg.migrations import migrate
from tests.support.embedded import older_cluster
from tests.support.queue_rows import new_step, scalar


def nothing_said(line: str) -> None:
    pass


@pytest.fixture
def old(home: Path) -> Path:
    """A home as a release with PostgreSQL 16 left it: a schema, rows, a role, a second database; its server is stopped."""
    cluster = older_cluster(establish(home, server_account(), nothing_said))
    cluster.initialise()
    found = cluster.start()
    try:
        with psycopg.connect(found.dsn(), autocommit=True) as sql:
            sql.execute("create role somebody nologin")
            sql.execute("create database other")
            sql.execute("create table kept (id int primary key, text text)")
            sql.execute(
                "insert into kept select n, 'row ' || n || E' \\t \\\\ \\n' from generate_series(1, 1000) as n"
            )
            sql.execute("grant select on kept to somebody")
        with psycopg.connect(found.dsn("other"), autocommit=True) as sql:
            sql.execute("create table elsewhere as select 7 as id")
    finally:
        cluster.stop()
    return cluster.base


async def test_data_of_postgresql_16_are_carried_over_and_the_old_ones_kept(home: Path, old: Path) -> None:
    said: list[str] = []
    running = await ensure_running(home, create=False, say=said.append)
    try:
        with psycopg.connect(running.dsn) as sql:
            assert sql.info.server_version // 10000 == 18
            assert scalar(sql, "select count(*) from kept") == 1000
            assert scalar(sql, "select text from kept where id = 5") == "row 5 \t \\ \n"
            assert scalar(sql, "select has_table_privilege('somebody', 'kept', 'select')")
        with psycopg.connect(running.dsn.replace("/voxyz?", "/other?")) as sql:
            assert scalar(sql, "select id from elsewhere") == 7
        await migrate(running.dsn)
    finally:
        await running.leave()
    assert (old / "data" / "PG_VERSION").read_text() == "18\n"
    assert (old / "data.16" / "PG_VERSION").read_text() == "16\n"
    assert not (old / "carrying").exists()
    assert "from PostgreSQL 16 to 18" in said[0]
    assert str(old / "data.16") in said[1]
    again = await ensure_running(home, create=False, say=said.append)
    await again.leave()
    assert len(said) == 2


@pytest.mark.chaos
async def test_a_voxyz_of_another_server_works_after_it(home: Path, old: Path) -> None:
    cluster = older_cluster(old)
    found = cluster.start()
    try:
        await migrate(found.dsn())
        with psycopg.connect(found.dsn(), autocommit=True) as sql:
            new_step(sql)
            sql.execute("insert into ops_agent_events (kind, xact) values ('tried', '99999999')")
    finally:
        cluster.stop()
    running = await ensure_running(home, create=False, say=nothing_said)
    try:
        with psycopg.connect(running.dsn, autocommit=True) as sql:
            assert scalar(sql, "select count(*) from ops_mission_steps") == 1
            assert scalar(sql, "select count(*) from ops_agent_events where xact > pg_current_xact_id()") == 0
            new_step(sql)
    finally:
        await running.leave()


async def test_a_carrying_that_failed_leaves_the_old_data_in_their_place(
    home: Path, old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from reactor.pg.embedded import carrying

    monkeypatch.setattr(carrying, "_SETTLE", "select nothing from nowhere")
    with pytest.raises(EmbeddedServerError, match="could not be carried over"):
        await ensure_running(home, create=True, say=nothing_said)
    assert (old / "data" / "PG_VERSION").read_text() == "16\n"
    assert not (old / "carrying").exists()
    monkeypatch.undo()
    running = await ensure_running(home, create=False, say=nothing_said)
    assert await running.leave()


@pytest.mark.chaos
async def test_servers_that_a_killed_attempt_left_running_are_no_hindrance(home: Path, old: Path) -> None:
    binaries = reachable(wheel_binaries(16), server_account(), STATE_ROOT)
    settings = {name: value for name, value in server.SETTINGS.items() if name != "io_method"}
    cluster = Cluster(old, binaries, server_account(), socket_directory(old), settings, sync=False)
    cluster.start()
    with pytest.raises(ConfigurationError, match="is in use by a release that runs PostgreSQL 16"):
        await ensure_running(home, create=False, say=nothing_said)
    (old / "carrying").mkdir()
    running = await ensure_running(home, create=False, say=nothing_said)
    try:
        with psycopg.connect(running.dsn) as sql:
            assert scalar(sql, "select count(*) from kept") == 1000
    finally:
        await running.leave()


async def test_a_carrying_interrupted_between_the_renames_is_finished(made: Path) -> None:
    base = made / "postgres"
    (base / "data").rename(base / "data.carried")
    (base / "data.16").mkdir()
    running = await ensure_running(made, create=True, say=nothing_said)
    assert running.was == "existing"
    await running.leave()
    assert not (base / "data.carried").exists()


@pytest.mark.parametrize(
    ("major", "advice"), [(14, "dump it with the release that made it"), (99, "install the newer")]
)
async def test_data_that_cannot_be_carried_over_are_refused_untouched(
    made: Path, major: int, advice: str
) -> None:
    version = made / "postgres" / "data" / "PG_VERSION"
    version.write_text(f"{major}\n")
    with pytest.raises(ConfigurationError, match=f"made by PostgreSQL {major}.*{advice}") as refusal:
        await ensure_running(made, create=True)
    assert "\n" not in str(refusal.value)
    assert version.read_text() == f"{major}\n"
