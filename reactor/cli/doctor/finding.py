"""What a look comes to."""

from datetime import datetime
from typing import Literal, NamedTuple

from reactor.cli.output import clean, span

Verdict = Literal["ok", "warning", "broken"]


class Finding(NamedTuple):
    """What a look found; ``do`` says what to do about it and is empty when all is well."""

    check: str
    verdict: Verdict
    finding: str
    do: str = ""


def session(pid: int, application: str, user: str) -> str:
    """A session of the database by the names that people know it by."""
    return f"session {pid} ({clean(application) or 'no name'}, user {clean(user)})"


def since(moment: datetime, seconds: float) -> str:
    """Since when, by the clock here and in words."""
    return f"since {moment.astimezone():%Y-%m-%d %H:%M:%S} ({span(seconds)})"
