"""From an address to an open socket: every host and every address it has in turn, each within its time."""

import random
import socket
from typing import Final, TypeVar

import psycopg
import trio
from psycopg._conninfo_utils import get_param, is_ip_address, split_attempts
from psycopg.abc import ConnDict
from psycopg.conninfo import make_conninfo

from reactor.errors import ConfigurationError
from reactor.pg import dsn as address
from reactor.pg.errors import Refusal, no_connection, refusal
from reactor.pg.seam import TrioConnection, drive_connecting

C = TypeVar("C", bound=TrioConnection)

# A dead peer is noticed within about ten seconds; what the address or the environment says goes before these.
_DEFAULTS: Final = {
    "keepalives": "1",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
    "gssencmode": "disable",  # libpq's own default looks for Kerberos tickets first, which blocks
}


async def established(kind: type[C], dsn: str, *, application_name: str, timeout_s: float) -> C:
    """The first connection of ``kind`` that one of the hosts of ``dsn`` accepts.

    Raises: ConfigurationError: ``dsn`` is no address. AccessDenied: a host was reached and said no.
        DatabaseUnavailable: none was reached. One line, naming each place tried.
    Cancellation: nothing is left open.
    """
    given = address.parse(address.current(dsn))
    params: ConnDict = {key: value for key, value in _DEFAULTS.items() if get_param({}, key) is None}
    params |= {**given, "client_encoding": "UTF8", "application_name": application_name}
    limit_s = _timeout_s(params, timeout_s)
    failures: list[Refusal] = []
    for attempt in _in_order(params):
        try:
            places = await _resolved(attempt, limit_s)
        except OSError as error:
            failures.append(
                refusal(_place(attempt), OSError(f"cannot resolve host name: {error.strerror or error}"))
            )
            continue
        for place in places:
            try:
                return await _attempt(kind, place, limit_s)
            except psycopg.Error as error:
                failures.append(refusal(_place(place), error))
    raise no_connection(failures)


async def _attempt(kind: type[C], params: ConnDict, limit_s: float) -> C:
    with trio.move_on_after(limit_s):
        return await drive_connecting(kind._connect_gen(make_conninfo("", **params)))
    raise psycopg.errors.ConnectionTimeout(f"timeout expired after {limit_s:g} s")


def _in_order(params: ConnDict) -> list[ConnDict]:
    """One set of parameters a host; "prefer-standby" is all of them as standbys first, then as anything."""
    try:
        attempts = split_attempts(params)
    except psycopg.Error as error:
        raise ConfigurationError(f"the database address contradicts itself: {error}") from None
    if get_param(params, "load_balance_hosts") == "random":
        random.shuffle(attempts)
    if get_param(params, "target_session_attrs") == "prefer-standby":
        return [{**a, "target_session_attrs": attrs} for attrs in ("standby", "any") for a in attempts]
    return attempts


async def _resolved(attempt: ConnDict, limit_s: float) -> list[ConnDict]:
    """``attempt`` once for each address its host has, asked in a thread: libpq would block on the name."""
    host = get_param(attempt, "host")
    if not host or host.startswith(("/", "@")) or get_param(attempt, "hostaddr"):
        return [attempt]
    if is_ip_address(host):
        return [{**attempt, "hostaddr": host}]
    with trio.move_on_after(limit_s):
        found = await trio.socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        addresses = dict.fromkeys(str(entry[4][0]) for entry in found)
        return [{**attempt, "hostaddr": one} for one in addresses]
    raise OSError(f"no answer in {limit_s:g} s")


def _timeout_s(params: ConnDict, default_s: float) -> float:
    said = get_param(params, "connect_timeout")
    try:
        asked = int(said or 0)
    except ValueError:
        raise ConfigurationError(f"connect_timeout is a number of seconds, not {said!r}") from None
    return asked if asked > 0 else default_s


def _place(params: ConnDict) -> str:
    host = get_param(params, "host") or get_param(params, "hostaddr") or "the default socket"
    port = get_param(params, "port") or "5432"
    if host.startswith(("/", "@")):
        return f"{host}/.s.PGSQL.{port}"
    where = get_param(params, "hostaddr")
    return f"{host}:{port}" + (f" ({where})" if where and where != host else "")
