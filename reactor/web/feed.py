"""The events as they happen, read once for everybody who watches here.

One task reads, on a connection of its own that exists while somebody watches: when it is told of news, and once a second
without. What it reads goes to all viewers in one piece, made once. It paces itself: looks are 50 ms apart, and further when
this process is busy, so that watching takes a small share of what working takes. When more has happened since than so
many can be shown, a look passes on the newest and says of the rest how many of which kind there were, and where they are.

*Final* events, those below the horizon, come in the order (xact, id), each once, and move a viewer's place. Those above
it are passed on at once, without a place, and again when they are final.

A viewer begins at a place of its own. It reads from the database until it has what the reader has, and joins in the same
breath, so nothing lies between. One that does not take what is put before it is cut off; it comes back to its last place.
"""

import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NoReturn

import structlog
import trio

from reactor.errors import DatabaseError
from reactor.model.backoff import delay
from reactor.pg import Connection, ListeningConnection
from reactor.store import events as event_store
from reactor.store import viewers as viewer_store
from reactor.store.events import Event, Place
from reactor.store.viewers import Horizon
from reactor.web.frames import event_frames, frame, gap_frame

log = structlog.get_logger()

CHANNEL: Final = "ops_events"
LOOK_EVERY_S: Final = 1.0  # whoever writes by hand announces nothing
GAP_S: Final = 0.05
SHARE: Final = (
    0.05  # of this process's time that looking and passing on may take, up to a gap of LOOK_EVERY_S
)
LINGER_S: Final = 5.0  # a page that is loaded again is not worth a new connection
SAY_VIEWERS_EVERY_S: Final = 5.0
HORIZON_OLD_S: Final = 10.0
SHOWN: Final = 20_000  # events a look, to all viewers together
MOST: Final = 1000  # of them to one viewer, also when it is alone
LEAST: Final = 100
NEWEST: Final = 60  # what is shown of more than that
BEGAN: Final = "began"  # the word of a notification: something began, which is no event
BACKLOG: Final = 64  # pieces before one viewer
BACKLOG_BYTES: Final = 8 * 1024 * 1024  # all pieces are shared, so this is about what a slow viewer costs
RETRY_CAP_S: Final = 5.0
STIR: Final = frame(BEGAN, {})
MOST_VIEWERS: Final = 250


class Viewer:
    """Somebody who watches: pieces of the stream for him, in order. ``cut_off`` is called once, when he is too slow."""

    def __init__(self, place: Place, cut_off: Callable[[], None]) -> None:
        self.place = place
        self.too_slow = False
        self._cut_off = cut_off
        self._pieces: deque[bytes] = deque()
        self._bytes = 0
        self._news = trio.Event()

    def put(self, piece: bytes) -> None:
        """One more piece; a viewer with too many before him is cut off."""
        if self.too_slow:
            return
        if self._pieces and (len(self._pieces) >= BACKLOG or self._bytes + len(piece) > BACKLOG_BYTES):
            self.too_slow = True
            self._pieces.clear()
            self._cut_off()
            return
        self._pieces.append(piece)
        self._bytes += len(piece)
        self._news.set()

    async def take(self, within_s: float) -> bytes | None:
        """The next piece; None when there was none for ``within_s``."""
        if not self._pieces:
            self._news = trio.Event()
            with trio.move_on_after(within_s):
                await self._news.wait()
        if not self._pieces:
            return None
        piece = self._pieces.popleft()
        self._bytes -= len(piece)
        return piece


class Feed:
    """Reads for all viewers of this process. ``tell``: how many there are, said to the database now and then."""

    def __init__(
        self,
        open_connection: Callable[[], Awaitable[ListeningConnection]],
        tell: Callable[[Connection, int], Awaitable[None]],
        *,
        chance: Callable[[], float],
    ) -> None:
        self._open = open_connection
        self._tell = tell
        self._chance = chance
        self._viewers: set[Viewer] = set()
        self._came = trio.Event()
        self._rung = trio.Event()
        self._passed: Place | None = None  # every final event up to here went to those who had joined
        self._provisional: dict[int, Event] = {}
        self._held_since: float | None = None
        self._horizon_said_at = 0.0
        self._horizon_old = False
        self.looks = 0
        self.cut = 0

    @property
    def viewers(self) -> int:
        """How many watch now."""
        return len(self._viewers)

    @property
    def full(self) -> bool:
        """Whether no more may watch here."""
        return len(self._viewers) >= MOST_VIEWERS

    def join(self, viewer: Viewer) -> bool:
        """From now on ``viewer`` gets everything behind his place; False: he lacks what went out already."""
        if self._passed is None:
            self._passed = viewer.place
        elif _key(viewer.place) < _key(self._passed):
            return False
        self._viewers.add(viewer)
        if self._provisional:
            viewer.put(event_frames(self._provisional.values()))
        self._came.set()
        return True

    def leave(self, viewer: Viewer) -> None:
        """Nothing is put before him any more."""
        self._viewers.discard(viewer)
        if viewer.too_slow:
            self.cut += 1

    async def run(self) -> NoReturn:
        """Read for ever while somebody watches; a broken connection is replaced and nothing is lost by it."""
        failures = 0
        while True:
            await self._came.wait()
            try:
                await self._watch()
                failures = 0
            except* DatabaseError as errors:  # of whichever of the two tasks met it first
                log.debug("stream_interrupted", reason=str(errors.exceptions[0]))
                failures += 1
                await trio.sleep(delay(failures, base_s=0.1, cap_s=RETRY_CAP_S, chance=self._chance()))

    async def _watch(self) -> None:
        """Until nobody has watched for a while. Raises DatabaseError."""
        conn = await self._open()
        try:
            await conn.listen(CHANNEL)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._hear, conn)
                await self._look_while_watched(conn)
                nursery.cancel_scope.cancel()
            self._passed = None
            self._provisional.clear()
        finally:
            await conn.aclose()

    async def _hear(self, conn: ListeningConnection) -> NoReturn:
        while True:
            if BEGAN in {notification.payload for notification in await conn.next_batch()}:
                self._say(STIR)
            self._rung.set()

    async def _look_while_watched(self, conn: Connection) -> None:
        told_at = -SAY_VIEWERS_EVERY_S
        told = -1
        seen_at = trio.current_time()
        while True:
            began_at, began_cpu = trio.current_time(), time.process_time()
            if self._viewers:
                seen_at = began_at
            if told != len(self._viewers) or began_at - told_at >= SAY_VIEWERS_EVERY_S:
                told, told_at = len(self._viewers), began_at
                await self._tell(conn, told)
            if not self._viewers and began_at - seen_at >= LINGER_S:
                self._came = trio.Event()
                return
            self._rung = trio.Event()
            flood = await self._look(conn)
            await self._look_at_horizon(conn)
            await self._rest(flood, began_cpu)

    async def _rest(self, flood: bool, began_cpu: float) -> None:
        """Until the next look is due: soon after a ring, later in a flood or when nothing happens."""
        await trio.sleep(GAP_S)
        pause_s = LOOK_EVERY_S if flood else min(LOOK_EVERY_S, (time.process_time() - began_cpu) / SHARE)
        if pause_s > GAP_S:
            await trio.sleep(pause_s - GAP_S)
        wait_s = LOOK_EVERY_S
        if self._held_since is not None:  # nobody rings when the horizon moves on
            wait_s = min(LOOK_EVERY_S, max(GAP_S, (trio.current_time() - self._held_since) / 4))
        with trio.move_on_after(wait_s):
            await self._rung.wait()

    async def _look(self, conn: Connection) -> bool:
        """What is new has been passed on; True when it was more than is shown one by one."""
        self.looks += 1
        assert self._passed is not None
        before = self._passed
        most = max(LEAST, min(MOST, SHOWN // max(1, len(self._viewers))))
        found, behind = await event_store.after(conn, before, limit=most + 1)
        gap = b""
        if len(found) > most:
            skipped, found, behind = await event_store.newest(conn, before, NEWEST)
            gap = gap_frame(skipped)
        final = [one for one in found if one.final]
        ahead = {one.id: one for one in found if not one.final}
        fresh = [one for one in ahead.values() if one.id not in self._provisional]
        self._provisional = ahead
        if ahead and self._held_since is None:
            self._held_since = trio.current_time()
        elif not ahead:
            self._held_since = None
        if gap or final or fresh:
            self._pass_on(gap, final, fresh)
        last = Place(final[-1].xact, final[-1].id) if final else before
        self._passed = max(before, last, behind, key=_key)
        return bool(gap)

    def _pass_on(self, gap: bytes, final: Sequence[Event], fresh: Sequence[Event]) -> None:
        whole = gap + event_frames([*final, *fresh])
        first = (int(final[0].xact), final[0].id) if final else None
        for viewer in list(self._viewers):
            if first is not None and _key(viewer.place) >= first:
                behind = [one for one in final if (int(one.xact), one.id) > _key(viewer.place)]
                viewer.put(event_frames([*behind, *fresh]))
            else:
                viewer.put(whole)

    async def _look_at_horizon(self, conn: Connection) -> None:
        """While events stay provisional for long, the viewers are told for how long and why; and when it is over."""
        now = trio.current_time()
        held_s = 0.0 if self._held_since is None else now - self._held_since
        if held_s < HORIZON_OLD_S:
            if self._horizon_old:
                self._horizon_old = False
                self._say_horizon(Horizon(0.0, None))
            return
        if now - self._horizon_said_at < HORIZON_OLD_S:
            return
        self._horizon_old, self._horizon_said_at = True, now
        held = await viewer_store.horizon(conn)
        age_s = held.age_s if held and held.age_s is not None else held_s
        self._say_horizon(Horizon(age_s, held.held_by if held else None))

    def _say_horizon(self, horizon: Horizon) -> None:
        self._say(frame("horizon", horizon._asdict()))

    def _say(self, piece: bytes) -> None:
        for viewer in list(self._viewers):
            viewer.put(piece)


def _key(place: Place) -> tuple[int, int]:
    return int(place.xact), place.id
