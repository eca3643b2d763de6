"""What nothing costs: reactors and peers with empty queues, side by side, each set in a database of its own."""

import re
import time
from contextlib import ExitStack
from dataclasses import dataclass, field

from bench.contestants import Contestant, Ours
from bench.figures import OURS
from bench.peers import DEFAULTS, present
from bench.process import Contender
from bench.stage import Server, Sql, Stage

SECONDS = 60.0
SETTLE_S = 6.0
LOOK_S = 0.2
_STATEMENT = re.compile(r"^\S+ \S+ \S+ \[\d+\] (\S+) .*?: LOG:  (?:statement|execute [^:]*): ", re.MULTILINE)


@dataclass
class Watched:
    """Some idle processes on one database."""

    name: str
    database: str
    processes: list[Contender]
    cpu_before_s: float = 0.0
    oldest_snapshot_s: float = 0.0
    peak_mb: list[float] = field(default_factory=list)


def run(stage: Stage) -> None:
    seconds = float(stage.amount(int(SECONDS), 5))
    crews: list[tuple[str, Contestant, int]] = [(OURS, Ours(), 1), (f"{OURS}, three of them", Ours(), 3)]
    crews += [(peer.name, peer, 1) for peer in present(stage, *DEFAULTS)]
    with stage.server() as server, stage.progress("idle", 3) as part, ExitStack() as stack:
        part("starting everybody")
        watched = [_started(stack, server, *crew) for crew in crews]
        time.sleep(SETTLE_S if not stage.quick else 1.0)
        part(f"watching for {seconds:.0f} s")
        statements = _watch(stack.enter_context(server.sql()), server, watched, seconds)
        part("counting")
        calls = _llm_calls(server, watched[0].database)
        for one in watched:
            _tell(stage, one, statements.get(one.database, 0), seconds)
    stage.run.add("idle", "LLM calls", "", [calls], better="less", bar=0)


def _started(stack: ExitStack, server: Server, name: str, contestant: Contestant, count: int) -> Watched:
    database = stack.enter_context(server.database(contestant.install))
    processes = [stack.enter_context(contestant.works(server, database)) for _ in range(count)]
    for process in processes:
        process.await_ready()
    return Watched(name, database, processes)


def _watch(admin: Sql, server: Server, watched: list[Watched], seconds: float) -> dict[str, int]:
    """How many statements each database was asked in so many seconds, with what the processes used meanwhile."""
    admin.execute("alter system set log_statement = 'all'")
    admin.execute("select pg_reload_conf()")
    time.sleep(0.5)
    by_database = {one.database: one for one in watched}
    for one in watched:
        one.cpu_before_s = sum(process.cpu_s() for process in one.processes)
    begin = server.log.stat().st_size
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for database, age_s in admin.execute(_SNAPSHOTS).fetchall():
            if database in by_database:
                one = by_database[database]
                one.oldest_snapshot_s = max(one.oldest_snapshot_s, age_s)
        time.sleep(LOOK_S)
    text = server.log.read_text(errors="replace")[begin:]
    admin.execute("alter system reset log_statement")
    admin.execute("select pg_reload_conf()")
    counts: dict[str, int] = {}
    for database in _STATEMENT.findall(text):
        counts[database] = counts.get(database, 0) + 1
    return counts


_SNAPSHOTS = """
select activity.datname, max(extract(epoch from clock_timestamp() - activity.xact_start))::float8
from pg_stat_activity as activity
where activity.backend_type = 'client backend'
  and activity.backend_xmin is not null
  and activity.pid <> pg_backend_pid()
group by activity.datname
"""


def _tell(stage: Stage, one: Watched, statements: int, seconds: float) -> None:
    count = len(one.processes)
    ours = one.name.startswith(OURS)
    cpu_s = sum(process.cpu_s() for process in one.processes) - one.cpu_before_s
    most_mb = max(process.rss_mb() for process in one.processes)
    for what, unit, value, bar in (
        ("statements", "/s each", statements / seconds / count, 0.5),
        ("processor", "% of a core each", cpu_s / seconds / count * 100, 0.5),
        ("memory", "MB each", most_mb, 120.0),
        ("oldest snapshot", "s", one.oldest_snapshot_s, 1.0),
    ):
        stage.run.add("idle", what, unit, [value], who=one.name, better="less", bar=bar if ours else None)


def _llm_calls(server: Server, database: str) -> int:
    """Rows in the ledger of calls."""
    with server.sql(database) as sql:
        [(ledger,)] = sql.execute("select to_regclass('ops_llm_calls')").fetchall()
        if ledger is None:
            return 0
        [(calls,)] = sql.execute("select count(*) from ops_llm_calls").fetchall()
    return int(calls)
