"""Who may do what over HTTP, decided before any route is looked at.

Without a token only this machine is served, and "this machine" has to be proven by more than the address the packets
come from: a page in the operator's browser can send requests to 127.0.0.1, and a proxy beside us forwards those of
strangers. So the Host must be a loopback name (a page of another site reaches us under its own name at best), nothing may
say that the request was forwarded, and what changes something must come from a page of ours or from no page at all.

With a token everything needs it, also from this machine, but for the two probes: who sets one expects company.
The Host is then not looked at, since it is whatever a proxy says; a stranger's page has no token to send.
"""

import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

from pydantic import SecretStr
from starlette.types import ASGIApp, Receive, Scope, Send

from reactor.settings import is_loopback
from reactor.web.problems import problem

PROBES = frozenset({"/healthz", "/readyz"})
READING = frozenset({"GET", "HEAD", "OPTIONS"})
_FORWARDED = re.compile(rb"forwarded|x-forwarded-.+|x-real-ip|via")
_AUTHORITY = re.compile(r"(?P<host>\[[0-9a-f:.%]+\]|[^\s:/@\[\]]+)(?::(?P<port>[0-9]{1,5}))?")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_ASK_FOR_TOKEN = {"www-authenticate": 'Bearer realm="voxyz-reactor"'}

Headers = Iterable[tuple[bytes, bytes]]


class Grant(StrEnum):
    """What a request may do; routes find it in ``request.state.grant``."""

    PROBE = "probe"  # ask whether we are well
    READ = "read"
    ALL = "all"


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

    def judge(self, method: str, path: str, headers: Headers) -> Grant | Refusal:
        """What a request with these ``headers`` (names in lower case) may do, or why it may not."""
        given = list(headers)
        verdict = self._by_token(path, given) if self._keys else _by_place(given)
        if isinstance(verdict, Refusal) or method in READING:
            return verdict
        if verdict is not Grant.ALL:
            return Refusal(403, f"this token may only look, and {method[:20]} changes something")
        return _foreign_page(given) or verdict

    def _by_token(self, path: str, given: Headers) -> Grant | Refusal:
        values = _values(given, b"authorization")
        if not values and path in PROBES:
            return Grant.PROBE
        if len(values) != 1:
            return Refusal(
                401, "send Authorization: Bearer with the token in OPS_API_TOKEN or OPS_READ_TOKEN"
            )
        scheme, _, token = values[0].partition(b" ")
        offered = _digest(token.strip())
        # Every key is compared, whichever fits: how long it takes says nothing.
        fitting = [grant for digest, grant in self._keys if hmac.compare_digest(digest, offered)]
        if scheme.lower() != b"bearer" or not fitting:
            return Grant.PROBE if path in PROBES else Refusal(401, "this token opens nothing here")
        return fitting[0]


class Access:
    """ASGI: serves what the rules grant and answers the rest with a problem. Nothing but HTTP passes."""

    def __init__(self, app: ASGIApp, rules: Rules) -> None:
        self._app = app
        self._rules = rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or one attempt at something else."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] == "http":
            verdict = self._rules.judge(scope["method"], scope["path"], scope["headers"])
            if isinstance(verdict, Refusal):
                headers = _ASK_FOR_TOKEN if verdict.status == 401 else None
                await problem(verdict.status, verdict.detail, headers=headers)(scope, receive, send)
                return
            scope.setdefault("state", {})["grant"] = verdict
        await self._app(scope, receive, send)


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
