"""PostgreSQL's own load generator: what writers do, and what our claims and completions cost without a reactor."""

import os
import re
import subprocess
import tempfile
import uuid
from pathlib import Path

from bench.process import BenchError
from bench.stage import Server, Sql, install_ours
from reactor.engine.connections import PINNED_PLANS
from reactor.store.named import statements

BATCH = 300  # rows, about what the reactor claims at once
CLIENTS = (1, 2, 4)
_TPS = re.compile(r"^tps = ([\d.]+) \(without initial connection time\)", re.MULTILINE)
_DONE = re.compile(r"^number of transactions actually processed: (\d+)", re.MULTILINE)


def tps(
    server: Server, database: str, script: str, *arguments: str, within_s: float, options: str = ""
) -> tuple[float, int]:
    """Transactions a second of a script, connecting left out, and how many there were.

    Raises: BenchError: pgbench failed; its last words.
    """
    with tempfile.TemporaryDirectory(prefix="bench-pgbench-") as scratch:
        path = Path(scratch) / "script.sql"
        path.write_text(script)
        command = [server.program("pgbench"), "-n", "-M", "prepared", "-f", str(path), *arguments]
        done = subprocess.run(
            [*command, server.dsn(database)],
            env={**os.environ, "PGOPTIONS": options},
            capture_output=True,
            text=True,
            timeout=within_s,
        )
    speed, count = _TPS.search(done.stdout), _DONE.search(done.stdout)
    if done.returncode != 0 or speed is None or count is None:
        raise BenchError(f"pgbench: {done.stderr.strip()[-1000:]}")
    return float(speed[1]), int(count[1])


def claim_and_complete(server: Server, rows: int) -> float:
    """Rows a second that pgbench alone claims and completes with our own statements, with the best of 1, 2, 4 clients."""
    return max(_claim_and_complete(server, rows, clients) for clients in CLIENTS)


def _claim_and_complete(server: Server, rows: int, clients: int) -> float:
    with server.database(install_ours) as database, server.sql(database) as sql:
        sql.execute(
            "insert into ops_mission_steps (kind) select 'bench_noop' from generate_series(1, %s)", (rows,)
        )
        sql.execute("vacuum analyze")
        sql.execute("checkpoint")
        each = -(-rows // (BATCH * clients)) + 2  # two more: clients do not share exactly
        speed, count = tps(
            server,
            database,
            script(),
            "-c", str(clients), "-j", "1", "-t", str(each),
            "-D", "kinds={bench_noop}", "-D", f"worker={uuid.uuid4()}", "-D", f"limit={BATCH}",
            "-D", "at=-infinity", "-D", "id=0",
            within_s=120,
            options=" ".join(f"-c {name}={value}" for name, value in PINNED_PLANS.items()),
        )  # fmt: skip
        _all_done(sql, rows)
    return rows / (count / speed)


def script() -> str:
    """The reactor's own claim and completion, one batch after the other, in pgbench's language.

    The claim is wrapped to hand its ids on in one row; each goes on from where the last one stopped, as the reactor's do.
    """
    named = statements("steps")
    claim = _in_pgbench(named["claim_from"])
    claim = claim.replace(":priorities::", "'{5}'::").replace(":after_run_at::", "array[:at]::")
    claim = claim.replace(":after_id::", "array[:id]::")
    return f"""\
select gen_random_uuid() as token
\\gset
with claimed as (
{claim}
)
select
  coalesce(array_agg(claimed.id), '{{}}')::text as ids,
  coalesce(array_agg(:token::uuid) filter (where claimed.id is not null), '{{}}')::text as tokens,
  coalesce(array_agg(0.001), '{{}}')::text as waited_s,
  coalesce(array_agg(false), '{{}}')::text as simulated,
  coalesce(jsonb_agg('{{}}'::jsonb), '[]')::text as results,
  coalesce(max(claimed.run_at)::text, :at) as at,
  coalesce(max(claimed.id)::text, :id) as id
from claimed
\\gset
{_in_pgbench(named["succeed"])};
"""


def _in_pgbench(statement: str) -> str:
    return re.sub(r"%\((\w+)\)s", r":\1", statement.replace("%(agent)s", "null"))


def _all_done(sql: Sql, rows: int) -> None:
    [(done,)] = sql.execute("select count(*) from ops_mission_steps where status = 'succeeded'").fetchall()
    if done != rows:
        raise BenchError(f"pgbench finished {done} of {rows} rows")
