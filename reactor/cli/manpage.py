"""The manual page, made from the commands themselves: every command, its options, every setting."""

import inspect
from collections.abc import Iterator

import click

from reactor import __version__
from reactor.cli.commands import SECTIONS, cli
from reactor.settings import described

PROGRAM = "voxyz-reactor"


def manual() -> str:
    """The page in roff, for section 1."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield f'.TH VOXYZ\\-REACTOR 1 "" "voxyz-reactor {__version__}" "voxyz-reactor"'
    yield from (
        ".SH NAME",
        r"voxyz\-reactor \- the event\-driven engine for teams of LLM agents on PostgreSQL",
    )
    yield from (".SH SYNOPSIS", r".B voxyz\-reactor", "[COMMAND] [ARGUMENT...]")
    yield ".SH DESCRIPTION"
    yield from _paragraphs(cli.help or "")
    for title, entries in SECTIONS.items():
        yield f'.SH "{_text(title.upper())}"'
        root = click.Context(cli, info_name=PROGRAM)
        for name, entry in entries.items():
            command = cli.get_command(root, name)
            if command is not None and not entry.hidden:
                yield from _command(command, click.Context(command, info_name=name, parent=root))
    yield ".SH ENVIRONMENT"
    yield "Settings come from the environment, then .env.local, then .env of the working directory."
    for one in described():
        yield from (".TP", f".B {_text(one.name)}")
        yield _text(f"{one.description} [{one.unit + ', ' if one.unit else ''}default {one.default}]")
    yield from (".SH EXIT STATUS", ".TP", ".B 0", "done")
    yield from (".TP", ".B 1", "the thing failed", ".TP", ".B 2", "wrong usage or configuration")


def _command(command: click.Command, ctx: click.Context) -> Iterator[str]:
    words = " ".join(command.collect_usage_pieces(ctx))
    name = ctx.command_path.removeprefix(f"{PROGRAM} ")
    yield f'.SS "{_text(f"{name} {words}")}"'
    yield from _paragraphs(command.help or "")
    for parameter in command.get_params(ctx):
        record = parameter.get_help_record(ctx)
        if record is not None and record[1] and record[0] not in ("-h, --help", "--help", "--debug"):
            yield from (".TP", f".B {_text(record[0])}", _text(record[1]))
    if isinstance(command, click.Group):
        for name in command.list_commands(ctx):
            child = command.get_command(ctx, name)
            if child is not None:
                yield from _command(child, click.Context(child, info_name=name, parent=ctx))


def _paragraphs(text: str) -> Iterator[str]:
    """Paragraphs are apart by an empty line; one that begins with a backspace is kept as it stands."""
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        yield ".PP"
        if paragraph.startswith("\b"):
            yield ".nf"
            yield from (_text(line) for line in paragraph.splitlines()[1:])
            yield ".fi"
        else:
            yield _text(" ".join(paragraph.split()))


def _text(text: str) -> str:
    r"""``text`` as roff reads it: no escape, no request at a line's beginning, hyphens that can be copied."""
    escaped = text.replace("\\", r"\e").replace("-", r"\-").replace('"', r"\(dq").replace("…", "...")
    return rf"\&{escaped}" if escaped.startswith((".", "'")) else escaped
