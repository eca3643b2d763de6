"""``doctor`` on servers in trouble: each one real, made so, looked at as a user does, and named with what to do."""

import os
import signal
from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest
import trio
from psycopg.conninfo import make_conninfo

from reactor.cli.doctor.finding import Finding
from reactor.pg.embedded.processes import poll
from reactor.pg.migrations import migrate
from tests.cli.conftest import Voxyz
from tests.cli.test_doctor import Sql, found
from tests.engine.support import Memory, reactor_on
from tests.support.daemon import daemon
from tests.support.replica import Pair, replicated_pair
from tests.support.server import HURRIED_SETTINGS, PrivateServer, chosen_binaries, private_server
from tests.support.small_disk import database_on, filled, small_disk

pytestmark = pytest.mark.chaos

AGED = 1_100_000_000  # transactions
SEGMENT = 1_048_576  # transactions to a file of pg_xact


def broken(voxyz: Voxyz, dsn: str, check: str) -> Finding:
    """The one finding that is broken, by the command line: exit code 1, in the table and in JSON."""
    answer = voxyz("doctor", "--json", DATABASE_URL=dsn)
    assert answer.code == 1, answer
    [one] = [Finding(**finding) for finding in answer.json if finding["verdict"] == "broken"]
    assert one.check == check
    shown = voxyz("doctor", DATABASE_URL=dsn, COLUMNS="1000")
    [line] = [line for line in shown.out.splitlines() if line.split()[:2] == [check, "broken"]]
    assert (shown.code, line.endswith(f": {one.do}")) == (1, True), shown  # its figures may have moved on
    return one


@pytest.fixture
def pair() -> Iterator[Pair]:
    with replicated_pair(chosen_binaries()) as running:
        yield running


def test_a_server_that_is_too_old_is_told_so_and_nothing_else(
    database: str, sql: Sql, anywhere: Voxyz
) -> None:
    # It says that it is; what an old one answers in earnest is tried by hand, none is to be had on every machine.
    sql.execute("create schema old")
    sql.execute(
        "create function old.current_setting(text) returns text language sql as"
        " $$ select case $1 when 'server_version_num' then '140023' when 'server_version' then '14.23'"
        " else pg_catalog.current_setting($1) end $$"
    )
    sql.execute(f"alter database {sql.info.dbname} set search_path = old, pg_catalog, public".encode())
    one = broken(anywhere, database, "version")
    assert (one.finding, one.do) == ("PostgreSQL 14.23 is too old", "use 15 or later")


def test_a_replica_is_told_from_its_primary(pair: Pair, anywhere: Voxyz) -> None:
    trio.run(migrate, pair.primary.dsn)
    assert anywhere("doctor", DATABASE_URL=pair.primary.dsn).code == 0
    assert poll(lambda: _has_schema(pair.replica.dsn), 30.0)
    one = broken(anywhere, pair.replica.dsn, "version")
    assert "read-only replica" in one.finding
    assert "address of the primary" in one.do


def _has_schema(dsn: str) -> bool:
    with psycopg.connect(dsn) as sql:
        return sql.execute("select to_regclass('ops_workers') is not null").fetchone() == (True,)


async def test_a_standby_that_holds_back_vacuum_is_named_with_and_without_its_slot(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    from reactor.store import doctor as questions

    asked = questions.slots
    monkeypatch.setattr(questions, "slots", lambda conn: asked(conn, 10))
    await migrate(pair.primary.dsn)
    pair.replica.run("alter system set hot_standby_feedback = on")
    pair.replica.run("alter system set wal_receiver_status_interval = '1s'")
    pair.replica.run("select pg_reload_conf()")
    with psycopg.connect(pair.replica.dsn) as reader:
        reader.execute("set transaction isolation level repeatable read")
        reader.execute("select count(*) from pg_class")
        one = await _held_back(pair, "standby")
        assert "holds back vacuum by" in one.finding
        assert "hot_standby_feedback" in one.do
    pair.primary.run("select pg_create_physical_replication_slot('second')")
    pair.replica.run("alter system set primary_slot_name = 'second'")
    pair.replica.run("select pg_reload_conf()")
    with psycopg.connect(pair.replica.dsn) as reader:
        reader.execute("set transaction isolation level repeatable read")
        reader.execute("select count(*) from pg_class")
        one = await _held_back(pair, "slot second, read by session")
        assert "holds back vacuum by" in one.finding
        assert "pg_drop_replication_slot('second')" in one.do


async def _held_back(pair: Pair, by: str) -> Finding:
    """What doctor says of replication once the primary knows that ``by`` holds something back."""
    with psycopg.connect(pair.primary.dsn, autocommit=True) as sql, trio.fail_after(60):
        while True:
            for _ in range(20):
                sql.execute("select pg_current_xact_id()")
            one = (await found(pair.primary.dsn))["replication"]
            if by in one.finding and "holds back" in one.finding:
                assert one.verdict == "warning"
                return one
            await trio.sleep(0.2)


async def test_a_logical_slot_without_its_reader_is_named(pair: Pair) -> None:
    await migrate(pair.primary.dsn)
    pair.primary.run("alter system set wal_level = 'logical'")
    pair.primary.run("alter system reset synchronous_standby_names")
    pair.primary.restart()
    pair.primary.run("select pg_create_logical_replication_slot('feed', 'pgoutput')")
    one = (await found(pair.primary.dsn))["replication"]
    assert one.verdict == "warning"
    assert "slot feed, read by nobody" in one.finding
    assert "pg_drop_replication_slot('feed')" in one.do


def test_transactions_that_run_out_are_told_in_time(anywhere: Voxyz) -> None:
    patient = {**HURRIED_SETTINGS, "autovacuum": "off", "autovacuum_freeze_max_age": "2000000000"}
    with private_server(chosen_binaries(), patient) as server:
        trio.run(migrate, server.dsn)
        assert anywhere("doctor", DATABASE_URL=server.dsn).code == 0
        server.stop()
        _age(server)
        server.start()
        one = broken(anywhere, server.dsn, "size")
        assert "transactions of database" in one.finding
        assert int(one.finding.split()[0]) > 1_000_000_000
        assert "vacuumdb --all --freeze" in one.do
        vacuumed = server.cluster._run(
            "vacuumdb", "--all", "--freeze", "-h", str(server.cluster.sockets), "-p", str(server.port),
            "-U", "voxyz", timeout_s=120.0,
        )  # fmt: skip
        assert vacuumed.returncode == 0, vacuumed.stderr
        server.run("update pg_database set datallowconn = true where datname = 'template0'")
        server.run("vacuum freeze", database="template0")
        server.run("update pg_database set datallowconn = false where datname = 'template0'")
        assert anywhere("doctor", DATABASE_URL=server.dsn).code == 0


def _age(server: PrivateServer) -> None:
    """The stopped server goes on at a transaction a thousand million later, as after years of work."""
    done = server.cluster._run(
        "pg_resetwal", "-f", "-x", str(AGED), "-D", str(server.data_dir), timeout_s=60.0
    )
    assert done.returncode == 0, done.stderr
    states = server.data_dir / "pg_xact" / f"{AGED // SEGMENT:04X}"
    states.write_bytes(bytes(SEGMENT // 4))
    owner = server.data_dir.stat()
    os.chown(states, owner.st_uid, owner.st_gid)


def test_a_full_disk_of_the_server_is_told_and_room_on_it_mends_it(
    server: PrivateServer, template: str, anywhere: Voxyz
) -> None:
    with small_disk(48) as disk, database_on(disk, server, template) as dsn:
        assert anywhere("doctor", DATABASE_URL=dsn).code == 0
        with filled(disk):
            answer = anywhere("doctor", "--json", DATABASE_URL=dsn)
            [one] = [Finding(**finding) for finding in answer.json if finding["verdict"] == "broken"]
            assert answer.code == 1
            assert "No space left on device" in one.finding
            # A server without room for its copy of the catalog lets nobody in, and says so itself.
            assert one.check == "database" or ("disk is full" in one.finding and "make room" in one.do)
        assert anywhere("doctor", DATABASE_URL=dsn).code == 0


async def test_the_disk_of_an_embedded_database_is_looked_at_itself(anywhere: Voxyz) -> None:
    with small_disk(300) as disk, daemon("mission", VOXYZ_HOME=str(disk / "home")) as reactor:
        await reactor.until_ready()
        answer = anywhere("doctor", "--json", VOXYZ_HOME=str(disk / "home"))
        reactor.tell(signal.SIGTERM)
        assert await reactor.ended() == 0
        [one] = [Finding(**finding) for finding in answer.json if finding["check"] == "size"]
        assert (answer.code, one.verdict) in ((0, "warning"), (1, "broken"))
        assert "are free on its disk" in one.finding
        assert "make room" in one.do


async def test_reactors_of_two_versions_are_told(database: str, sql: Sql) -> None:
    async with reactor_on(database, Memory()) as reactor:
        assert (await found(database))["reactors"].verdict == "ok"
        sql.execute("select pg_advisory_lock_shared(1987014778, 4711)")  # as the older one would
        sql.execute(
            "insert into ops_workers (id, hostname, pid, version, parts, liveness_key, state)"
            " values (%s, 'old-box', 77, '0.0.9', '{mission}', 4711, 'ready')",
            (uuid4(),),
        )
        one = (await found(database))["reactors"]
        assert one.verdict == "warning"
        assert f"2 running, in versions 0.0.9, {reactor.identity.version}" in one.finding
        assert "bring all to the same" in one.do


async def test_a_direct_url_to_another_database_hears_no_ring(database: str, server: PrivateServer) -> None:
    other = make_conninfo(database, dbname="postgres")
    one = (await found(database, DIRECT_URL=other))["ring"]
    assert one.verdict == "broken"
    assert "was not heard" in one.finding
    assert "same database" in one.do


async def test_sessions_that_cannot_be_looked_into_are_told(
    database: str, sql: Sql, server: PrivateServer
) -> None:
    server.run("drop role if exists modest")
    server.run("create role modest login bypassrls")
    try:
        sql.execute("grant all on all tables in schema public to modest")
        sql.execute("grant all on all functions in schema public to modest")
        one = (await found(make_conninfo(database, user="modest")))["transactions"]
        assert one.verdict == "warning"
        assert "sessions of other users cannot be seen" in one.finding
        assert "pg_read_all_stats" in one.do
    finally:
        sql.execute("drop owned by modest")
        server.run("drop role modest")
