"""What a dispatcher has heard since it last looked.

The flags are cleared *before* a claim, never after it: a flag cleared after the claim loses the ring that came during it.
"""

from enum import StrEnum

import trio


class Via(StrEnum):
    """What woke a dispatcher: the label of the wake metrics."""

    BELL = "bell"
    DUE = "due"
    SWEEP = "sweep"
    NEWS = "news"  # from our own handlers, from a peer's pass, or from the control channel


class Wake:
    """Rings, passes and news for one queue."""

    def __init__(self) -> None:
        self._ringing: Via | None = None
        self._passed = False
        self._event = trio.Event()

    def ring(self, via: Via) -> None:
        """Something may have become claimable: whoever sleeps starts over. A bell outranks any other reason."""
        if self._ringing is None or via is Via.BELL:
            self._ringing = via
        self._event.set()

    def pass_on(self) -> None:
        """A peer let go of the bell."""
        self._passed = True
        self._event.set()

    def forget_pass(self) -> None:
        """Passes heard so far mean nothing to whoever just took the bell; a ring stays."""
        self._passed = False
        if self._ringing is None:
            self._event = trio.Event()

    def clear(self) -> None:
        """Forget everything heard so far."""
        self._ringing = None
        self._passed = False
        if self._event.is_set():
            self._event = trio.Event()

    @property
    def heard(self) -> Via | None:
        """The best reason to start over, or None."""
        if self._ringing is not None:
            return self._ringing
        return Via.NEWS if self._passed else None

    async def wait(self, at_most_s: float) -> Via | None:
        """Sleep until something is heard, or for ``at_most_s`` seconds; returns what was heard, None for nothing."""
        if self.heard is None:
            with trio.move_on_after(at_most_s):
                await self._event.wait()
        return self.heard
