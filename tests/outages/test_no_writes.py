"""A server that reads but takes no writes for a while, as one whose disk is nearly full, or a primary that was demoted."""

import pytest
import trio

from reactor.model.outcomes import Done, Outcome
from reactor.model.queues import Queue
from reactor.store.claimed import ClaimedRow
from tests.engine.support import (
    Memory,
    Session,
    columns,
    dispatcher,
    insert,
    reactor_on,
    status,
    until_status,
)
from tests.support.server import PrivateServer
from tests.support.waiting import until


async def test_what_was_done_meanwhile_is_written_when_it_takes_writes_again(
    server: PrivateServer, database: str, sql: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    go_on = trio.Event()

    async def until_told(row: ClaimedRow) -> Outcome:
        await go_on.wait()
        return Done({"text": "done"})

    memory = Memory(until_told)
    later = insert(sql, run_at="2100-01-01")
    async with reactor_on(database, memory) as reactor:
        id = insert(sql)
        # Asleep again: else it might be claiming when the server takes no more writes, and say that this is refused.
        await until(lambda: memory.began_ids == [id] and dispatcher(reactor).sleeping, within_s=20)
        server.run("alter system set default_transaction_read_only = on")
        server.run("select pg_reload_conf()")
        try:
            await until(lambda: columns(sql, id, "current_setting('transaction_read_only')") == ("on",))
            go_on.set()
            said = ""
            with trio.fail_after(20):
                while "completions_delayed" not in said:
                    said += capsys.readouterr().out
                    await trio.sleep(0.01)
            assert (status(sql, id), reactor.lines[Queue.MISSION].completer.unwritten) == ("running", 1)
        finally:
            server.run("alter system reset default_transaction_read_only")
            server.run("select pg_reload_conf()")
        await until_status(sql, id, "succeeded")
        sql.execute("update ops_mission_steps set run_at = now() where id = %s", (later,))
        await until_status(sql, later, "succeeded")
    said += capsys.readouterr().out
    assert said.count("completions_delayed") == said.count("completions_go_on") == 1
    assert "refused" not in said
    assert memory.times == {id: 1, later: 1}
    assert columns(sql, id, "attempt, crashes, result") == (1, 0, {"text": "done"})
