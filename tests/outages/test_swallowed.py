"""A network that loses every packet, with the time limits of the kernel and the server as they are."""

import sys
import time
from collections.abc import Iterator

import psycopg
import pytest
import trio
from psycopg.conninfo import make_conninfo

from reactor.model.outcomes import Outcome
from reactor.pg.migrations import migrate
from reactor.store.claimed import ClaimedRow
from tests.engine.support import Memory, columns, insert, reactor_on, until_status
from tests.support.daemon import daemon
from tests.support.namespace import Namespace, NoNamespacesError, namespace
from tests.support.server import HURRIED_SETTINGS, PrivateServer, chosen_binaries, private_server
from tests.support.waiting import until

pytestmark = pytest.mark.chaos

KINDS = """
import pathlib

import trio

from reactor.handlers import Step, step_kind


@step_kind("long")
async def long(step: Step) -> None:
    pathlib.Path("began").touch()
    try:
        await trio.sleep(600)
    finally:
        pathlib.Path("stopped").touch()
"""


@pytest.fixture
def apart() -> Iterator[Namespace]:
    try:
        with namespace() as made:
            yield made
    except NoNamespacesError as error:
        pytest.skip(f"A NETWORK THAT LOSES PACKETS IS NOT TESTED: no network namespaces here ({error})")


@pytest.fixture
def reachable() -> Iterator[PrivateServer]:
    """A server that listens on every address of this machine."""
    with private_server(chosen_binaries(), {**HURRIED_SETTINGS, "listen_addresses": "*"}) as server:
        with (server.data_dir / "pg_hba.conf").open("a") as rules:
            rules.write("host all all 10.0.0.0/8 scram-sha-256\n")
        server.run("select pg_reload_conf()")
        yield server


async def test_handlers_stop_before_a_peer_begins_their_rows_and_the_line_comes_back_by_itself(
    apart: Namespace, reachable: PrivateServer
) -> None:
    await migrate(reachable.dsn)
    far = make_conninfo(
        host=apart.here, port=reachable.port, user="voxyz", password=reachable.password, dbname="voxyz"
    )
    peer = Memory(_for_ever, known=("long",))
    with (
        daemon("mission", kinds=KINDS, under=apart.inside, DATABASE_URL=far) as reactor,
        psycopg.connect(reachable.dsn, autocommit=True) as sql,
    ):
        await reactor.until_ready()
        id = insert(sql, "long")
        await reactor.until(lambda: (reactor.folder / "began").exists())
        async with reactor_on(reachable.dsn, peer, asleep=False):
            apart.swallow()
            swallowed_at = time.time()
            await until(lambda: peer.began_ids == [id], within_s=60)
            stopped_at = (reactor.folder / "stopped").stat().st_mtime
            assert stopped_at < peer.began_at[id]
            apart.heal()
            healed_at = time.time()
            await reactor.until_logged("listening_again")
            back_s = time.time() - healed_at
            await until_status(sql, insert(sql, "noop"), "succeeded", within_s=20)
            assert columns(sql, id, "status, crashes, attempt") == ("running", 1, 1)
        said = [line["event"] for line in reactor.log("not_listening", "cut_off", "listening_again")]
        assert sorted(said[:-1]) == ["cut_off", "not_listening"]
        assert said[-1] == "listening_again"
    sys.stdout.write(
        f"packets lost: handlers stopped after {stopped_at - swallowed_at:.1f} s, the peer began the row after"
        f" {peer.began_at[id] - swallowed_at:.1f} s; heard again {back_s:.1f} s after the network was back\n"
    )


async def _for_ever(row: ClaimedRow) -> Outcome:
    await trio.sleep_forever()
