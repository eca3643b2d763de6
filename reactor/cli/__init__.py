"""The command line: one module a family of commands.

``commands`` holds the table of all commands and ``main``; a command's module is imported when that command
is asked for, so that help and a wrong word cost nothing. ``runtime`` opens what a command needs (settings,
the database) and turns every way a command can end into an exit code: 0 done, 1 the thing failed, 2 wrong
usage or configuration. Answers go to stdout, logs and the one line of an error to stderr. ``output`` writes
answers: tables aligned for a person on a terminal, plain in a pipe, JSON when asked. Texts from the
database are data: no markup and no control character of theirs reaches the terminal.
"""

from reactor.cli.commands import main

__all__ = ["main"]
