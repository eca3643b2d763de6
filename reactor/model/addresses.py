"""Which addresses of the network a request of ours may go to, and what a URL really names.

The rule: only what the registries call global, plus what the caller trusts by name. An IPv6 address that carries an IPv4 one
(mapped, 6to4, Teredo, NAT64, compatible) is judged by both. A host that is a number in any of the spellings
``inet_aton`` knows (``2130706433``, ``0x7f.1``, ``0177.0.0.1``) is the address it stands for.
"""

import ipaddress
import re
from collections.abc import Collection
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import idna

from reactor.errors import AddressRefused

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

LONGEST_URL = 2000  # characters
_PORTS: Final = {"http": 80, "https": 443}
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_COMPATIBLE: Final = ipaddress.IPv6Network("::/96")
# Global by their registration, yet what answers there is the platform a machine runs on, with its credentials.
_METADATA: Final[frozenset[Address]] = frozenset({ipaddress.IPv4Address("168.63.129.16")})
_HOUSE_NAMES: Final = ("localhost", "local", "internal", "localdomain", "home.arpa")
_NUMBER = re.compile(r"(0x[0-9a-f]*|[0-9]+)")
_UNWRITABLE = re.compile(r"[\x00-\x20\x7f-\xa0\\\u2028\u2029\ufeff]")


class Target(NamedTuple):
    """Where a URL leads: scheme, host as ASCII (an address without brackets), port, and path with query."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def place(self) -> str:
        """host:port."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def authority(self) -> str:
        """What the Host header says: the port only where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The URL in its one spelling."""
        return f"{self.scheme}://{self.authority}{self.path}"


def target_of(url: str) -> Target:
    """What ``url`` names. Raises: AddressRefused: no http(s), a user or password in it, no host, or not a URL at all."""
    if len(url) > LONGEST_URL:
        raise AddressRefused(f"a URL may have {LONGEST_URL} characters, not more")
    if _UNWRITABLE.search(url):
        raise AddressRefused("a URL has no blanks, backslashes or control characters")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise AddressRefused("that is no URL: its host or port cannot be read") from None
    if parts.scheme not in _PORTS:
        raise AddressRefused(f"only http and https are fetched, not {parts.scheme[:20] or 'a path'!r}")
    if "@" in parts.netloc:
        raise AddressRefused("a URL with a user or a password in it is not used")
    if not parts.hostname or port == 0:
        raise AddressRefused("the URL names no host")
    path = _ascii(parts.path or "/") + (f"?{_ascii(parts.query)}" if parts.query else "")
    return Target(parts.scheme, _host(parts.hostname), port or _PORTS[parts.scheme], path)


def _ascii(text: str) -> str:
    return "".join(
        c if "!" <= c <= "~" else "".join(f"%{byte:02X}" for byte in c.encode("utf-8", "replace"))
        for c in text
    )


def _host(name: str) -> str:
    if "%" in name:
        raise AddressRefused("a host has no percent signs or zones")
    if ":" in name:
        try:
            return str(ipaddress.IPv6Address(name))
        except ValueError:
            raise AddressRefused("that is no IPv6 address") from None
    if not name.isascii():
        try:
            name = idna.encode(name, uts46=True).decode()
        except UnicodeError:
            raise AddressRefused("that host name cannot be written in ASCII") from None
    name = name.lower().rstrip(".")
    if not name or len(name) > 253 or not all(0 < len(label) <= 63 for label in name.split(".")):
        raise AddressRefused("the URL names no host")
    if not re.fullmatch(r"[a-z0-9._-]+", name):
        raise AddressRefused("a host name has letters, digits, dots and hyphens only")
    number = _as_number(name)
    return name if number is None else str(number)


def _as_number(name: str) -> ipaddress.IPv4Address | None:
    """The IPv4 address that C libraries read in ``name``; None when it is a name."""
    parts = name.split(".")
    if not _NUMBER.fullmatch(parts[-1]):
        return None
    if len(parts) > 4 or not all(_NUMBER.fullmatch(part) for part in parts):
        raise AddressRefused("that host is neither a name nor an address")
    try:
        *heads, last = [_digits(part) for part in parts]
    except ValueError:
        raise AddressRefused("that host is neither a name nor an address") from None
    room = 4 - len(heads)
    if any(head > 255 for head in heads) or last >= 256**room:
        raise AddressRefused("that host is neither a name nor an address")
    value = last
    for place, head in enumerate(heads):
        value += head << (8 * (3 - place))
    return ipaddress.IPv4Address(value)


def _digits(part: str) -> int:
    if part.startswith("0x"):
        return int(part[2:] or "0", 16)
    return int(part, 8) if part.startswith("0") and part != "0" else int(part)


def refuse_name(target: Target, trusted: Collection[str] = ()) -> None:
    """Return when the host may be looked up. Raises: AddressRefused: a name of this house, or no global address."""
    if target.place in trusted:
        return
    if any(target.host == name or target.host.endswith("." + name) for name in _HOUSE_NAMES):
        raise AddressRefused(f"{target.host[:100]} is a name of this house, not of the open net")
    try:
        address = ipaddress.ip_address(target.host)
    except ValueError:
        return
    refuse_address(address)


def refuse_address(address: Address | str) -> None:
    """Return when the address lies in the open net. Raises: AddressRefused: it does not; says which."""
    if isinstance(address, str):
        address = ipaddress.ip_address(address)
    if not is_open(address):
        raise AddressRefused(
            f"{address} is private, local or reserved: only addresses of the open net are used"
            " (policy private_hosts names exceptions for webhooks)"
        )


def is_open(address: Address) -> bool:
    """Whether the address, and any IPv4 address inside it, is a global unicast one and nobody's metadata service."""
    if not _is_plain_open(address):
        return False
    return all(_is_plain_open(inner) for inner in _inside(address))


def _is_plain_open(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None or address.is_site_local:
            return False
        if address in _NAT64 or address.ipv4_mapped is not None:
            return True  # judged by what it carries
    return (
        address.is_global
        and not address.is_multicast
        and not address.is_reserved
        and not address.is_unspecified
        and address not in _METADATA
    )


def _inside(address: Address) -> list[ipaddress.IPv4Address]:
    if isinstance(address, ipaddress.IPv4Address):
        return []
    found = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in _NAT64 or address in _COMPATIBLE:
        found.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return [inner for inner in found if inner is not None]
