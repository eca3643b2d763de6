"""The one door for the driver's errors: psycopg's go in, ours come out, one line each."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg

from reactor.errors import (
    AccessDenied,
    ConnectionLost,
    DatabaseError,
    DatabaseUnavailable,
    OpsError,
    TakesNoWrites,
    TransientConflict,
)

# https://www.postgresql.org/docs/current/errcodes-appendix.html
_BY_STATE: dict[str, type[DatabaseError]] = {
    "40001": TransientConflict,  # serialization_failure
    "40P01": TransientConflict,  # deadlock_detected
    "55P03": TransientConflict,  # lock_not_available
    "57014": TransientConflict,  # query_canceled: statement_timeout, or somebody's pg_cancel_backend
    "25P03": ConnectionLost,  # idle_in_transaction_session_timeout
    "25P04": ConnectionLost,  # transaction_timeout
    "57P01": ConnectionLost,  # admin_shutdown
    "57P02": ConnectionLost,  # crash_shutdown
    "57P03": DatabaseUnavailable,  # cannot_connect_now
    "57P04": ConnectionLost,  # database_dropped
    "57P05": ConnectionLost,  # idle_session_timeout
    "53300": DatabaseUnavailable,  # too_many_connections
    "25006": TakesNoWrites,  # read_only_sql_transaction: a primary that was demoted, a disk that is nearly full
    "42501": AccessDenied,  # insufficient_privilege
    "3D000": AccessDenied,  # invalid_catalog_name
}
_BY_CLASS: dict[str, type[DatabaseError]] = {
    "OP": OpsError,
    "08": ConnectionLost,
    "28": AccessDenied,
    "53": TakesNoWrites,  # insufficient resources: disk full, out of memory
    "58": TakesNoWrites,  # system error: an input or output error of the disk
}

# What libpq and the server say when no connection comes about: there is no SQLSTATE to go by then. A server
# that speaks another language falls through to the last line, with its own words.
_REFUSALS: tuple[tuple[str, type[DatabaseError], str], ...] = (
    (r"password authentication failed|no password supplied", AccessDenied, "correct user and password"),
    (r"no pg_hba\.conf entry|pg_hba\.conf rejects|Peer authentication|Ident authentication", AccessDenied,
     "let this user in from here in the server's pg_hba.conf, or use another user"),
    (r'role ".*" (does not exist|is not permitted)', AccessDenied, "correct the user, or create the role"),
    (r'database ".*" does not exist', AccessDenied, "correct the database's name, or create it"),
    (r"permission denied for database", AccessDenied, "grant connect on the database to this user"),
    (r"does not support SSL|certificate|SSL error|SSL SYSCALL|sslmode|server common name|root\.crt",
     AccessDenied,     "correct sslmode and sslrootcert"),
    (r"too many (clients|connections)|connection slots are reserved", DatabaseUnavailable,
     "close other clients or raise max_connections"),
    (r"starting up|shutting down|in recovery mode|not yet accepting", DatabaseUnavailable,
     "try again in a moment"),
    (r"session is read-only|in hot standby|session is not read-only|not in hot standby", DatabaseUnavailable,
     "name the server that target_session_attrs asks for"),
    (r"resolve host|translate host name|Name or service not known", DatabaseUnavailable,
     "correct the host's name, or look whether names resolve here"),
    (r"Connection refused", DatabaseUnavailable, "start PostgreSQL there, or correct host and port"),
    (r"No such file or directory", DatabaseUnavailable, "start PostgreSQL, or correct the socket directory"),
    (r"Permission denied", AccessDenied, "let this user into the socket directory"),
    (r"timeout expired|timed out|No route|unreachable", DatabaseUnavailable,
     "look whether host, port and the firewalls between are right"),
)  # fmt: skip


def one_line(text: str) -> str:
    """``text`` without line breaks and doubled blanks, never empty."""
    return " ".join(text.split()) or "the server gave no reason"


def translate(error: psycopg.Error | UnicodeEncodeError) -> DatabaseError:
    """Our error for one of psycopg's, raised by a statement on a connection that stood."""
    if isinstance(error, UnicodeEncodeError):
        return DatabaseError(
            "text with half a surrogate pair cannot be stored: send whole characters", "22021"
        )
    state = error.sqlstate
    if state is None:
        if isinstance(error, psycopg.OperationalError):
            return ConnectionLost(f"the connection to the database broke: {one_line(str(error))}")
        return DatabaseError(one_line(str(error)))
    kind = _BY_STATE.get(state) or _BY_CLASS.get(state[:2]) or DatabaseError
    message = one_line(error.diag.message_primary or str(error))
    if kind is ConnectionLost:
        message = f"the server closed the connection: {message}"
    return kind(message, state)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why no connection came about at one place, in libpq's or the server's words, and what to do."""

    where: str
    kind: type[DatabaseError]
    reason: str
    advice: str


def refusal(where: str, error: Exception) -> Refusal:
    """What ``error`` means, raised by an attempt at ``where``: a host and port, or a socket."""
    text = str(error)
    for pattern, kind, advice in _REFUSALS:
        if re.search(pattern, text):
            return Refusal(where, kind, _reason(text), advice)
    return Refusal(where, DatabaseUnavailable, _reason(text), "look into the server's log")


def no_connection(refusals: Sequence[Refusal]) -> DatabaseError:
    """One error for all places tried, in one line; one that waiting cannot mend goes before the others."""
    kind = next((one.kind for one in refusals if not one.kind.transient), DatabaseUnavailable)
    places: dict[tuple[str, str], list[str]] = {}
    for one in refusals:
        tried = places.setdefault((one.reason, one.advice), [])
        if one.where not in tried:
            tried.append(one.where)
    causes = [f"{' and '.join(where)}: {reason}; {advice}" for (reason, advice), where in places.items()]
    return kind("no connection to the database at " + " / ".join(causes))


def _reason(text: str) -> str:
    """The last cause in libpq's lines, without the places and prefixes in front of it and hints behind."""
    lines = [line for line in text.splitlines() if not line.startswith("\t")]
    last = " ".join(lines).rpartition(" failed: ")[2].removeprefix("connection is bad: ")
    return one_line(re.sub(r"^(?:FATAL|ERROR): +", "", last)).rstrip(".")


@contextmanager
def translated() -> Iterator[None]:
    """Inside, psycopg's errors leave as ours."""
    try:
        yield
    except (psycopg.Error, UnicodeEncodeError) as error:
        raise translate(error) from error
