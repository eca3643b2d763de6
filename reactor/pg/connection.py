"""One connection to PostgreSQL: made, set up, asked, closed."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Any, Final, TypeVar

import psycopg
import trio
from psycopg import pq, sql
from psycopg.adapt import AdaptersMap
from psycopg.errors import Diagnostic
from psycopg.pq.abc import PGconn
from psycopg.transaction import AsyncTransaction
from psycopg.waiting import Wait

from reactor.errors import ConnectionLost, DatabaseUnavailable
from reactor.pg.adapters import ADAPTERS
from reactor.pg.connecting import established
from reactor.pg.errors import one_line, translate
from reactor.pg.seam import TrioConnection, ready_now

Params = Mapping[str, Any] | Sequence[Any]
Settings = Mapping[str, str]

# A dead peer is noticed within about ten seconds, from either side.
_KEEPALIVE: Final = {
    "client_connection_check_interval": "5s",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "10s",
}
_SOCKETS: Final = frozenset((*_KEEPALIVE, "application_name", "idle_session_timeout"))
_PREPARE_AFTER: Final = 5  # executions; psycopg's own figure
_FORMATS: Final = {"timezone": "UTC", "datestyle": "ISO, YMD", "intervalstyle": "postgres"}

WORK_SESSION: Final[Settings] = MappingProxyType(
    {
        **_FORMATS,
        **_KEEPALIVE,
        "statement_timeout": "60s",
        "lock_timeout": "30s",
        "idle_in_transaction_session_timeout": "60s",
        "idle_session_timeout": "0",
    }
)
"""For connections that do work: nothing runs, waits for a lock, or stays open in a transaction for ever."""

QUIET_SESSION: Final[Settings] = MappingProxyType(
    {
        **_FORMATS,
        **_KEEPALIVE,
        "statement_timeout": "0",
        "lock_timeout": "0",
        "idle_in_transaction_session_timeout": "0",
        "idle_session_timeout": "0",
    }
)
"""For connections that mostly wait (listener, doorbell, liveness): no timeout of the server ends them."""

# Text that is no UTF-8 (half a surrogate pair) fails in psycopg as Python's own error.
_DRIVER_ERRORS: Final = (psycopg.Error, UnicodeEncodeError)

# A last message and the end of the stream behind it take two; more is somebody talking, who is alive.
_GLANCES: Final = 4

# A server that does not know a setting goes without it; names with a dot are anybody's to invent. A proxy gives its clients
# cancellation keys of its own: a backend that is not the one the key names is perhaps somebody else's in a moment.
_SET_UP: Final = """
select
  pg_backend_pid(),
  (
    select count(set_config(setting.name, setting.value, false))
    from unnest(%(names)s::text[], %(values)s::text[]) as setting (name, value)
    where (%(ours)s or pg_backend_pid() = %(key)s)
      and (position('.' in setting.name) > 0 or current_setting(setting.name, true) is not null)
  )
"""

# The same for one transaction on a backend that others use too, as one command without parameters.
_OPENING: Final = """
select count(set_config(setting.name, setting.value, true))
from (values {}) as setting (name, value)
where position('.' in setting.name) > 0
   or current_setting(setting.name, true) is not null
"""


class Connection(TrioConnection):
    """A connection to PostgreSQL on trio, in autocommit; its errors are `reactor.errors`.

    One statement at a time: a second task that asks meanwhile waits its turn. A cancelled statement is
    cancelled on the server and the connection usable afterwards, or closed (`closed`) when the server does
    not answer in 2 s.

    ``shared``: a proxy stands between, which may give our backend to others after every transaction. Then each
    statement runs in a transaction of its own that begins with our settings, nothing is prepared, nothing is left
    behind on the backend, and only one task may use the connection. ``server_pid`` is the backend that answered first.
    """

    shared = False
    server_pid = 0

    def __init__(self, pgconn: PGconn) -> None:
        super().__init__(pgconn)
        self._last_words: str | None = None
        self.add_notice_handler(self._note)

    async def fetch_all(self, query: str, params: Params | None = None) -> list[tuple[Any, ...]]:
        """Every row of the answer.

        Raises: ConnectionLost: whether the statement took effect is unknown. Other DatabaseErrors: it did
            not.
        Cancellation: cancelled on the server; a statement that writes may have been quicker.
        """
        try:
            return await (await self._execute(query, params)).fetchall()
        except _DRIVER_ERRORS as error:
            raise translate(error) from error

    async def fetch_row(self, query: str, params: Params | None = None) -> tuple[Any, ...] | None:
        """The first row of the answer, None when there is none. Errors and cancellation as `fetch_all`."""
        try:
            return await (await self._execute(query, params)).fetchone()
        except _DRIVER_ERRORS as error:
            raise translate(error) from error

    async def fetch_value(self, query: str, params: Params | None = None) -> Any:
        """The first column of the first row, None without a row. Errors and cancellation as `fetch_all`."""
        row = await self.fetch_row(query, params)
        return row[0] if row else None

    async def run(self, query: str, params: Params | None = None) -> int:
        """Run a statement for its effect; returns how many rows it touched, -1 where that means nothing.

        Errors and cancellation as `fetch_all`.
        """
        try:
            return (await self._execute(query, params)).rowcount
        except _DRIVER_ERRORS as error:
            raise translate(error) from error

    async def _execute(self, query: str, params: Params | None) -> psycopg.AsyncCursor[tuple[Any, ...]]:
        if self.shared and self.idle:
            async with self.transaction():
                return await self.cursor_factory(self).execute(query, params)
        return await self.cursor_factory(self).execute(query, params)

    async def set_up(self, wanted: Settings, *, ours: bool) -> None:
        """The session has the settings ``wanted``; or it is `shared`, and every transaction will have them.

        ``ours``: it is known that a proxy keeps a backend for us alone, for as long as we stay.
        """
        self.shared, self.opening = False, b""
        values = {
            "names": list(wanted),
            "values": list(wanted.values()),
            "ours": ours,
            "key": self.info.backend_pid,
        }
        row = await self.fetch_row(_SET_UP, values)
        assert row is not None
        self.server_pid = row[0]
        if ours or self.server_pid == self.info.backend_pid:
            self.prepare_threshold = _PREPARE_AFTER
        else:
            self.shared, self.opening = True, _opening(wanted, self)

    @asynccontextmanager
    async def transaction(
        self, savepoint_name: str | None = None, force_rollback: bool = False
    ) -> AsyncIterator[AsyncTransaction]:
        """Open a transaction, or a savepoint inside one; left by an error or cancelled it is rolled back.

        Raises: DatabaseError: the commit was refused and nothing is kept. ConnectionLost: nobody knows.
        Cancellation: rolled back within 2 s, or the connection closed; during the commit either may have
            happened.
        """
        try:
            async with super().transaction(savepoint_name, force_rollback) as block:
                yield block
        except _DRIVER_ERRORS as error:
            raise translate(error) from error

    @property
    def idle(self) -> bool:
        """Whether it is open, outside any transaction, with nothing in flight."""
        return self.pgconn.transaction_status == pq.TransactionStatus.IDLE and not self._num_transactions

    @property
    def in_flight(self) -> bool:
        """Whether a statement is running on it, or its answer is not read to the end."""
        return self.pgconn.transaction_status == pq.TransactionStatus.ACTIVE

    def hung_up(self) -> bool:
        """Whether the server has ended this idle connection: what the socket holds tells, without waiting."""
        for _ in range(_GLANCES):
            if self.closed or self._last_words:
                return True
            if not ready_now(self.pgconn.socket, Wait.R):
                return False
            try:
                self.read_unasked()
            except ConnectionLost:
                return True
        return False

    def read_unasked(self) -> None:
        """Take in what the server said without being asked: notifications go to their handlers; awaits nothing.

        Raises: ConnectionLost: its last words were that, or the stream has ended; handlers were served before.
        """
        ended: psycopg.Error | None = None
        try:
            self.pgconn.consume_input()
        except psycopg.Error as error:
            ended = error
        while heard := self.pgconn.notifies():  # asking for them also makes libpq look at everything else
            if self.pgconn.notify_handler:
                self.pgconn.notify_handler(heard)
        if self._last_words:
            raise ConnectionLost(f"the server closed the connection: {one_line(self._last_words)}")
        if ended is not None:
            raise translate(ended) from ended

    def _note(self, notice: Diagnostic) -> None:
        # Outside a statement libpq takes the server's farewell for a notice.
        if notice.severity_nonlocalized in ("FATAL", "PANIC"):
            self._last_words = notice.message_primary or "no reason given"

    async def aclose(self) -> None:
        """Close it now. Awaits nothing, so it works in a cancelled scope; safe to repeat."""
        await self.close()


C = TypeVar("C", bound=Connection)


async def connect(
    dsn: str,
    *,
    name: str,
    timeout_s: float = 10.0,
    settings: Settings | None = WORK_SESSION,
    ours: bool = False,
) -> Connection:
    """A new connection, named ``voxyz-reactor <name>`` in pg_stat_activity and set up by one statement.

    ``settings`` come on top of `WORK_SESSION`; None sends and prepares nothing at all. Behind a proxy the
    connection is `Connection.shared`, unless ``ours`` says that this one is known to keep sessions apart. Every
    host, and every address a host's name has, is tried in turn for ``timeout_s`` seconds each, or for
    ``connect_timeout`` where the address has one.

    Raises: ConfigurationError: ``dsn`` is no address. AccessDenied, DatabaseUnavailable: nobody let us in.
    Cancellation: nothing is left open.
    """
    return await connect_as(Connection, dsn, name=name, timeout_s=timeout_s, settings=settings, ours=ours)


async def connect_as(
    kind: type[C],
    dsn: str,
    *,
    name: str,
    timeout_s: float = 10.0,
    settings: Settings | None = WORK_SESSION,
    ours: bool = False,
) -> C:
    """As `connect`, for a subclass of `Connection`."""
    shown = application_name(name)
    connection = await established(kind, dsn, application_name=shown, timeout_s=timeout_s)
    connection._adapters = AdaptersMap(ADAPTERS.adapters)
    connection.prepare_threshold = None
    if settings is None:
        return connection
    # Said again although the start-up packet had it: proxies that share sessions do not pass that on.
    wanted = {**WORK_SESSION, **settings, "application_name": shown}
    try:
        with trio.fail_after(timeout_s):
            await connection.set_up(wanted, ours=ours)
    except trio.TooSlowError:
        await connection.aclose()
        raise DatabaseUnavailable(
            f"the database let us in but answered nothing for {timeout_s:g} s:"
            " look at its load and at the proxies between"
        ) from None
    except BaseException:
        await connection.aclose()
        raise
    return connection


def _opening(wanted: Settings, connection: Connection) -> bytes:
    """What every transaction on a backend of others begins with: timeouts, formats and plans, no socket's affairs."""
    local = {name: value for name, value in wanted.items() if name not in _SOCKETS}
    pairs = sql.SQL(", ").join(
        sql.SQL("({}, {})").format(sql.Literal(name), sql.Literal(value)) for name, value in local.items()
    )
    return sql.SQL(_OPENING).format(pairs).as_bytes(connection)


def application_name(name: str) -> str:
    """``voxyz-reactor <name>`` as the server will show it: printable ASCII, at most 63 bytes."""
    return "".join(c if " " <= c <= "~" else "?" for c in f"voxyz-reactor {name}")[:63].rstrip()
