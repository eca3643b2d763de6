"""Every way a command can end, as an exit code and at most one line on stderr."""

import os
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import click

from reactor.errors import DatabaseError, ReactorError

INTERRUPTED = 1
# What PostgreSQL says when a table, a function or a column of ours is not there.
_MISSING_STATES = {"42P01", "42883", "42703"}
# Refusals of the SQL functions that are about the words of the caller: see docs/errors.md.
USAGE_STATES = {"OP002", "OP003", "OP004", "OP005", "OP007"}


class ReaderGoneError(Exception):
    """Whoever read our answer has closed the pipe. Not an OSError: click would end the process for one."""


class _Endings:
    """Calls a command and says how it ended; ``debug`` adds the traceback of an error."""

    debug = False

    def __call__(self, invoke: Callable[[], Any]) -> int:
        """The exit code: 0 done, 1 failed or interrupted, 2 wrong usage or configuration."""
        self.debug = False
        _tolerant_streams()
        try:
            code = invoke()
            sys.stdout.flush()
        except BaseException as error:
            return self._explain(error)
        return code if isinstance(code, int) else 0

    def _explain(self, error: BaseException) -> int:
        cause = _cause(error)
        if isinstance(cause, click.exceptions.Exit):
            return cause.exit_code
        if isinstance(cause, SystemExit):
            return cause.code if isinstance(cause.code, int) else 1
        if isinstance(cause, BrokenPipeError | ReaderGoneError):
            # The reader has seen enough. What is still buffered must not fail again at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        if self.debug and not isinstance(cause, KeyboardInterrupt | click.Abort | click.ClickException):
            traceback.print_exception(error)
        if isinstance(cause, KeyboardInterrupt | click.Abort) and sys.stderr.isatty():
            sys.stderr.write("\n")  # behind the ^C of the terminal
        line, code = _sentence(cause)
        if line:
            complain(line)
        return code


ended = _Endings()


def complain(line: str) -> None:
    """One line on stderr, whatever is in it."""
    words = " ".join("".join(c if c.isprintable() else " " for c in line).split())
    try:
        sys.stderr.write(f"voxyz-reactor: {words}\n")
        sys.stderr.flush()
    except OSError:
        pass  # nobody listens; the exit code still speaks


def _sentence(cause: BaseException) -> tuple[str, int]:
    if isinstance(cause, KeyboardInterrupt | click.Abort):
        return "interrupted", INTERRUPTED
    if isinstance(cause, click.ClickException):
        ctx = cause.ctx if isinstance(cause, click.UsageError) else None
        where = f" (see {ctx.command_path} --help)" if ctx and ctx.parent else ""
        return _uncapitalised(cause.format_message()).rstrip(".") + where, 2
    if isinstance(cause, DatabaseError) and cause.sqlstate in _MISSING_STATES:
        return f"the schema is missing or behind ({cause}): run `voxyz-reactor migrate`", 1
    if isinstance(cause, DatabaseError) and cause.sqlstate in USAGE_STATES:
        return str(cause), 2
    if isinstance(cause, ReactorError):
        return str(cause), cause.exit_code
    if isinstance(cause, OSError) and cause.strerror:
        return f"{cause.strerror}: {cause.filename}" if cause.filename else cause.strerror, 1
    return f"unexpected {type(cause).__name__}: {cause}; add --debug to see where", 1


def _cause(error: BaseException) -> BaseException:
    """The first that matters among the errors of a group.

    Ours before others, anything before an interrupt.
    """
    leaves = list(_leaves(error))
    for kind in (ReactorError, click.ClickException, Exception):
        for leaf in leaves:
            if isinstance(leaf, kind):
                return leaf
    return leaves[0]


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            yield from _leaves(part)
    else:
        yield error


def _uncapitalised(text: str) -> str:
    first = text[:2]
    return text if first.isupper() or not text else text[0].lower() + text[1:]


def _tolerant_streams() -> None:
    """A character the terminal's encoding lacks is shown as its escape, not as an error."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
