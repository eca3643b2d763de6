"""``/api/ops/stream``: the events as they happen, as server-sent events.

A message called ``event`` carries an id when it is final, and that id is a place: who comes back with it
(``Last-Event-ID``, or ``after`` the first time) gets everything behind it, once. A message without an id is provisional
and comes again. ``hello`` says where one begins; ``horizon`` that a transaction left open keeps events provisional;
``began`` that some work has begun, which is no event.

When more happens than can be shown, live or while one was away, ``gap`` says how many events of which kind were left out,
and at which address they can be read; the newest follow.
"""

import contextvars
from contextlib import suppress
from typing import Final, NoReturn

import trio
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from reactor.errors import DatabaseError, ReactorError
from reactor.store import events as event_store
from reactor.store import lists
from reactor.store.events import Place
from reactor.web.desk import Desk
from reactor.web.feed import NEWEST, Viewer
from reactor.web.frames import PULSE, cursor, event_frames, frame, gap_frame, place_of
from reactor.web.problems import NotReady, explain, problem, problem_of
from reactor.web.server import cut_off

PULSE_S: Final = 15.0
PAGE: Final = 500  # events that one who catches up is sent at once
MOST_BEHIND: Final = 5_000  # of them; who was away for longer is told how many there were
COME_BACK_MS: Final = 1000
FULL_RETRY_AFTER_S: Final = 10
_HEADERS: Final = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"x-accel-buffering", b"no"),  # a proxy that gathers answers would make the stream useless
]


def _no_connection() -> None:
    """There is none to close, as when no server of ours is in front."""


class Stream:
    """The route."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def begin(self, request: Request) -> Response:
        """The answer to one who wants to watch: the stream, or why not."""
        wanted = request.headers.get("last-event-id") or request.query_params.get("after")
        unknown = [name[:100] for name in request.query_params if name != "after"]
        if unknown:
            return problem(400, f"unknown parameter {unknown[0]!r}: after is known")
        place = place_of(wanted) if wanted else None
        if wanted and place is None:
            return problem(400, "after and Last-Event-ID must be a place that came as the id of a message")
        if self._desk.feed.full:
            told = "as many watch here as may: try again later, or at another reactor"
            return problem(503, told, headers={"retry-after": str(FULL_RETRY_AFTER_S)})
        try:
            if place is None:
                async with self._desk.reading() as conn:
                    place = await lists.place(conn)
            else:
                _ = self._desk.reactor  # raises while there is none
        except ReactorError as error:
            return problem_of(explain(error))
        return Watching(self._desk, place, place_is_now=not wanted)


class Watching(Response):
    """One stream from its beginning to its end."""

    def __init__(self, desk: Desk, place: Place, *, place_is_now: bool) -> None:
        self.status_code = 200
        self.background = None
        self._desk = desk
        self._place = place
        self._place_is_now = place_is_now

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Speak until the client is gone, or too slow."""
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        viewer = Viewer(self._place, contextvars.copy_context().get(cut_off, _no_connection))
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._until_gone, receive, nursery.cancel_scope)
                with suppress(DatabaseError, NotReady):  # the client comes back to its last place
                    await self._speak(viewer, send)
                nursery.cancel_scope.cancel()
        finally:
            self._desk.feed.leave(viewer)
        if not viewer.too_slow:
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _until_gone(self, receive: Receive, scope: trio.CancelScope) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        scope.cancel()

    async def _speak(self, viewer: Viewer, send: Send) -> NoReturn:
        feed = self._desk.feed

        async def say(piece: bytes) -> None:
            await send({"type": "http.response.body", "body": piece, "more_body": True})

        place = cursor(viewer.place)
        hello = frame("hello", {"place": place, "viewers": feed.viewers + 1}, place)
        await say(b"retry: %d\n%s" % (COME_BACK_MS, hello))
        sent, caught_up = 0, self._place_is_now
        while not (caught_up and feed.join(viewer)):
            if sent < MOST_BEHIND:
                piece, caught_up = await self._catch_up(viewer)
                sent += PAGE
            else:
                piece, caught_up = await self._skip(viewer), True
            await say(piece)
        while True:
            news = await viewer.take(PULSE_S)
            if viewer.too_slow:
                raise NotReady("this viewer is too slow")
            await say(news if news is not None else PULSE)

    async def _catch_up(self, viewer: Viewer) -> tuple[bytes, bool]:
        """The next final events behind the viewer's place, which moves behind them, and whether those were all."""
        async with self._desk.reading() as conn:
            found, place = await event_store.after(conn, viewer.place, limit=PAGE)
        viewer.place = place
        behind = (int(place.xact), place.id)
        final = (one for one in found if one.final and (int(one.xact), one.id) <= behind)
        return event_frames(final) or PULSE, len(found) < PAGE

    async def _skip(self, viewer: Viewer) -> bytes:
        """The newest final events behind the viewer's place and what lies between, counted; his place moves behind them."""
        async with self._desk.reading() as conn:
            skipped, found, viewer.place = await event_store.newest(conn, viewer.place, NEWEST)
        return gap_frame(skipped) + event_frames(one for one in found if one.final) or PULSE
