"""The fixtures themselves, since everything else leans on them."""

from typing import Any

import psycopg

from tests.support.server import PrivateServer


def test_each_test_gets_an_empty_database_of_its_own(empty_database: str) -> None:
    with psycopg.connect(empty_database) as connection:
        row = connection.execute("select count(*) from pg_tables where schemaname = 'public'").fetchone()
    assert row == (0,)


def test_the_schema_is_in_place(sql: psycopg.Connection[tuple[Any, ...]]) -> None:
    row = sql.execute("select count(*) from ops_mission_steps").fetchone()
    assert row == (0,)


def test_the_server_is_the_chosen_version_and_takes_a_password_over_tcp(server: PrivateServer) -> None:
    with psycopg.connect(server.tcp_dsn) as connection:
        assert connection.info.server_version // 10000 == server.version


def test_the_server_survives_a_restart_at_the_same_address(server: PrivateServer) -> None:
    before = server.pid
    server.restart()
    assert server.pid != before
    with psycopg.connect(server.dsn) as connection:
        assert connection.execute("select 1").fetchone() == (1,)
