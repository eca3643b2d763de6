"""``export``, ``import`` and ``copy``: a whole voxyz to files and back, or into another database."""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path

import click
import trio

from reactor.cli.output import say
from reactor.cli.runtime import database, run
from reactor.errors import UsageError
from reactor.pg import connect, moving, redact
from reactor.pg.migrations import migrate
from reactor.settings import Settings
from reactor.store import fleet

LIVE = "this database: what they write from now on stays behind; stop them first, or say --live"
FILLED = "the database that is to be filled: stop them first"


def _moment(value: str) -> datetime:
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is no date; they look like 2026-01-31") from None
    return moment if moment.tzinfo else moment.astimezone()


@click.command("export", short_help="every table into files")
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@click.option("--before", type=_moment, help="An archive: only what was over before this date.")
def export_command(directory: Path, before: datetime | None) -> None:
    """Write every table into DIRECTORY, one gzipped CSV each, as of one moment; `import` reads them back.

    Begun again with the same directory it goes on where it was interrupted. The files hold all that the database holds.
    """

    async def exported(settings: Settings) -> dict[str, int]:
        async with database(settings, start=True) as place:
            return await _in_thread(partial(moving.export, place.dsn, directory, before=before, say=say))

    _tell("exported", run(exported, Settings.load()), directory)


@click.command("import", short_help="files of `export` into a new database")
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
def import_command(directory: Path) -> None:
    """Fill the database in use with what `export` wrote into DIRECTORY; all of it or nothing.

    The database must be new: nobody has worked in it. What was set up in it (agents, hours, formats, slots, rules, kinds,
    policies, breakers, relationships) gives way to what comes under the same name and stays otherwise; both are said.
    """

    async def imported(settings: Settings) -> dict[str, int]:
        async with database(settings, create=True) as place:
            await migrate(place.direct_dsn)
            await _refuse_live(place.direct_dsn, FILLED)
            return await _in_thread(partial(moving.load, place.direct_dsn, directory, say=say))

    _tell("imported", run(imported, Settings.load()), directory)


@click.command("copy", short_help="the whole database into another one")
@click.option(
    "--to",
    "target",
    metavar="URL",
    envvar="COPY_TO",
    required=True,
    help="The database to fill, which must be new; also as COPY_TO, which nobody sees in a list of processes.",
)
@click.option("--live", is_flag=True, help="Copy although reactors run: the moment the copy begins.")
def copy_command(target: str, live: bool) -> None:
    """Copy every row into the database at URL and check the counts; all of it or nothing.

    So an embedded database moves to a server or to Supabase: stop the reactor, copy, set DATABASE_URL. The target must
    be new; what was set up in it is merged as by `import`.
    """

    async def copied(settings: Settings) -> dict[str, int]:
        async with database(settings, start=True) as place:
            if not live:
                await _refuse_live(place.dsn, LIVE)
            await migrate(place.direct_dsn)
            await migrate(target)
            await _refuse_live(target, FILLED)
            return await _in_thread(partial(moving.copy, place.direct_dsn, target, say=say))

    _tell("copied", run(copied, Settings.load()), redact(target))
    say("set DATABASE_URL to it from now on")


async def _refuse_live(dsn: str, why: str) -> None:
    conn = await connect(dsn, name="copy")
    try:
        live = [one for one in await fleet.fleet(conn) if one.live]
    finally:
        await conn.aclose()
    if live:
        number = "a reactor runs" if len(live) == 1 else f"{len(live)} reactors run"
        raise UsageError(f"{number} on {why}")


async def _in_thread(move: Callable[[], dict[str, int]]) -> dict[str, int]:
    return await trio.to_thread.run_sync(move, abandon_on_cancel=True)


def _tell(done: str, rows: dict[str, int], where: object) -> None:
    say(f"{done}: {sum(rows.values())} rows of {len(rows)} tables, {where}")
