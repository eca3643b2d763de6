"""Who may do what over HTTP, decided before any route is looked at.

Without a token only this machine is served, and "this machine" has to be proven by more than the address the packets
come from: a page in the operator's browser can send requests to 127.0.0.1, and a proxy beside us forwards those of
strangers. So the Host must be a loopback name (a page of another site reaches us under its own name at best), nothing may
say that the request was forwarded, and what changes something must come from a page of ours or from no page at all.

With a token everything needs it, also from this machine, but for the two probes and the page where one signs in: who sets
one expects company. It comes with every request (``Authorization``), or once to ``/ops/login``, which gives a cookie for it;
what a cookie may change needs the word that our own pages know (see `reactor.web.sessions`). The Host is then not looked
at, since it is whatever a proxy says; a stranger's page has neither token nor word to send.
"""

import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from pydantic import SecretStr
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reactor.settings import is_loopback
from reactor.web.bare import STYLE
from reactor.web.forms import fields_of, is_form
from reactor.web.limits import WRONG_TOKENS_A_MINUTE, Buckets, address_of
from reactor.web.refusing import is_from_script, refusal_of, wants_a_page
from reactor.web.sessions import Grant, Session, Sessions, cookie_of

__all__ = ["Access", "Grant", "Refusal", "Rules"]

PROBES = frozenset({"/healthz", "/readyz"})
LOGIN = "/ops/login"
LOGOUT = "/ops/logout"
OPEN = PROBES | {LOGIN, STYLE}
READING = frozenset({"GET", "HEAD", "OPTIONS"})
_FORWARDED = re.compile(rb"forwarded|x-forwarded-.+|x-real-ip|via")
_AUTHORITY = re.compile(r"(?P<host>\[[0-9a-f:.%]+\]|[^\s:/@\[\]]+)(?::(?P<port>[0-9]{1,5}))?")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_ASK_FOR_TOKEN = {"www-authenticate": 'Bearer realm="voxyz-reactor"'}
_WANTED = "send Authorization: Bearer with the token in OPS_API_TOKEN or OPS_READ_TOKEN"

Headers = Iterable[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is not served."""

    status: int
    detail: str


class Rules:
    """The rules of one process, by the tokens it was given."""

    def __init__(self, api_token: SecretStr | None = None, read_token: SecretStr | None = None) -> None:
        self._keys = [
            (_digest(token.get_secret_value().encode()), grant)
            for token, grant in ((api_token, Grant.ALL), (read_token, Grant.READ))
            if token is not None
        ]
        self.sessions = Sessions(api_token, read_token)

    @property
    def open(self) -> bool:
        """Whether there is no token at all, and this machine may do everything."""
        return not self._keys

    def judge(self, method: str, path: str, headers: Headers) -> Grant | Refusal:
        """What a request with these ``headers`` (names in lower case) may do, or why it may not."""
        given = list(headers)
        verdict = self._by_token(path, given) if self._keys else _by_place(given)
        if isinstance(verdict, Refusal) or method in READING:
            return verdict
        if verdict is not Grant.ALL and path not in (LOGIN, LOGOUT):
            return Refusal(403, f"this token may only look, and {method[:20]} changes something")
        return _foreign_page(given) or verdict

    def session(self, headers: Headers) -> Session | None:
        """The session whose cookie is the reason for what `judge` grants; None when it is another, or there is none."""
        given = list(headers)
        if not self._keys or _values(given, b"authorization"):
            return None
        cookies = _values(given, b"cookie")
        value = cookie_of(b"; ".join(cookies)) if cookies else None
        return self.sessions.read(value) if value else None

    def grant_of(self, token: bytes) -> Grant | None:
        """What who has ``token`` may do."""
        offered = _digest(token)
        # Every key is compared, whichever fits: how long it takes says nothing.
        fitting = [grant for digest, grant in self._keys if hmac.compare_digest(digest, offered)]
        return fitting[0] if fitting else None

    def _by_token(self, path: str, given: Headers) -> Grant | Refusal:
        values = _values(given, b"authorization")
        if not values:
            session = self.session(given)
            if session is not None:
                return session.grant
            return Grant.PROBE if path in OPEN else Refusal(401, _WANTED)
        if len(values) != 1:
            return Refusal(401, _WANTED)
        scheme, _, token = values[0].partition(b" ")
        grant = self.grant_of(token.strip())
        if scheme.lower() != b"bearer" or grant is None:
            return Grant.PROBE if path in PROBES else Refusal(401, "this token opens nothing here")
        return grant


class Access:
    """ASGI: serves what the rules grant and answers the rest with a problem. Nothing but HTTP passes."""

    def __init__(self, app: ASGIApp, rules: Rules) -> None:
        self._app = app
        self._rules = rules
        self._wrong = Buckets(WRONG_TOKENS_A_MINUTE / 60, WRONG_TOKENS_A_MINUTE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or one attempt at something else."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] == "http":
            verdict = self._judge(scope)
            if isinstance(verdict, Refusal):
                await _refuse(verdict, scope, receive, send)
                return
            session = self._rules.session(scope["headers"])
            scope.setdefault("state", {}).update(grant=verdict, session=session)
            if session is not None and scope["method"] not in READING:
                known, receive = await _knows_the_word(session, scope, receive)
                if not known:
                    refusal = Refusal(
                        403, "the page was opened too long ago: load it again, then repeat this"
                    )
                    await _refuse(refusal, scope, receive, send)
                    return
        await self._app(scope, receive, send)

    def _judge(self, scope: Scope) -> Grant | Refusal:
        """As the rules say; but who offered too many wrong tokens waits, also with a right one."""
        offers = any(name == b"authorization" for name, _ in scope["headers"])
        address = address_of(scope)
        if offers and not self._rules.open and scope["path"] not in PROBES and self._wrong.wait_s(address):
            return Refusal(429, "too many wrong tokens came from there: wait a minute")
        verdict = self._rules.judge(scope["method"], scope["path"], scope["headers"])
        if offers and isinstance(verdict, Refusal) and verdict.status == 401:
            self._wrong.take(address)
        return verdict


async def _refuse(refusal: Refusal, scope: Scope, receive: Receive, send: Send) -> None:
    """As its asker can read it; but a browser that wants the page is sent to where one signs in."""
    told = refusal.detail
    if refusal.status == 401 and wants_a_page(scope) and not is_from_script(scope):
        where = quote(scope["path"], safe="/") if scope["method"] == "GET" else "/ops"
        await RedirectResponse(f"{LOGIN}?next={where}", 303)(scope, receive, send)
        return
    if refusal.status == 401 and is_from_script(scope):
        told = "nothing was done: you are signed out. Load the page again to sign in"
    headers = {401: _ASK_FOR_TOKEN, 429: {"retry-after": "60"}}.get(refusal.status)
    await refusal_of(scope, refusal.status, told, headers)(scope, receive, send)


async def _knows_the_word(session: Session, scope: Scope, receive: Receive) -> tuple[bool, Receive]:
    """Whether the request brings the session's word, in a header or a form; and how its body is received from now on."""
    said = _values(scope["headers"], b"x-csrf-token")
    if not said and any(
        is_form(value.decode("latin-1")) for value in _values(scope["headers"], b"content-type")
    ):
        body, receive = await _read_ahead(receive)
        said = [fields_of(body).get("csrf", "").encode()]
    known = len(said) == 1 and hmac.compare_digest(said[0], session.csrf.encode())
    return known, receive


async def _read_ahead(receive: Receive) -> tuple[bytes, Receive]:
    """The body, and a way to receive it once more; it is bounded before it comes here."""
    parts: list[bytes] = []
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            break
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    body = b"".join(parts)
    again: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return again.pop() if again else await receive()

    return body, replayed


def _by_place(given: Headers) -> Grant | Refusal:
    """Without a token: whether the request is from this machine, by every sign there is."""
    if any(_FORWARDED.fullmatch(name) for name, _ in given):
        return Refusal(403, "this request was forwarded: set OPS_API_TOKEN to serve others than this machine")
    hosts = _values(given, b"host")
    authority = _authority(hosts[0]) if len(hosts) == 1 else None
    if authority is None or not is_loopback(authority[0]):
        return Refusal(
            403, "only localhost and 127.0.0.1 are served: set OPS_API_TOKEN to be reached by another name"
        )
    return Grant.ALL


def _foreign_page(given: Headers) -> Refusal | None:
    """A refusal when a page of another origin sends this; who is no page says nothing of an origin."""
    origins = _values(given, b"origin")
    sites = _values(given, b"sec-fetch-site")
    foreign = Refusal(403, "a page of another site may change nothing here")
    if any(site not in (b"same-origin", b"none") for site in sites):
        return foreign
    if not origins:
        return None
    hosts = _values(given, b"host")
    if len(origins) != 1 or len(hosts) != 1:
        return foreign
    try:
        origin = urlsplit(origins[0].decode("latin-1").lower())
    except ValueError:
        return foreign
    default = _DEFAULT_PORTS.get(origin.scheme)
    theirs, ours = _authority(origin.netloc.encode("latin-1")), _authority(hosts[0])
    if default is None or theirs is None or ours is None:
        return foreign
    same = (theirs[0], theirs[1] or default) == (ours[0], ours[1] or default)
    return None if same else foreign


def _authority(value: bytes) -> tuple[str, int | None] | None:
    """Host (lower case, without brackets) and port of an authority; None when it is none."""
    match = _AUTHORITY.fullmatch(value.decode("latin-1").strip().lower())
    if match is None:
        return None
    return match["host"].strip("[]"), int(match["port"]) if match["port"] else None


def _values(given: Headers, wanted: bytes) -> list[bytes]:
    return [value for name, value in given if name == wanted]


def _digest(secret: bytes) -> bytes:
    """Of one length, whatever the secret's."""
    return hashlib.sha256(secret).digest()
