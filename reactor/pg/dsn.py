"""What a database address says: read, shown without its secrets, changed.

Both forms libpq knows are understood, URIs and ``key=value`` words. Parameters that only other programs know
(`?pgbouncer=true` and its kind, put there by the makers of hosted databases for their own clients) are
dropped: libpq would refuse the whole address for them.

An address may change while a process runs, when somebody rotates the password in the file it came from.
"""

import re
from collections.abc import Callable, Mapping
from typing import Self
from urllib.parse import quote

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from reactor.errors import ConfigurationError

_FOREIGN = re.compile(
    r"(?<=[?&])(?:pgbouncer|connection_limit|pool_timeout|statement_cache_size|supa|schema|sslaccept)=[^&#]*&?"
)
_DRIVER = re.compile(r"^postgres(?:ql)?\+\w+://")
_URI = re.compile(r"^postgres(?:ql)?://")
_SECRETS = ("password", "sslpassword", "oauth_client_secret")
_IN_THE_URI_ITSELF = ("user", "password", "host", "port", "dbname")


class ChangingAddress(str):
    """An address as it was first read; `current` is what every new connection goes by."""

    __slots__ = ("_look",)
    _look: Callable[[], str | None]

    def __new__(cls, text: str, look: Callable[[], str | None]) -> Self:
        """``look`` says what the address is now, None when that cannot be told."""
        address = super().__new__(cls, text)
        address._look = look
        return address

    def current(self) -> str:
        """The address now; the one first read when there is none to be found."""
        return self._look() or str(self)


def current(dsn: str) -> str:
    """``dsn`` as it is now."""
    return dsn.current() if isinstance(dsn, ChangingAddress) else dsn


def is_uri(dsn: str) -> bool:
    """Whether ``dsn`` is written as a URI."""
    return _URI.match(_without_foreign(dsn)) is not None


def parse(dsn: str) -> dict[str, str]:
    """The parameters ``dsn`` names, by libpq's keywords.

    Raises: ConfigurationError: it is no PostgreSQL address; the message repeats no part of it that may be
        secret.
    """
    try:
        params = {key: str(value) for key, value in conninfo_to_dict(_without_foreign(dsn)).items()}
    except psycopg.Error as error:
        raise _unreadable(re.sub(r'"[^"]*"?', "…", (str(error).splitlines() or ["malformed"])[0])) from None
    except ValueError:
        raise _unreadable("it holds characters that cannot be part of one") from None
    # A password with a bare / makes libpq take part of it for the port, and name it in its messages.
    if not all(
        port == "" or (port.isascii() and port.isdigit()) for port in params.get("port", "").split(",")
    ):
        raise _unreadable("the port is no number")
    return params


def _unreadable(reason: str) -> ConfigurationError:
    return ConfigurationError(
        f"the database address cannot be read ({reason}): write postgresql://user:password@host:5432/database,"
        " with @ : / ? # % in the password percent-encoded"
    )


def _without_foreign(dsn: str) -> str:
    dsn = _DRIVER.sub("postgresql://", dsn.strip())
    if not _URI.match(dsn):
        return dsn
    return re.sub(r"[?&]$", "", _FOREIGN.sub("", dsn))


def compose(params: Mapping[str, str], *, uri: bool) -> str:
    """The address that says ``params``, as a URI or as ``key=value`` words."""
    return _as_uri(params) if uri else make_conninfo("", **params)


def with_database(dsn: str, name: str) -> str:
    """The same server, user and options with another database, in the form ``dsn`` has."""
    return compose({**parse(dsn), "dbname": name}, uri=is_uri(dsn))


def as_uri(dsn: str) -> str:
    """``dsn`` as a URI, password included."""
    return _as_uri(parse(dsn))


def redact(dsn: str) -> str:
    """``dsn`` fit to be shown: without any secret. Never raises; what cannot be read is not repeated."""
    try:
        params = {key: value for key, value in parse(dsn).items() if key not in _SECRETS}
    except ConfigurationError:
        return "(an address that cannot be read)"
    return compose(params, uri=is_uri(dsn))


def hosts(dsn: str) -> list[str]:
    """The hosts ``dsn`` tries, in order: names, addresses, socket directories; empty means libpq's own."""
    params = parse(dsn)
    named = params.get("host") or params.get("hostaddr") or ""
    return named.split(",") if named else []


def pooler_remedy(dsn: str) -> str:
    """What to do about ``dsn``, which pools transactions, in half a sentence; the hosted ones' habits are known."""
    params = parse(dsn)
    for host in hosts(dsn):
        if host.endswith(".pooler.supabase.com") and "6543" in params.get("port", "").split(","):
            return f"set DIRECT_URL to port 5432 of the same host ({host}), which is its session mode"
        if "-pooler." in host:
            return f"set DIRECT_URL to the same address without -pooler ({host.replace('-pooler.', '.', 1)})"
    return "set DIRECT_URL to an address of the same database without a pooler, or one in session mode"


def _as_uri(params: Mapping[str, str]) -> str:
    user = quote(params.get("user", ""), safe="")
    secret = ":" + quote(params["password"], safe="") if params.get("password") else ""
    names = params.get("host", "").split(",")
    ports = params.get("port", "").split(",")
    if len(ports) == 1:
        ports *= len(names)
    rest = {key: value for key, value in params.items() if key not in _IN_THE_URI_ITSELF}
    if any(name.startswith(("/", "@")) for name in names) and len(names) == 1:
        rest = {"host": names[0], **({"port": ports[0]} if ports[0] else {}), **rest}
        names, ports = [""], [""]
    places = ",".join(
        (f"[{name}]" if ":" in name else quote(name, safe="")) + (f":{port}" if port else "")
        for name, port in zip(names, ports, strict=False)
    )
    query = "&".join(f"{key}={quote(value, safe='/')}" for key, value in rest.items())
    login = f"{user}{secret}@" if user or secret else ""
    return f"postgresql://{login}{places}/{quote(params.get('dbname', ''), safe='')}" + (
        f"?{query}" if query else ""
    )
