"""Every command there is, and the way in and out."""

import gc
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from importlib import import_module
from types import ModuleType
from typing import Any, NamedTuple, cast

import click

from reactor import __version__
from reactor.cli.endings import ReaderGoneError, ended


class Entry(NamedTuple):
    """Where a command lives, and its line in the help."""

    module: str
    attribute: str
    line: str
    hidden: bool = False


SECTIONS: dict[str, dict[str, Entry]] = {
    "Run": {
        "run": Entry("run", "run_command", "the reactor itself (also with no command at all)"),
        "init": Entry("database", "init", "what the company is: asked, then written to policy company"),
        "demo": Entry("demo", "demo_command", "the whole loop in under a minute"),
        "migrate": Entry("database", "migrate", "bring the schema to current"),
        "doctor": Entry("doctor", "doctor", "check everything; each finding says what to do"),
        "service": Entry("service", "service", "run it under systemd: install, uninstall, print"),
        "completion": Entry("completion", "completion", "complete words in bash, zsh or fish"),
        "url": Entry("database", "url", "the database in use, as a URI"),
        "psql": Entry("database", "psql", "psql on the database in use"),
        "export": Entry("moving", "export_command", "every table into files, or an archive of the old"),
        "import": Entry("moving", "import_command", "files of export into a new database"),
        "copy": Entry("moving", "copy_command", "the whole database into another one"),
    },
    "Give work": {
        "enqueue": Entry("work", "enqueue", "a step, a mission, a roundtable or an initiative"),
        "ask": Entry("talk", "ask", "put a question to an agent, or to the room"),
        "say": Entry("talk", "say_command", "take a turn in a conversation"),
        "thumbs": Entry("talk", "thumbs", "say what you think of a result or a turn"),
        "propose": Entry("proposals", "propose", "put work before the gates"),
        "retry": Entry("work", "retry", "bring failed or cancelled work back"),
        "cancel": Entry("work", "cancel", "call work off, running or not"),
        "redistill": Entry("talk", "redistill", "ask again what a conversation came to"),
    },
    "Look": {
        "status": Entry("look", "status", "queues, reactors, breakers, what failed"),
        "top": Entry("top", "top", "all of it, live, on this terminal"),
        "open": Entry("opening", "open_command", "the page, in a browser"),
        "events": Entry("look", "events", "what happened, and with --follow what happens"),
        "show": Entry("look", "show", "one thing whole"),
        "why": Entry("why", "why", "why a thing is where it is, in one sentence"),
        "costs": Entry("costs", "costs", "what the language model cost, and will"),
        "proposals": Entry("proposals", "proposals", "what waits for a yes, and what was decided"),
        "missions": Entry("proposals", "missions", "the missions under way"),
        "workers": Entry("look", "workers", "the reactors that run or ran"),
        "agents": Entry("people", "agents", "who works here; add, edit, on, off"),
        "memories": Entry("people", "memories", "what an agent remembers"),
        "relationships": Entry("look", "relationships", "who likes whom, and how much"),
    },
    "Decide": {
        "approve": Entry("proposals", "approve", "say yes to a proposal"),
        "reject": Entry("proposals", "reject", "say no to a proposal or a held step, and why"),
        "release": Entry("proposals", "release", "let a held step go"),
    },
    "Steer": {
        "pause": Entry("control", "pause", "stop taking work, in all queues or one"),
        "resume": Entry("control", "resume", "take work again"),
        "policy": Entry("control", "policy", "read or change a policy"),
        "notify": Entry("notify", "notify", "who is told what; --test tries it"),
        "schedule": Entry(
            "schedule", "schedule", "the timetable; --once takes what is due, --preview looks ahead"
        ),
        "reset": Entry(
            "control", "reset_command", "with --simulated: relationships as before the stand-in moved them"
        ),
        "breaker": Entry("control", "breaker", "the circuit breakers; reset closes one"),
    },
}
TABLE: dict[str, Entry] = {name: entry for section in SECTIONS.values() for name, entry in section.items()}


class LazyGroup(click.Group):
    """Imports a command's module when the command is asked for; suggests the nearest for a wrong word."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every command, in the order of the table."""
        return list(TABLE)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, imported now, or None."""
        entry = TABLE.get(cmd_name)
        if entry is None:
            return None
        with _nothing_collected():
            if entry.module == "run":
                _load_structlog_alone()
            command: click.Command = getattr(import_module(f"reactor.cli.{entry.module}"), entry.attribute)
        _add_debug(command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does it, with the nearest command named when there is no such one."""
        if args and args[0] not in TABLE and not args[0].startswith("-"):
            near = get_close_matches(args[0], TABLE, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else "see voxyz-reactor --help"
            raise click.UsageError(f"there is no command {args[0][:60]!r}: {hint}", ctx)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """As click does it, but a pipe closed by its reader is a ReaderGoneError, and Ctrl-C writes nothing."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise click.Abort from error
        except BrokenPipeError as error:
            raise ReaderGoneError from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table, without importing what stands behind it."""
        for title, entries in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name, entry.line) for name, entry in entries.items()])


@contextmanager
def _nothing_collected() -> Iterator[None]:
    """Modules are made to stay: looking through them for garbage while they load takes a seventh of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()  # else the first collection looks through them all after all
        gc.enable()


def _load_structlog_alone() -> None:
    """It takes rich with it where that is installed, a tenth of a start, for tracebacks that are ours to print."""
    if "structlog" in sys.modules or "rich" in sys.modules:
        return
    modules = cast("dict[str, ModuleType | None]", sys.modules)
    modules["rich"] = None  # so an import is told that there is no such module
    try:
        import_module("structlog")
    finally:
        del modules["rich"]


def _add_debug(command: click.Command) -> None:
    """``--debug`` is understood behind the command and its subcommands as well as before."""
    if not any(parameter.name == "debug" for parameter in command.params):
        command.params.append(_debug_option())
    if isinstance(command, click.Group):
        for child in command.commands.values():
            _add_debug(child)


def _remember_debug(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value:
        ctx.find_root().meta["reactor.debug"] = True
        ended.debug = True


def _debug_option() -> click.Option:
    return click.Option(
        ["--debug"],
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=_remember_debug,
        help="Show the traceback of an error.",
    )


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, "--version", message="voxyz-reactor %(version)s")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """The event-driven engine for teams of LLM agents on PostgreSQL.

    Without a command it runs the reactor. Settings come from the environment, .env.local and .env:
    `voxyz-reactor run --help` lists them.
    """
    if ctx.invoked_subcommand is None:
        command = cli.get_command(ctx, "run")
        assert command is not None
        with command.make_context("run", [], parent=ctx) as inner:
            command.invoke(inner)


_add_debug(cli)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code. Every error has become one line on stderr."""

    def invoke() -> Any:
        args = list(sys.argv[1:] if arguments is None else arguments)
        return cli.main(args, prog_name="voxyz-reactor", standalone_mode=False)

    return ended(invoke)
