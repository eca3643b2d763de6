"""How long a reactor is deaf: its listener terminated by the server, or on a network that swallows packets.

One row is inserted every 20 ms all the while, each a commit. Deaf is the time from the blow to the first row whose handler
is entered after it; all rows of that time are late, none may be lost.
"""

import time
from collections.abc import Callable

from bench.contestants import Ours
from bench.process import Contender, wait_until
from bench.proxy import proxy_to
from bench.stage import Server, Sql, Stage

ROUNDS = 5
GAP_S = 0.020
BEFORE = 50  # rows before the blow, and in every round one second more of them: no two meet the same moment of a beat
AFTER_S = 3.0  # rows go on for so long after the first that is handled again
WITHIN_S = 40.0
LATE_S = 0.1

_TERMINATE = """
select pg_terminate_backend(activity.pid)
from pg_stat_activity as activity
where activity.application_name = 'voxyz-reactor listener'
"""


def run(stage: Stage) -> None:
    rounds = stage.rounds(ROUNDS)
    with stage.server() as server, stage.progress("listener", 2 * rounds) as part:
        for what, bar, blow in (("terminated", 1.0, _terminated), ("packets swallowed", 10.0, _swallowed)):
            seen = []
            for number in range(rounds):
                part(f"{what} {number + 1}")
                seen.append(blow(server, BEFORE + int(number / GAP_S)))
            deaf = [one for one, _, _ in seen]
            stage.run.add("listener", f"{what}: hears again", "s", deaf, better="less", bar=bar)
            stage.run.add("listener", f"{what}: slowest", "s", [max(deaf)], better="less", bar=bar)
            late = [float(one) for _, one, _ in seen]
            stage.run.add("listener", f"{what}: rows late", "", late, better="less")
            lost = sum(one for _, _, one in seen)
            stage.run.add("listener", f"{what}: rows lost", "", [lost], better="less", bar=0)


def _terminated(server: Server, before: int) -> tuple[float, int, int]:
    ours = Ours()
    with (
        server.database(ours.install) as database,
        ours.works(server, database) as running,
        server.sql(database) as sql,
    ):
        return _deaf(running, sql, before, lambda: sql.execute(_TERMINATE))


def _swallowed(server: Server, before: int) -> tuple[float, int, int]:
    with proxy_to(server.sockets / f".s.PGSQL.{server.port}") as proxy:
        address = f"postgresql://voxyz@127.0.0.1:{proxy.port}"
        ours = Ours()
        with server.database(ours.install) as database, server.sql(database) as sql:
            through = Ours(settings={"DATABASE_URL": f"{address}/{database}"})
            with through.works(server, database) as running:
                return _deaf(running, sql, before, proxy.swallow)


def _deaf(running: Contender, sql: Sql, before: int, blow: Callable[[], object]) -> tuple[float, int, int]:
    """Seconds until a handler is entered again after the blow, rows that were late, rows that were lost."""
    running.await_ready()
    inserted = _insert(sql, lambda count: count < before)
    wait_until(lambda: len(running.marks()) >= before, "the rows before the blow", within_s=WITHIN_S)
    struck_at = time.monotonic_ns()
    blow()

    def first_after() -> int | None:
        return min((entered for entered, _ in running.marks() if entered > struck_at), default=None)

    until = time.monotonic() + WITHIN_S
    heard: float | None = None

    def go_on(count: int) -> bool:
        nonlocal heard
        if heard is None and count % 5 == 0 and first_after() is not None:
            heard = time.monotonic()
        return time.monotonic() < (until if heard is None else heard + AFTER_S)

    inserted += _insert(sql, go_on)
    wait_until(lambda: len(running.marks()) >= inserted, "the rows after the blow", within_s=WITHIN_S)
    first = first_after()
    assert first is not None
    late = sum(1 for entered, at in running.marks() if at and (entered - at) / 1e9 > LATE_S)
    return (first - struck_at) / 1e9, late, inserted - len({at for _, at in running.marks()})


def _insert(sql: Sql, more: Callable[[int], bool]) -> int:
    """One row every 20 ms while ``more`` says so; returns how many."""
    count, next_at = 0, time.monotonic()
    while more(count):
        sql.execute(Ours().sql.insert, (time.monotonic_ns(),), prepare=True)
        count += 1
        next_at += GAP_S
        time.sleep(max(0.0, next_at - time.monotonic()))
    return count
