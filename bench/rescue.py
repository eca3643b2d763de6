"""A reactor is killed with 50 rows running: how long until another one has them running again."""

import time

from bench.contestants import Ours
from bench.process import wait_until
from bench.stage import Server, Stage

ROUNDS = 5
ROWS = 50
WITHIN_S = 60.0

_RUNNING_BY = """
select count(*)
from ops_mission_steps as step
join ops_workers as worker on worker.id = step.claimed_by
where step.status = 'running'
  and worker.pid = %s
"""


def run(stage: Stage) -> None:
    rounds = stage.rounds(ROUNDS)
    seconds: list[float] = []
    with stage.server() as server, stage.progress("rescue", rounds) as part:
        for number in range(rounds):
            part(f"kill {number + 1}")
            seconds.append(until_running_again_s(server))
    stage.run.add("rescue", "all 50 running again", "s", seconds, better="less", bar=6.0, beyond=1.0)
    stage.run.add("rescue", "slowest of them", "s", [max(seconds)], better="less", bar=6.0)


def until_running_again_s(server: Server) -> float:
    """Seconds from SIGKILL to the last of the rows running elsewhere."""
    ours = Ours()
    with server.database(ours.install) as database, server.sql(database) as sql:

        def has_all(pid: int) -> bool:
            return sql.execute(_RUNNING_BY, (pid,)).fetchone() == (ROWS,)

        with ours.works(server, database) as first:
            first.await_ready()
            sql.execute(
                "insert into ops_mission_steps (kind) select 'bench_long' from generate_series(1, %s)",
                (ROWS,),
            )
            wait_until(lambda: has_all(first.pid), "the first reactor has all rows", within_s=20)
            with ours.works(server, database) as second:
                second.await_ready()
                time.sleep(0.5)
                killed = time.monotonic()
                first.kill()
                wait_until(lambda: has_all(second.pid), "the second reactor has all rows", within_s=WITHIN_S)
                return time.monotonic() - killed
