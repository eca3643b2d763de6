"""A browser that signed in with a token: the cookie, the word against forged forms, and the link that signs in once.

Of a cookie nothing is kept: it says what it grants and until when, signed with a key that only who knows the tokens can
make. So every reactor with the same tokens takes it, and other tokens end every session. It is not readable by scripts and
not sent along with requests that another site begins; a change also needs the *word*, which only our own pages know.
"""

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from http.cookies import CookieError, SimpleCookie
from typing import Final

from pydantic import SecretStr
from starlette.requests import Request

from reactor.settings import Settings

COOKIE: Final = "voxyz_session"
LASTS_S: Final = 12 * 3600
TICKET_LASTS_S: Final = 60


class Grant(StrEnum):
    """What a request may do; routes find it in ``request.state.grant``."""

    PROBE = "probe"  # ask whether we are well, and sign in
    READ = "read"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Session:
    """A valid cookie. ``csrf``: the word that a change has to bring."""

    grant: Grant
    csrf: str


@dataclass(frozen=True, slots=True)
class Link:
    """A link that signs in once: what it grants, until when (Unix time), and the digest by which its use is kept."""

    grant: Grant
    expires_at: float
    digest: str


class Sessions:
    """Makes and reads cookies and tickets for one pair of tokens."""

    def __init__(
        self,
        api_token: SecretStr | None = None,
        read_token: SecretStr | None = None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        given = [token.get_secret_value() if token else "" for token in (api_token, read_token)]
        self._key = hashlib.sha256("\0".join(["voxyz session", *given]).encode()).digest()
        self._most = Grant.ALL if api_token else Grant.READ
        self._clock = clock

    def cookie(self, grant: Grant) -> str:
        """A new cookie's value."""
        return self._signed("session", grant, LASTS_S)

    def read(self, cookie: str) -> Session | None:
        """What the cookie stands for; None when it is not ours, or over."""
        fields = self._fields("session", cookie)
        if fields is None:
            return None
        return Session(Grant(fields[1]), self._mac(f"csrf.{cookie}"))

    def ticket(self) -> str:
        """The word of a link that signs in once, within a minute, with all that the tokens grant."""
        return self._signed("ticket", self._most, TICKET_LASTS_S)

    def link(self, ticket: str) -> Link | None:
        """What the ticket grants; None when it is not ours, or over. Whether it was used before, the database knows."""
        fields = self._fields("ticket", ticket)
        if fields is None:
            return None
        return Link(Grant(fields[1]), float(fields[2]), hashlib.sha256(ticket.encode()).hexdigest())

    def _signed(self, what: str, grant: Grant, lasts_s: float) -> str:
        text = f"{what}.{grant.value}.{int(self._clock() + lasts_s)}.{secrets.token_urlsafe(16)}"
        return f"{text}.{self._mac(text)}"

    def _fields(self, what: str, value: str) -> list[str] | None:
        text, _, signature = value.rpartition(".")
        if not hmac.compare_digest(self._mac(text).encode(), signature.encode("utf-8", "replace")):
            return None
        fields = text.split(".")
        return fields if fields[0] == what and int(fields[2]) > self._clock() else None

    def _mac(self, text: str) -> str:
        return hmac.new(self._key, text.encode("utf-8", "replace"), hashlib.sha256).hexdigest()


def cookie_of(header: bytes) -> str | None:
    """The value of our cookie in a Cookie header, None when it is not there."""
    try:
        found = SimpleCookie(header.decode("latin-1")).get(COOKIE)
    except CookieError:
        return None
    return found.value if found else None


def csrf_of(request: Request) -> str:
    """The word that forms of this request's page send in field ``csrf``; empty when no cookie is in play."""
    session: Session | None = getattr(request.state, "session", None)
    return session.csrf if session else ""


def ticket(settings: Settings) -> str | None:
    """The word for ``/ops/login?ticket=…``; None when these settings need none."""
    if settings.api_token is None and settings.read_token is None:
        return None
    return Sessions(settings.api_token, settings.read_token).ticket()
