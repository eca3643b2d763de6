"""A password that is rotated while a reactor runs."""

from pathlib import Path

from psycopg.conninfo import make_conninfo

from tests.engine.support import Session, insert, until_status
from tests.support.daemon import daemon
from tests.support.server import PrivateServer


async def test_a_rotated_password_is_read_again_when_the_reactor_must_connect_anew(
    server: PrivateServer, database: str, sql: Session, tmp_path: Path
) -> None:
    secret = tmp_path / "address"

    def write(password: str) -> None:
        address = make_conninfo(database, host="127.0.0.1", user="rotating", password=password)
        secret.write_text(address + "\n")

    sql.execute("create role rotating superuser login password 'the first'")
    try:
        write("the first")
        with daemon("mission", DATABASE_URL_FILE=str(secret)) as reactor:
            await reactor.until_ready()
            sql.execute("alter role rotating password 'the second'")
            await until_status(sql, insert(sql), "succeeded", within_s=20)  # what stands, stands
            sql.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'rotating'")
            await reactor.until_logged("not_listening")
            left = insert(sql)
            await reactor.until(lambda: "password" in (server.log_path.read_text()), 20)
            write("the second")
            await reactor.until_logged("listening_again")
            await until_status(sql, left, "succeeded", within_s=20)
            await until_status(sql, insert(sql), "succeeded", within_s=20)
            assert len(reactor.log("not_listening", "listening_again")) == 2
            assert "the second" not in reactor.errors()
    finally:
        sql.execute("reassign owned by rotating to current_user")
        sql.execute("drop role rotating")
