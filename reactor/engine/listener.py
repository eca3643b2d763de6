"""The listener: hears the channels, and never dies.

One connection listens. It is proven before it is trusted, and before any lock is taken: its backend must be its own, and a
notification sent over another connection must be heard within 2 s without a query in between, or something between us and
the database swallows them (a transaction-pooling proxy does); then the reactor works on sweeps alone, says so once, and
looks again once a minute. Every time it hears again it wakes all dispatchers: what was committed meanwhile rang for nobody.
"""

from collections.abc import Awaitable, Callable
from typing import NoReturn
from uuid import uuid4

import structlog
import trio

from reactor.engine.connections import Sessions
from reactor.engine.control import CHANNELS, CONTROL_CHANNEL, Control
from reactor.engine.wake import Via
from reactor.errors import DatabaseError
from reactor.model.backoff import delay
from reactor.pg import QUIET_SESSION, ListeningConnection, Pool, keeps_sessions
from reactor.pg.dsn import pooler_remedy

log = structlog.get_logger()

PROOF_WITHIN_S = 2.0
DEAF_AGAIN_S = 60.0
RETRY_BASE_S = 0.1
RETRY_CAP_S = 2.0
LISTEN_WITHIN_S = 4.0


class Listener:
    """``conn`` is the connection that hears now, None while there is none; ``up`` says the same.

    ``connected`` is called whenever it hears again, with the time (trio's clock) at which it last ceased to.
    """

    def __init__(
        self,
        sessions: Sessions,
        pool: Pool,
        control: Control,
        *,
        direct_dsn: str,
        chance: Callable[[], float],
        connected: Callable[[float | None], None],
        lives_by_lock: Callable[[bool], Awaitable[None]],
    ) -> None:
        self.conn: ListeningConnection | None = None
        self.deaf = False
        self._sessions = sessions
        self._pool = pool
        self._control = control
        self._direct_dsn = direct_dsn
        self._chance = chance
        self._connected = connected
        self._lives_by_lock = lives_by_lock
        self._trouble: str | None = None
        self._lost_at: float | None = None

    @property
    def up(self) -> bool:
        """Whether silence can be trusted."""
        return self.conn is not None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> NoReturn:
        """Listen for ever; started once the first attempt has heard, or is known to be deaf."""
        failures = 0
        while True:
            conn: ListeningConnection | None = None
            try:
                conn = await self._sessions.open_unproven("listener")
                self.deaf = not await self._proven(conn)
                if self.deaf:
                    await self._lives_by_lock(False)
                else:
                    await self._trust(conn)
                    failures = 0
                    self._now_up(conn)
                    task_status.started()
                    task_status = trio.TASK_STATUS_IGNORED
                    await self._hear(conn)
            except DatabaseError as error:
                self._note(str(error))
            except trio.TooSlowError:
                self._note("the database is too slow to answer")
            finally:
                if self.conn is not None:
                    self._lost_at = trio.current_time()
                self.conn = None
                self._sessions.doubt()  # who comes back may find a proxy there
                if conn is not None:
                    await conn.aclose()
            if self.deaf:
                self._note_deaf()
                task_status.started()
                task_status = trio.TASK_STATUS_IGNORED
                await trio.sleep(DEAF_AGAIN_S)
                continue
            await trio.sleep(delay(failures, base_s=RETRY_BASE_S, cap_s=RETRY_CAP_S, chance=self._chance()))
            failures += 1

    async def _hear(self, conn: ListeningConnection) -> NoReturn:
        while True:
            for notification in await conn.next_batch():
                self._control.hear(notification)

    async def _proven(self, conn: ListeningConnection) -> bool:
        """Whether the session is our own, and we hear what is sent elsewhere, with no query in between."""
        with trio.fail_after(LISTEN_WITHIN_S):
            if not await keeps_sessions(conn, lambda: self._sessions.open_unproven("proof")):
                return False
            await conn.listen(*CHANNELS)
        if await self._heard(conn):
            return True
        await conn.run("unlisten *")
        return False

    async def _heard(self, conn: ListeningConnection) -> bool:
        token = f"hello:{uuid4()}"
        with trio.fail_after(LISTEN_WITHIN_S):
            async with self._pool.connection() as other:
                await other.run("select pg_notify(%s, %s)", (CONTROL_CHANNEL, token))
        with trio.move_on_after(PROOF_WITHIN_S):
            while True:
                for notification in await conn.next_batch():
                    if notification.payload == token:
                        return True
                    self._control.hear(notification)
        return False

    async def _trust(self, conn: ListeningConnection) -> None:
        """Sessions hold: ours is set up as one, and says that we live."""
        if conn.shared:  # a proxy that keeps sessions apart: whoever came before the proof is replaced
            await conn.set_up(QUIET_SESSION, ours=True)
            self._sessions.prove()
            self._pool.renew()
        await self._sessions.live(conn)
        self._sessions.prove()
        await self._lives_by_lock(True)

    def _now_up(self, conn: ListeningConnection) -> None:
        if self._trouble is not None:
            log.info("listening_again")
            self._trouble = None
        self.conn = conn
        self._connected(self._lost_at)
        self._control.wake_all(Via.NEWS)

    def _note(self, trouble: str) -> None:
        """One line when hearing ends, none while it stays that way."""
        if self._trouble is None:
            log.warning("not_listening", reason=trouble)
            self._trouble = trouble

    def _note_deaf(self) -> None:
        if self._trouble != "deaf":
            log.warning(
                "deaf",
                reason="locks do not hold and rings are not heard here, as behind a transaction pooler:"
                f" working on sweeps; {pooler_remedy(self._direct_dsn)}",
            )
        self._trouble = "deaf"
