"""The database in use: migrate, url, psql; and init, which says what the company is."""

import json
import os
import shutil
import sys
from contextlib import aclosing
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click

from reactor.cli.output import clean, document, say
from reactor.cli.runtime import Database, database, run
from reactor.errors import ConfigurationError, UsageError
from reactor.pg.dsn import as_uri, compose, parse
from reactor.pg.migrations import migrate as bring_to_current
from reactor.settings import Settings
from reactor.store import control

LOGIN = (
    "the roles are there; let somebody in with: create role NAME login password '…' in role voxyz_reactor"
    " (or voxyz_writer, voxyz_reader)"
)
MOST_CHARACTERS = 2000  # of the whole description: it stands before every prompt


@click.command(short_help="bring the schema to current")
@click.option(
    "--roles", is_flag=True, help="With the roles voxyz_reactor, voxyz_writer and voxyz_reader, from now on."
)
@click.option(
    "--again", is_flag=True, help="Also make functions, triggers and views again that were made before."
)
def migrate(roles: bool, again: bool) -> None:
    """Bring the schema of the database to current; makes the embedded database when there is none.

    Safe to repeat, and when two run at once.
    """

    async def migrated(settings: Settings) -> None:
        async with database(settings, create=True) as place:
            report = await bring_to_current(place.direct_dsn, roles=roles, again=again)
        count = len(report.applied)
        if count:
            say(f"the schema is current: {count} {'file' if count == 1 else 'files'} applied")
        else:
            say(f"the schema is current: nothing to do ({report.already} files applied earlier)")
        if roles:
            say(LOGIN)

    run(migrated, Settings.load())


@click.command(short_help="the database in use, as a URI")
def url() -> None:
    """Print the URI of the database in use, with its password if it has one."""

    async def printed(settings: Settings) -> None:
        async with database(settings) as place:
            sys.stdout.write(as_uri(place.dsn) + "\n")

    run(printed, Settings.load())


@click.command(
    short_help="psql on the database in use",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[ARGS]...")
def psql(arguments: tuple[str, ...]) -> None:
    """Run psql on the database in use; ARGS are psql's own.

    For example: voxyz-reactor psql -c "insert into ops_mission_steps (kind) values ('noop')"
    """

    async def located(settings: Settings) -> tuple[str, str]:
        async with database(settings) as place:
            return _psql_program(place), place.dsn

    program, dsn = run(located, Settings.load())
    parameters = parse(dsn)
    env = dict(os.environ)
    # Anybody on the machine may read another process's arguments, not its environment.
    if (password := parameters.pop("password", None)) is not None:
        env["PGPASSWORD"] = password
    sys.stdout.flush()
    try:
        os.execve(program, [program, compose(parameters, uri=True), *arguments], env)  # noqa: S606 - no shell is wanted
    except OSError as error:
        raise ConfigurationError(f"{program} cannot be run: {error.strerror}") from None


def _psql_program(place: Database) -> str:
    """The embedded server's own psql, else the system's, else the one that comes with the embedded binaries."""
    if place.embedded is None and (found := shutil.which("psql")):
        return found
    from reactor.pg.embedded.binaries import wheel_binaries

    return wheel_binaries().program("psql")


@click.command(short_help="what the company is")
@click.option(
    "--yes",
    "-y",
    is_flag=True,
    help="Ask nothing: take what is given here, what is set already, or a default.",
)
@click.option("--name", help="What the company is called.")
@click.option("--what", help="What it is and does.")
@click.option("--customers", help="Who it is for.")
@click.option("--goal", "goals", multiple=True, help="What it wants; may be repeated.")
@click.option("--tone", help="How it speaks.")
@click.option("--never", multiple=True, help="What it never does; may be repeated.")
@click.option("--timezone", help="Where its day begins, such as Europe/Berlin.")
def init(yes: bool, **given: Any) -> None:
    """Say what the company is: its goals, its tone, its time zone. It opens every prompt of every agent.

    Makes the database when there is none. Nothing is written before the last answer.
    """
    settings = Settings.load()
    if given["timezone"]:
        _time_zone(given["timezone"])
    if not yes and not sys.stdin.isatty():
        raise UsageError("init asks on a terminal: answer there, or add --yes")
    company = run(_init, settings, yes, {name: value for name, value in given.items() if value})
    sys.stdout.write(document(company) + "\n")
    say("change it with `voxyz-reactor init` or `voxyz-reactor policy company JSON`")


async def _init(settings: Settings, yes: bool, given: dict[str, Any]) -> Any:
    async with database(settings, create=True) as place:
        await bring_to_current(place.direct_dsn)
        start = {**DEFAULTS, "timezone": system_time_zone(), **await _present(place), **_listed(given)}
        # No connection is held meanwhile: a person may take an hour for the answers.
        company = json.dumps(start if yes else _asked(start), ensure_ascii=False)
        if len(company) > MOST_CHARACTERS:
            raise UsageError(
                f"the company's description has {len(company)} characters, at most {MOST_CHARACTERS} fit:"
                " say it shorter"
            )
        async with aclosing(await place.connect("init")) as conn:
            return await control.set_policy(conn, "company", company)


async def _present(place: Database) -> dict[str, Any]:
    async with aclosing(await place.connect("init")) as conn:
        found = {one.key: one.value for one in await control.policies(conn)}
    return found.get("company") or {}


DEFAULTS: dict[str, Any] = {
    "name": "Our company",
    "what": "A small company that lives from its website and its newsletter.",
    "customers": "People who found us by word of mouth.",
    "goals": ["More readers who come back", "One good piece of content a week"],
    "tone": "friendly, concrete, without exaggeration",
    "never": ["promise what is not there yet"],
}

_QUESTIONS = (
    ("name", "What is the company called?"),
    ("what", "What is it, and what does it do?"),
    ("customers", "Who is it for?"),
    ("goals", "What does it want? (several: separate them with ;)"),
    ("tone", "How does it speak?"),
    ("never", "What does it never do? (several: separate them with ;)"),
    ("timezone", "In which time zone does its day begin?"),
)
_LISTS = ("goals", "never")


def _asked(start: dict[str, Any]) -> dict[str, Any]:
    """The answers to all questions; an empty one takes what is shown."""
    click.echo("A few questions about the company; Enter takes what is in brackets.")
    answers = dict(start)
    for key, question in _QUESTIONS:
        shown = "; ".join(start[key]) if key in _LISTS else str(start[key])
        check = _time_zone if key == "timezone" else _words
        answer = click.prompt(question, default=clean(shown), value_proc=check)
        answers[key] = _split(answer) if key in _LISTS else answer
    return answers


def _listed(given: dict[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in given.items()}


def _words(text: str) -> str:
    return " ".join(text.split())


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(";") if part.strip()]


def _time_zone(name: str) -> str:
    try:
        ZoneInfo(name.strip())
    except (OSError, ValueError, KeyError):
        raise click.BadParameter(f"there is no time zone {name!r}; they look like Europe/Berlin") from None
    return name.strip()


def system_time_zone() -> str:
    """The name of this machine's time zone; UTC when it cannot be told."""
    named = os.environ.get("TZ", "").removeprefix(":")
    linked = str(Path("/etc/localtime").resolve()).partition("/zoneinfo/")[2]
    for name in (named, linked):
        try:
            if name:
                ZoneInfo(name)
                return name
        except (OSError, ValueError, KeyError):
            continue
    return "UTC"
