"""A process that is only cut off from its database: it stops in time, or is fenced out; and it comes back by itself."""

import os
import signal
import sys
from collections.abc import Collection
from uuid import UUID

import pytest
import trio

from reactor.engine.rescuer import Rescuer
from reactor.engine.wake import Via
from reactor.model.outcomes import Done, Outcome
from reactor.model.queues import Queue
from reactor.store.claimed import ClaimedRow
from tests.engine.proxy import proxy_to
from tests.engine.support import (
    Memory,
    Session,
    columns,
    insert,
    reactor_on,
    scalar,
    settled,
    status,
    until_none_unfinished,
    until_status,
    woken,
)
from tests.engine.test_crashes import until_running, victim
from tests.engine.test_in_doubt import through
from tests.support.server import PrivateServer
from tests.support.waiting import until

FINISHED = "select count(*) from ops_agent_events where kind = 'step_succeeded' and metadata ->> 'step_id' = %s::text"
WORKING = "select count(*) from ops_workers where working and pid = %s"
HOLDERS = "select array_agg(pid) from pg_locks where granted and classid = 1987014778 and objid = %s"
WAITING = "select pid from pg_locks where not granted and classid = 1987014778 and objid = %s"
TAKEN_FOR_DEAD = "select count(*) from ops_workers where id = %s and state = 'dead'"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes ten seconds takes about three: beats, deadlines, and how long to distrust what looks dead."""
    monkeypatch.setattr("reactor.engine.sweeps.BEAT_S", 0.5)
    monkeypatch.setattr("reactor.engine.lifeline.ANSWER_WITHIN_S", 2.0)


async def test_a_process_on_a_silent_line_stops_its_handlers_before_anybody_takes_their_rows(
    server: PrivateServer, database: str, sql: Session, impatient: None
) -> None:
    mute, peer = Memory(_for_ever), Memory()
    socket = server.cluster.sockets / f".s.PGSQL.{server.port}"
    async with proxy_to(socket) as proxy, reactor_on(through(database, proxy), mute) as cut_off:
        id = insert(sql)
        await until(lambda: mute.began_ids == [id], within_s=20)
        proxy.refusing = True
        proxy.swallow()
        await until(lambda: mute.cancelled == [id], within_s=20)
        async with reactor_on(database, peer, asleep=False):
            assert (status(sql, id), peer.began_ids) == ("running", [])  # its sessions stand: nobody may
            await proxy.give_up()
            await until_status(sql, id, "succeeded", within_s=20)
            proxy.refusing = False
            await until(lambda: cut_off.listener.up, within_s=20)
            await until(lambda: cut_off.lines[Queue.MISSION].completer.fenced_out == 1, within_s=20)
    assert peer.began_ids == [id]
    assert columns(sql, id, "crashes, attempt") == (1, 1)
    assert scalar(sql, FINISHED, id) == 1


async def test_a_process_whose_lines_were_cut_is_fenced_out_when_it_comes_back(
    server: PrivateServer, database: str, sql: Session
) -> None:
    go_on = trio.Event()

    async def until_told(row: ClaimedRow) -> Outcome:
        with trio.CancelScope(shield=True):  # what it does it does, whoever else does it too
            await go_on.wait()
        return Done({"by": "the first"})

    first, peer = Memory(until_told), Memory()
    socket = server.cluster.sockets / f".s.PGSQL.{server.port}"
    async with proxy_to(socket) as proxy, reactor_on(through(database, proxy), first) as cut_off:
        id = insert(sql)
        await until(lambda: first.began_ids == [id], within_s=20)
        async with reactor_on(database, peer, asleep=False):
            await until(lambda: scalar(sql, WORKING, os.getpid()) == 1)
            proxy.refusing = True
            await proxy.cut()
            await until_status(sql, id, "succeeded", within_s=20)
            assert scalar(sql, TAKEN_FOR_DEAD, cut_off.identity.id) == 1
            go_on.set()
            await until(lambda: bool(cut_off.lines[Queue.MISSION].completer.unwritten), within_s=20)
            proxy.refusing = False
            await until(lambda: cut_off.lines[Queue.MISSION].completer.fenced_out == 1, within_s=20)
            await until(lambda: scalar(sql, TAKEN_FOR_DEAD, cut_off.identity.id) == 0, within_s=20)
    assert scalar(sql, FINISHED, id) == 1
    assert columns(sql, id, "result, crashes") == ({"id": id}, 1)


async def test_handlers_whose_rows_were_taken_over_are_stopped_as_soon_as_the_line_is_back(
    server: PrivateServer, database: str, sql: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reactor.engine.sweeps.BEAT_S", 1e6)
    first, peer = Memory(_for_ever), Memory()
    socket = server.cluster.sockets / f".s.PGSQL.{server.port}"
    async with proxy_to(socket) as proxy, reactor_on(through(database, proxy), first):
        id = insert(sql)
        await until(lambda: first.began_ids == [id])
        async with reactor_on(database, peer, asleep=False):
            await until_status(sql, id, "running")
            await until(lambda: scalar(sql, WORKING, os.getpid()) == 1)
            proxy.refusing = True
            await proxy.cut()
            await until_status(sql, id, "succeeded", within_s=20)
            assert first.cancelled == []  # a server that hangs up stops nobody
            proxy.refusing = False
            await until(lambda: first.cancelled == [id], within_s=20)
    assert scalar(sql, FINISHED, id) == 1


async def test_lines_cut_and_back_at_once_make_nobody_dead(
    server: PrivateServer, database: str, sql: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "reactor.engine.rescuer.LOOK_TWICE_S", 2.0
    )  # a busy machine needs longer to connect again
    gate = trio.Event()

    async def wait(row: ClaimedRow) -> Outcome:
        await gate.wait()
        return Done()

    slow, peer = Memory(wait), Memory()
    socket = server.cluster.sockets / f".s.PGSQL.{server.port}"
    async with proxy_to(socket) as proxy, reactor_on(through(database, proxy), slow) as cut_off:
        cut: set[int] = set()

        def back() -> set[int]:
            """Connections that hold the lock, and were not cut yet."""
            return set(scalar(sql, HOLDERS, cut_off.plan.liveness_key) or ()) - cut

        id = insert(sql)
        await until(lambda: slow.began_ids == [id], within_s=20)
        async with reactor_on(database, peer):
            for _ in range(5):
                cut |= back()
                await proxy.cut()
                await until(lambda: bool(back()), within_s=20)
            await trio.sleep(3.0)  # whoever looked has looked twice
            gate.set()
            await until_status(sql, id, "succeeded", within_s=20)
    assert (slow.began_ids, peer.began_ids) == ([id], [])
    assert columns(sql, id, "crashes, attempt") == (0, 1)


async def test_who_is_back_before_a_peer_has_looked_twice_is_not_dead(
    server: PrivateServer, database: str, sql: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "reactor.engine.rescuer.LOOK_TWICE_S", 6.0
    )  # refused, it tries again every two seconds
    looked, gate, found_dead = trio.Event(), trio.Event(), Rescuer.found_dead

    async def noticed(rescuer: Rescuer, dead: Collection[UUID]) -> None:
        looked.set()
        await found_dead(rescuer, dead)

    async def wait(row: ClaimedRow) -> Outcome:
        await gate.wait()
        return Done()

    monkeypatch.setattr(Rescuer, "found_dead", noticed)
    slow, peer = Memory(wait), Memory()
    socket = server.cluster.sockets / f".s.PGSQL.{server.port}"
    async with proxy_to(socket) as proxy, reactor_on(through(database, proxy), slow):
        id = insert(sql)
        await until(lambda: slow.began_ids == [id], within_s=20)
        async with reactor_on(database, peer):
            proxy.refusing = True
            await proxy.cut()
            with trio.fail_after(20):
                await looked.wait()
            proxy.refusing = False
            await trio.sleep(7.0)  # the second look is over
            gate.set()
            await until_status(sql, id, "succeeded", within_s=20)
    assert (slow.began_ids, peer.began_ids) == ([id], [])
    assert columns(sql, id, "crashes, attempt") == (0, 1)


async def test_a_process_whose_liveness_lock_is_kept_from_it_waits_for_it_and_lives_on(
    database: str, sql: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reactor.engine.connections.LIVENESS_WITHIN_S", 0.2)
    memory = Memory()
    async with reactor_on(database, memory) as reactor:
        key = reactor.identity.liveness_key
        ended = (
            "select count(pg_terminate_backend(pid, 5000)) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid()"
        )
        with trio.fail_after(20):
            while not scalar(sql, "select pg_try_advisory_lock(1987014778, %s)", key):
                scalar(sql, ended)
                await trio.lowlevel.checkpoint()
        waiting: set[int] = set()
        with trio.fail_after(30):
            while len(waiting) < 4:  # one after another gives up, and the next one tries
                waiting |= {pid for (pid,) in sql.execute(WAITING, (key,))}
                await trio.sleep(0.01)
        id = insert(sql)
        sql.execute("select pg_advisory_unlock_all()")
        await until_status(sql, id, "succeeded")
        await settled(reactor)


@pytest.mark.chaos
async def test_who_has_lost_all_its_lines_rescues_nobody_for_ten_seconds(
    server: PrivateServer, database: str, sql: Session
) -> None:
    peer = Memory(known=("other",))
    socket = server.cluster.sockets / f".s.PGSQL.{server.port}"
    with victim(database, "other", 600) as process:
        id = insert(sql, "other")
        await until(lambda: scalar(sql, WORKING, process.pid) == 1, within_s=20)
        async with proxy_to(socket) as proxy, reactor_on(through(database, proxy), peer) as reactor:
            proxy.refusing = True
            await proxy.cut()
            process.kill()
            await until(lambda: not reactor.listener.up, within_s=20)
            back_at = trio.current_time()  # at the earliest
            proxy.refusing = False
            await until(lambda: peer.began_ids == [id], within_s=60)
            waited_s = trio.current_time() - back_at
            await until_status(sql, id, "succeeded")
    assert waited_s >= 10
    assert columns(sql, id, "crashes, attempt") == (1, 1)
    sys.stdout.write(
        f"a dead peer's row was left alone for {waited_s:.1f} s by one who had lost all its own lines\n"
    )


async def test_a_frozen_process_is_given_up_by_its_heartbeat_and_fenced_out_when_it_thaws(
    database: str, sql: Session, impatient: None
) -> None:
    id = insert(sql, "slow")
    with victim(database, "slow", 3) as process:
        until_running(sql, 1)
        process.send_signal(signal.SIGSTOP)
        token = columns(sql, id, "claim_token")
        peer = Memory(_for_ever, known=("slow",))
        async with reactor_on(database, peer, asleep=False):
            sql.execute(
                "update ops_workers set heartbeat_at = ops_now() - interval '61 seconds' where pid = %s",
                (process.pid,),
            )
            await until(lambda: peer.began_ids == [id], within_s=20)
            assert columns(sql, id, "claim_token") != token
            process.send_signal(signal.SIGCONT)
            thawed = "select count(*) from ops_workers where pid = %s and state = 'ready'"
            await until(lambda: scalar(sql, thawed, process.pid) == 1, within_s=20)
            peer.known = ()
            later = insert(sql, "slow")  # by then the thawed one has done with its first row, in vain
            await until_status(sql, later, "succeeded", within_s=20)
            assert (status(sql, id), scalar(sql, FINISHED, id)) == ("running", 0)


async def test_a_line_that_swallows_everything_is_left_for_a_new_one_and_rings_are_heard_again(
    server: PrivateServer, database: str, sql: Session, impatient: None
) -> None:
    memory = Memory()
    socket = server.cluster.sockets / f".s.PGSQL.{server.port}"
    async with proxy_to(socket) as proxy, reactor_on(through(database, proxy), memory) as reactor:
        mute = reactor.listener.conn
        proxy.swallow()
        lost = insert(sql)
        await until(lambda: reactor.listener.conn not in (None, mute), within_s=20)
        await until_status(sql, lost, "succeeded", within_s=20)
        await settled(reactor, within_s=20)
        rung = woken(reactor, Via.BELL)
        await until_status(sql, insert(sql), "succeeded", within_s=20)
        assert woken(reactor, Via.BELL) == rung + 1


async def test_a_bell_on_a_line_that_swallows_everything_is_given_up(
    server: PrivateServer, database: str, sql: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reactor.engine.doorbell.ANSWER_WITHIN_S", 0.5)
    monkeypatch.setattr("reactor.engine.doorbell.UNLOCK_WITHIN_S", 0.5)
    memory = Memory()
    socket = server.cluster.sockets / f".s.PGSQL.{server.port}"
    async with proxy_to(socket) as proxy, reactor_on(through(database, proxy), memory) as reactor:
        bell = reactor.lines[Queue.MISSION].bell
        assert bell.held
        proxy.judge = lambda data: "swallow" if b"pg_advisory" in data else None
        await until_status(sql, insert(sql), "succeeded", within_s=20)  # it lets go, and is not answered
        sql.execute("insert into ops_mission_steps (kind) select 'noop' from generate_series(1, 20)")
        proxy.judge = lambda data: None
        await until_none_unfinished(sql, within_s=20)
        await settled(reactor, within_s=20)
        assert bell.held


async def test_completions_on_a_line_that_swallows_them_are_looked_up_and_written_on_another(
    server: PrivateServer, database: str, sql: Session, impatient: None
) -> None:
    memory = Memory()
    socket = server.cluster.sockets / f".s.PGSQL.{server.port}"
    async with proxy_to(socket) as proxy, reactor_on(through(database, proxy), memory) as reactor:

        def swallow_from_here(data: bytes) -> None:
            if b"step_succeeded" in data:
                proxy.judge = lambda data: None
                proxy.swallow()

        proxy.judge = swallow_from_here
        id = insert(sql)
        await until_status(sql, id, "succeeded", within_s=20)
        await settled(reactor, within_s=20)
    assert memory.began_ids == [id]
    assert columns(sql, id, "attempt, crashes") == (1, 0)
    assert scalar(sql, FINISHED, id) == 1


async def _for_ever(row: ClaimedRow) -> Outcome:
    await trio.sleep_forever()
