"""Connecting, every way it goes right and wrong; what a connection is set to; what its methods answer."""

import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
import trio

from reactor import errors
from reactor.pg import QUIET_SESSION, Connection, Jsonb, connect
from reactor.pg.connection import application_name
from tests.support.server import PrivateServer, free_port
from tests.support.waiting import Onlooker, open_files, state_of, until


@contextmanager
def black_hole() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(64)
        yield listening.getsockname()[1]


async def test_it_connects_through_a_unix_socket_and_through_tcp(server: PrivateServer) -> None:
    for dsn, remote in ((server.dsn, None), (server.tcp_dsn, "127.0.0.1/32")):
        async with await connect(dsn, name="test") as connection:
            assert await connection.fetch_value("select inet_client_addr()::text") == remote


async def test_a_host_s_name_is_resolved_and_each_of_its_addresses_tried(server: PrivateServer) -> None:
    dsn = server.tcp_dsn.replace("127.0.0.1", "localhost")  # may mean ::1 first, where nobody listens
    async with await connect(dsn, name="test") as connection:
        assert await connection.fetch_value("select 1") == 1


async def test_the_session_is_set_up_for_work(connection: Connection) -> None:
    rows = await connection.fetch_all(
        """
        select name, setting
        from pg_settings
        where name in ('statement_timeout', 'lock_timeout', 'idle_session_timeout', 'TimeZone',
          'idle_in_transaction_session_timeout', 'client_connection_check_interval', 'client_encoding')
        """
    )
    assert {name.lower(): setting for name, setting in rows} == {
        "statement_timeout": "60000",
        "lock_timeout": "30000",
        "idle_session_timeout": "0",
        "idle_in_transaction_session_timeout": "60000",
        "client_connection_check_interval": "5000",
        "timezone": "UTC",
        "client_encoding": "UTF8",
    }
    assert await connection.fetch_value("show application_name") == "voxyz-reactor test"


async def test_a_quiet_session_is_never_ended_by_a_timeout(server: PrivateServer) -> None:
    async with await connect(server.dsn, name="bell", settings=QUIET_SESSION) as connection:
        rows = await connection.fetch_all(
            "select name from pg_settings where name ~ '_timeout$' and setting = '0' and context = 'user'"
        )
        assert {name for (name,) in rows} >= {
            "statement_timeout",
            "lock_timeout",
            "idle_session_timeout",
            "idle_in_transaction_session_timeout",
        }


async def test_keepalives_are_set_on_both_sides_of_tcp(server: PrivateServer) -> None:
    async with await connect(server.tcp_dsn, name="test") as connection:
        rows = await connection.fetch_all(
            "select name, setting from pg_settings where name like 'tcp%' order by name"
        )
        assert rows == [
            ("tcp_keepalives_count", "3"),
            ("tcp_keepalives_idle", "5"),
            ("tcp_keepalives_interval", "2"),
            ("tcp_user_timeout", "10000"),
        ]
        ours = socket.socket(fileno=connection.pgconn.socket)
        try:
            assert ours.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 5
            assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 10_000
        finally:
            ours.detach()


async def test_settings_come_on_top_and_unknown_ones_are_left_out(server: PrivateServer) -> None:
    settings = {"enable_hashjoin": "off", "a_setting_of_the_future": "on", "ops.test": "1"}
    async with await connect(server.dsn, name="test", settings=settings) as connection:
        assert await connection.fetch_value("show enable_hashjoin") == "off"
        assert await connection.fetch_value("show statement_timeout") == "1min"
        assert await connection.fetch_value("select current_setting('ops.test')") == "1"


async def test_without_settings_not_a_single_statement_is_sent(server: PrivateServer) -> None:
    async with await connect(server.dsn, name="probe", settings=None) as connection:
        assert await connection.fetch_value("show statement_timeout") == "0"
        assert await connection.fetch_value("show application_name") == "voxyz-reactor probe"
        for _ in range(10):
            await connection.fetch_value("select %s::int", (1,))
        assert await connection.fetch_value("select count(*) from pg_prepared_statements") == 0


def test_the_application_name_fits_what_the_server_keeps() -> None:
    assert application_name("listener") == "voxyz-reactor listener"
    assert application_name("größe\n") == "voxyz-reactor gr??e?"
    assert len(application_name("x" * 100)) == 63


async def test_the_second_host_answers_when_the_first_is_dead(server: PrivateServer) -> None:
    dsn = (
        f"host=127.0.0.1,127.0.0.1 port={free_port()},{server.port}"
        f" user=voxyz dbname=voxyz password={server.password}"
    )
    async with await connect(dsn, name="test") as connection:
        assert await connection.fetch_value("select inet_server_port()") == server.port


async def test_a_black_hole_costs_connect_timeout_and_then_the_next_host_answers(
    server: PrivateServer,
) -> None:
    with black_hole() as port:
        dsn = (
            f"host=127.0.0.1,127.0.0.1 port={port},{server.port} connect_timeout=1"
            f" user=voxyz dbname=voxyz password={server.password}"
        )
        began = trio.current_time()
        async with await connect(dsn, name="test", timeout_s=60) as connection:
            assert await connection.fetch_value("select inet_server_port()") == server.port
        assert 0.9 <= trio.current_time() - began < 5


async def test_a_black_hole_alone_is_one_line_after_the_timeout() -> None:
    with black_hole() as port, pytest.raises(errors.DatabaseUnavailable, match=r"timeout expired.*firewall"):
        await connect(f"host=127.0.0.1 port={port}", name="test", timeout_s=0.2)


async def test_a_writable_server_is_found_behind_a_read_only_one(server: PrivateServer) -> None:
    server.run("create database readonly")
    server.run("alter database readonly set default_transaction_read_only = on")
    try:
        dsn = f"{server.dsn_of('readonly')}&target_session_attrs=read-write"
        with pytest.raises(errors.DatabaseUnavailable, match="target_session_attrs"):
            await connect(dsn, name="test")
        async with await connect(dsn.replace("read-write", "read-only"), name="test") as connection:
            assert await connection.fetch_value("show transaction_read_only") == "on"
        async with await connect(dsn.replace("read-write", "prefer-standby"), name="test") as connection:
            assert await connection.fetch_value("select current_database()") == "readonly"
    finally:
        server.run("drop database readonly with (force)")


def is_one_line(message: str) -> bool:
    return "\n" not in message and "Traceback" not in message and "psycopg" not in message


async def test_a_wrong_password_is_one_line_that_does_not_repeat_it(server: PrivateServer) -> None:
    dsn = server.tcp_dsn.replace(server.password, "not-the-password")
    with pytest.raises(errors.AccessDenied, match=r"password authentication failed.*correct user") as caught:
        await connect(dsn, name="test")
    assert is_one_line(str(caught.value))
    assert "not-the-password" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        ("database", errors.AccessDenied, 'database "nope" does not exist; correct the database'),
        ("role", errors.AccessDenied, r"nope.*correct"),
        ("port", errors.DatabaseUnavailable, "Connection refused; start PostgreSQL there"),
        ("socket", errors.DatabaseUnavailable, "No such file or directory; start PostgreSQL"),
        ("name", errors.DatabaseUnavailable, "cannot resolve host name: .*; correct the host's name"),
        ("counts", errors.ConfigurationError, "contradicts itself"),
        ("timeout", errors.ConfigurationError, "connect_timeout is a number"),
        ("words", errors.ConfigurationError, "cannot be read"),
        ("uri", errors.ConfigurationError, "cannot be read"),
    ],
)
async def test_what_cannot_be_reached_says_why_and_what_to_do(
    server: PrivateServer, change: str, kind: type[errors.ReactorError], words: str
) -> None:
    dsn = {
        "database": server.dsn_of("nope"),
        "role": server.tcp_dsn.replace("voxyz:", "nope:"),
        "port": f"host=127.0.0.1 port={free_port()}",
        "socket": "host=/nowhere",
        "name": "host=no-such-host.invalid",
        "counts": "host=a,b port=1,2,3",
        "timeout": "host=127.0.0.1 connect_timeout=soon",
        "words": "hots=127.0.0.1",
        "uri": "postgresql://u:secret/word@h/db",
    }[change]
    with pytest.raises(kind, match=words) as caught:
        await connect(dsn, name="test", timeout_s=5)
    assert is_one_line(str(caught.value))
    assert "secret" not in str(caught.value)


async def test_too_many_clients_may_pass(server: PrivateServer) -> None:
    server.run("create role crowd login connection limit 0")
    server.run("create role guest login")
    server.run("alter database postgres connection limit 0")
    try:
        dsn = server.dsn_of("postgres").replace("voxyz@", "guest@", 1)
        with pytest.raises(errors.DatabaseUnavailable, match="too many connections") as caught:
            await connect(dsn, name="test")
        assert caught.value.transient
    finally:
        server.run("alter database postgres connection limit -1")
        server.run("drop role crowd, guest")


async def test_cancelled_connecting_leaves_no_file_open(server: PrivateServer) -> None:
    async with await connect(server.dsn, name="warm"):
        pass
    before = open_files()
    for step in range(40):
        with trio.move_on_after(step * 0.0002):
            await (await connect(server.tcp_dsn, name="test")).aclose()
    with black_hole() as port:
        for _ in range(5):
            with trio.move_on_after(0.01):
                await connect(f"host=127.0.0.1 port={port}", name="test")
    assert open_files() == before


async def test_closing_works_in_a_cancelled_scope_and_twice(
    server: PrivateServer, onlooker: Onlooker
) -> None:
    before = open_files()
    connection = await connect(server.dsn, name="test")
    pid = connection.info.backend_pid
    with trio.CancelScope() as scope:
        scope.cancel()
        await connection.aclose()
        await connection.aclose()
    assert connection.closed
    assert open_files() == before
    await until(lambda: state_of(onlooker, pid) is None)
    with pytest.raises(errors.ConnectionLost):
        await connection.fetch_value("select 1")


async def test_closing_frees_whoever_waits_on_the_connection(server: PrivateServer) -> None:
    connection = await connect(server.dsn, name="test")

    async def ask() -> None:
        with pytest.raises(errors.ConnectionLost):
            await connection.run("select pg_sleep(30)")

    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await until(lambda: connection.in_flight)
            await connection.aclose()


async def test_the_answers_come_in_the_shape_the_method_says(connection: Connection) -> None:
    assert await connection.fetch_all("select n from generate_series(1, 3) as s (n)") == [(1,), (2,), (3,)]
    assert await connection.fetch_all("select 1 where false") == []
    assert await connection.fetch_row("select 1, 'a'") == (1, "a")
    assert await connection.fetch_row("select 1 where false") is None
    assert await connection.fetch_value("select %(n)s::int + 1", {"n": 1}) == 2
    assert await connection.fetch_value("select 1 where false") is None
    assert await connection.run("create temporary table t (n int)") == -1
    assert await connection.run("insert into t (n) select generate_series(1, 5)") == 5
    assert await connection.fetch_value("select %s::jsonb", (Jsonb({"a": [1]}),)) == {"a": [1]}


async def test_many_tasks_share_a_connection_one_statement_at_a_time(connection: Connection) -> None:
    answers: list[int] = []

    async def ask(n: int) -> None:
        answers.append(await connection.fetch_value("select %s::int", (n,)))

    async with trio.open_nursery() as nursery:
        for n in range(50):
            nursery.start_soon(ask, n)
    assert sorted(answers) == list(range(50))


@pytest.mark.parametrize(
    ("statement", "kind", "state"),
    [
        (
            "do $$ begin raise 'queue nope is unknown' using errcode = 'OP001'; end $$",
            errors.OpsError,
            "OP001",
        ),
        ("do $$ begin raise serialization_failure; end $$", errors.TransientConflict, "40001"),
        ("do $$ begin raise deadlock_detected; end $$", errors.TransientConflict, "40P01"),
        ("do $$ begin raise lock_not_available; end $$", errors.TransientConflict, "55P03"),
        ("do $$ begin raise insufficient_privilege; end $$", errors.AccessDenied, "42501"),
        ("select 1/0", errors.DatabaseError, "22012"),
        ("selec 1", errors.DatabaseError, "42601"),
    ],
)
async def test_errors_of_statements_are_ours_and_the_connection_goes_on(
    connection: Connection, statement: str, kind: type[errors.DatabaseError], state: str
) -> None:
    with pytest.raises(errors.DatabaseError) as caught:
        await connection.run(statement)
    assert type(caught.value) is kind
    assert caught.value.sqlstate == state
    assert is_one_line(str(caught.value))
    assert await connection.fetch_value("select 1") == 1


async def test_the_words_of_an_ops_error_are_passed_on_as_they_are(connection: Connection) -> None:
    with pytest.raises(errors.OpsError) as caught:
        await connection.run("do $$ begin raise 'queue nope is unknown' using errcode = 'OP001'; end $$")
    assert str(caught.value) == "queue nope is unknown"


async def test_a_statement_past_its_timeout_may_pass(server: PrivateServer) -> None:
    async with await connect(server.dsn, name="test", settings={"statement_timeout": "20ms"}) as connection:
        with pytest.raises(errors.TransientConflict, match="statement timeout"):
            await connection.run("select pg_sleep(10)")
        assert await connection.fetch_value("select 1") == 1


@pytest.mark.parametrize("text", ["\x00", "\ud800", "a\udfffb"])
async def test_text_that_cannot_be_stored_is_an_error_of_ours(connection: Connection, text: str) -> None:
    with pytest.raises(errors.DatabaseError):
        await connection.fetch_value("select %s::text", (text,))
    assert await connection.fetch_value("select 1") == 1


async def test_the_server_s_end_mid_statement_is_a_lost_connection(
    connection: Connection, onlooker: Onlooker
) -> None:
    async def end_it() -> None:
        await until(lambda: state_of(onlooker, connection.info.backend_pid) == "active")
        onlooker.execute("select pg_terminate_backend(%s)", (connection.info.backend_pid,))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(end_it)
        with pytest.raises(errors.ConnectionLost):
            await connection.run("select pg_sleep(30)")
    assert connection.closed
    assert connection.broken


async def test_an_idle_connection_ended_by_the_server_is_seen_without_asking(
    connection: Connection, onlooker: Onlooker
) -> None:
    assert not connection.hung_up()
    onlooker.execute("select pg_terminate_backend(%s)", (connection.info.backend_pid,))
    await until(connection.hung_up)


async def test_a_libpq_that_can_only_block_still_cancels(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(psycopg.capabilities, "has_cancel_safe", lambda check=False: False)
    with trio.move_on_after(0.05):
        await connection.run("select pg_sleep(30)")
    assert await connection.fetch_value("select 1") == 1


def test_the_tools_these_tests_need_are_here() -> None:
    assert shutil.which("openssl"), "the tests of TLS make certificates with the openssl command: install it"
