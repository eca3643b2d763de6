"""A data directory of an older PostgreSQL carried over to the present one, the old one kept. Everything here blocks.

The old server is started on its own data once more, a new cluster is made beside it (``base/carrying``), and everything is
read from the one into the other with the present pg_dump; the rows of every table are counted on both sides. Only then do
the directories change places::

    base/data          →  base/data.16       the old one, untouched but for having been started
    base/carrying/data →  base/data.carried  complete, and on the disk
    base/data.carried  →  base/data

Interrupted before the first of these, the next start begins anew; after it, the next start finishes.
"""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from reactor.errors import ConfigurationError, EmbeddedServerError
from reactor.pg.embedded.binaries import Binaries
from reactor.pg.embedded.cluster import DATABASE, SUPERUSER, Cluster, Postmaster

Say = Callable[[str], None]

_NEW_IN = {"io_method": 18}  # settings that older servers do not know
_PIECE_TIMEOUT_S = 3600.0
_COUNTS = """
select format(
  'select %L, count(*) from %I.%I',
  schema.nspname || '.' || class.relname, schema.nspname, class.relname
)
from pg_class as class
join pg_namespace as schema on schema.oid = class.relnamespace
where class.relkind = 'r'
  and schema.nspname not in ('pg_catalog', 'information_schema')
order by 1 \\gexec
"""
# The transactions events were written in mean nothing on the new server.
_SETTLE = """
do $$
begin
  if to_regclass('public.ops_agent_events') is not null then
    update public.ops_agent_events set xact = pg_current_xact_id() where xact > pg_current_xact_id();
  end if;
end
$$
"""


def made_by(data: Path) -> int | None:
    """The major version whose data these are; None when there are none."""
    try:
        return int((data / "PG_VERSION").read_text().strip())
    except (FileNotFoundError, ValueError):
        return None


def carry_over(cluster: Cluster, old_binaries: Callable[[int], Binaries], say: Say) -> None:
    """The data of ``cluster`` are of its own major version; older ones were carried over and are kept beside.

    Only in one's turn. ``old_binaries`` finds the programs of a major version, or raises EmbeddedServerError.

    Raises: ConfigurationError: they cannot be carried over here, because they are of a newer version, of one whose programs
        are missing, or in use by another release. EmbeddedServerError: it went wrong. Either way nothing has changed.
    """
    carried = cluster.base / "data.carried"
    if carried.exists() and not cluster.data.exists():
        carried.rename(cluster.data)
    there, ours = made_by(cluster.data), cluster.binaries.major
    if there is None or there == ours:
        return
    old = _old_cluster(cluster, there, old_binaries)
    work = cluster.base / "carrying"
    new = replace(cluster, base=work, sockets=work / "socket")
    if cluster.sockets.parent != cluster.base:  # its path would be too long there, so it would be here
        new = replace(new, sockets=cluster.sockets.with_name(f"{cluster.sockets.name}-new"))
    if work.exists():  # an attempt that was killed, perhaps with both servers up
        new.stop()
        old.stop()
    if cluster.look() is not None:
        raise ConfigurationError(
            f"the database in {cluster.data} is in use by a release that runs PostgreSQL {there}, and this one runs"
            f" {ours}: stop that one, then start again"
        )
    say(f"carrying the database over from PostgreSQL {there} to {ours}; this takes a moment")
    shutil.rmtree(work, ignore_errors=True)
    shutil.rmtree(carried, ignore_errors=True)
    try:
        work.mkdir(mode=0o711)
        work.chmod(0o711)
        new.initialise()
        with _running(old) as source, _running(new) as target:
            _pour(cluster.binaries, source, target)
        (work / "data").rename(carried)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    kept = _free_name(cluster.base / f"data.{there}")
    cluster.data.rename(kept)
    carried.rename(cluster.data)
    say(
        f"the database is PostgreSQL {ours} now; the old data are kept in {kept}: remove them when all is well"
    )


def _old_cluster(cluster: Cluster, there: int, old_binaries: Callable[[int], Binaries]) -> Cluster:
    ours = cluster.binaries.major
    what = f"the database in {cluster.data} was made by PostgreSQL {there}, and this release runs {ours}"
    if there > ours:
        raise ConfigurationError(f"{what}: install the newer voxyz-reactor, or move {cluster.base} away")
    try:
        binaries = old_binaries(there)
    except (EmbeddedServerError, KeyError):
        raise ConfigurationError(
            f"{what}: dump it with the release that made it, or move {cluster.base} away to start anew"
        ) from None
    settings = {name: value for name, value in cluster.settings.items() if _NEW_IN.get(name, 0) <= there}
    return replace(cluster, binaries=binaries, settings=settings)


@contextmanager
def _running(cluster: Cluster) -> Iterator[Postmaster]:
    try:
        yield cluster.start()
    finally:
        cluster.stop()


def _pour(binaries: Binaries, source: Postmaster, target: Postmaster) -> None:
    """Roles and databases of the source are in the target, with as many rows in every table."""
    # The superuser exists already: the one error that is none.
    roles = _told(binaries, "pg_dumpall", "--roles-only", f"--dbname={source.dsn('postgres')}")
    skipped = f"CREATE ROLE {SUPERUSER};"
    _told(
        binaries, "psql", *_STRICT, target.dsn("postgres"),
        stdin="\n".join(line for line in roles.splitlines() if line != skipped),
    )  # fmt: skip
    names = _told(
        binaries, "psql", *_STRICT, source.dsn("postgres"),
        stdin="select datname from pg_database where not datistemplate and datname <> 'postgres' order by 1",
    ).split()  # fmt: skip
    for name in names:
        if name != DATABASE:
            quoted = name.replace('"', '""')
            _told(binaries, "psql", *_STRICT, target.dsn("postgres"), stdin=f'create database "{quoted}"')
        _pour_one(binaries, source.dsn(name), target.dsn(name))


_STRICT = ("-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-d")


def _pour_one(binaries: Binaries, source: str, target: str) -> None:
    dump = subprocess.Popen(
        [binaries.program("pg_dump"), f"--dbname={source}"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        filled = subprocess.run(
            [binaries.program("psql"), "-1", *_STRICT, target],
            stdin=dump.stdout,
            capture_output=True,
            text=True,
            timeout=_PIECE_TIMEOUT_S,
            check=False,
        )
        _, said = dump.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        raise EmbeddedServerError("the database could not be carried over: it took over an hour") from None
    finally:
        dump.kill()
    if dump.returncode != 0 or filled.returncode != 0:
        words = (said.decode(errors="replace") + filled.stderr).strip().splitlines() or ["it said nothing"]
        raise EmbeddedServerError(f"the database could not be carried over: {words[-1]}")
    _told(binaries, "psql", *_STRICT, target, stdin=_SETTLE)
    before, after = (_told(binaries, "psql", *_STRICT, dsn, stdin=_COUNTS) for dsn in (source, target))
    if before != after:
        raise EmbeddedServerError("the database could not be carried over: its tables have other counts then")


def _told(binaries: Binaries, program: str, *arguments: str, stdin: str = "") -> str:
    try:
        done = subprocess.run(
            [binaries.program(program), *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=_PIECE_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EmbeddedServerError(f"the database could not be carried over: {program}: {error}") from error
    if done.returncode != 0:
        words = done.stderr.strip().splitlines() or ["it said nothing"]
        raise EmbeddedServerError(f"the database could not be carried over: {words[-1]}")
    return done.stdout


def _free_name(wanted: Path) -> Path:
    """``wanted``, or with a number behind it when that is taken."""
    name, number = wanted, 1
    while name.exists():
        number += 1
        name = wanted.with_name(f"{wanted.name}-{number}")
    return name
