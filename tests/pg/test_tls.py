"""TLS, on a server that has OpenSSL: the wheel's have none, a distribution's do."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
import trio

from reactor import errors
from reactor.engine.wake import Via
from reactor.pg import connect, open_listener
from reactor.pg.embedded.binaries import binaries_at
from reactor.pg.migrations import migrate
from tests.engine.support import Memory, insert, reactor_on, until_status, woken
from tests.support.server import PrivateServer, private_server


def distribution_binaries() -> Path | None:
    """The programs of an installed PostgreSQL with OpenSSL, None where there is none."""
    config = shutil.which("pg_config")
    if config is None:
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_config"))
        config = str(found[-1]) if found else None
    if config is None:
        return None
    configured = subprocess.run([config, "--configure"], capture_output=True, text=True, check=True).stdout
    bindir = subprocess.run([config, "--bindir"], capture_output=True, text=True, check=True).stdout.strip()
    has_server = (Path(bindir) / "initdb").exists()
    return Path(bindir) if has_server and "openssl" in configured else None


def openssl(*words: str | Path) -> None:
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)


@dataclass(frozen=True)
class SecureServer:
    """A server with a certificate for ``localhost``, signed by the authority in ``root``; ``stranger`` is another."""

    server: PrivateServer
    root: Path
    stranger: Path

    def dsn(self, host: str = "localhost", **options: object) -> str:
        words = " ".join(f"{key}={value}" for key, value in options.items())
        login = f"user=voxyz dbname=voxyz password={self.server.password}"
        return f"host={host} hostaddr=127.0.0.1 port={self.server.port} {login} {words}"


def authority(folder: Path, name: str) -> Path:
    key, certificate = folder / f"{name}.key", folder / f"{name}.crt"
    openssl(
        "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", f"/CN={name}",
        "-keyout", key, "-out", certificate,
    )  # fmt: skip
    return certificate


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureServer]:
    bindir = distribution_binaries()
    if bindir is None:
        pytest.skip(
            "TLS IS NOT TESTED: no PostgreSQL with OpenSSL here; install the distribution's postgresql"
        )
    folder = tmp_path_factory.mktemp("tls")
    root, stranger = authority(folder, "authority"), authority(folder, "stranger")
    request, extension = folder / "server.csr", folder / "san.cnf"
    extension.write_text("subjectAltName=DNS:localhost\n")
    openssl(
        "req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost",
        "-keyout", folder / "server.key", "-out", request,
    )  # fmt: skip
    openssl(
        "x509", "-req", "-in", request, "-CA", root, "-CAkey", root.with_suffix(".key"), "-CAcreateserial",
        "-days", "1", "-extfile", extension, "-out", folder / "server.crt",
    )  # fmt: skip
    with private_server(binaries_at(bindir)) as server:
        owner = server.data_dir.stat()
        for name in ("server.key", "server.crt"):
            copy = Path(shutil.copy(folder / name, server.data_dir / name))
            copy.chmod(0o600)
            if os.geteuid() == 0:
                os.chown(copy, owner.st_uid, owner.st_gid)
        server.run("alter system set ssl = on")
        server.restart()
        yield SecureServer(server, root, stranger)


async def test_sslmode_require_encrypts(secure: SecureServer) -> None:
    async with await connect(secure.dsn(sslmode="require"), name="tls") as connection:
        statement = "select ssl, version from pg_stat_ssl where pid = pg_backend_pid()"
        assert await connection.fetch_row(statement) in [(True, "TLSv1.3"), (True, "TLSv1.2")]


async def test_verify_full_accepts_the_right_authority_and_name(secure: SecureServer) -> None:
    dsn = secure.dsn(sslmode="verify-full", sslrootcert=secure.root)
    async with await connect(dsn, name="tls") as connection:
        assert (
            await connection.fetch_value("select ssl from pg_stat_ssl where pid = pg_backend_pid()") is True
        )


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("stranger", "certificate verify failed"),
        ("name", "server certificate for .* does not match host name"),
        ("missing", "root certificate file .* does not exist"),
    ],
)
async def test_a_wrong_authority_or_name_is_one_line_that_names_what_to_set(
    secure: SecureServer, case: str, words: str
) -> None:
    dsn = {
        "stranger": secure.dsn(sslmode="verify-full", sslrootcert=secure.stranger),
        "name": secure.dsn(host="elsewhere", sslmode="verify-full", sslrootcert=secure.root),
        "missing": secure.dsn(sslmode="verify-full", sslrootcert="/nowhere/root.crt"),
    }[case]
    with pytest.raises(errors.AccessDenied, match=f"{words}.*correct sslmode and sslrootcert") as caught:
        await connect(dsn, name="tls")
    assert "\n" not in str(caught.value)


async def test_a_wrong_password_over_tls_is_about_the_password(secure: SecureServer) -> None:
    dsn = secure.dsn().replace(secure.server.password, "wrong")
    with pytest.raises(errors.AccessDenied, match=r"password authentication failed.*; correct user"):
        await connect(dsn, name="tls")


async def test_a_server_without_tls_says_so(server: PrivateServer) -> None:
    dsn = f"{server.tcp_dsn}?sslmode=require"
    with pytest.raises(errors.AccessDenied, match="does not support SSL"):
        await connect(dsn, name="tls")


async def test_large_answers_and_parameters_pass_through_tls_whole(secure: SecureServer) -> None:
    statement = (
        "select repeat(chr(65 + n % 26), 1 + (n * 7919) % 30000) from generate_series(1, 1500) as s (n)"
    )
    async with await connect(secure.dsn(sslmode="require"), name="tls") as connection:
        with trio.fail_after(60):
            rows = await connection.fetch_all(statement)
            assert [len(text) for (text,) in rows] == [1 + (n * 7919) % 30000 for n in range(1, 1501)]
            text = "ab" * 4_000_000
            assert await connection.fetch_value("select length(%s::text)", (text,)) == len(text)


async def test_a_cancel_goes_out_over_tls_too(secure: SecureServer) -> None:
    dsn = secure.dsn(sslmode="verify-full", sslrootcert=secure.root)
    async with await connect(dsn, name="tls") as connection:
        for n in range(10):
            with trio.move_on_after(0.02) as scope:
                await connection.run("select pg_sleep(30)")
            assert scope.cancelled_caught
            assert await connection.fetch_value("select %s::int", (n,)) == n


async def test_notifications_in_bulk_are_all_heard_through_tls(secure: SecureServer) -> None:
    async with (
        await open_listener(secure.dsn(sslmode="require"), name="hear") as listener,
        await connect(secure.dsn(sslmode="require"), name="say") as connection,
    ):
        await listener.listen("wake")
        statement = "select pg_notify('wake', n || repeat('x', 7000)) from generate_series(1, 500) as s (n)"
        await connection.run(statement)
        heard = 0
        with trio.fail_after(20):
            while heard < 500:
                heard += len(await listener.next_batch())


async def test_a_reactor_rings_works_and_writes_through_tls_with_every_name_verified(
    secure: SecureServer,
) -> None:
    dsn = secure.dsn(sslmode="verify-full", sslrootcert=secure.root)
    await migrate(dsn)
    memory = Memory()
    with psycopg.connect(secure.server.dsn, autocommit=True) as sql:
        async with reactor_on(dsn, memory) as reactor:
            plain = "select count(*) from pg_stat_ssl where not ssl and pid <> pg_backend_pid()"
            assert sql.execute(f"{plain} and pid in (select pid from pg_stat_activity where"
                               " application_name like 'voxyz-reactor %')").fetchone() == (0,)  # fmt: skip
            id = insert(sql)
            await until_status(sql, id, "succeeded", within_s=20)
            assert woken(reactor, Via.BELL) == 1
