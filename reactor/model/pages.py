"""What a page's headers say about its bytes."""

import codecs
import re

READABLE = (
    "text/",
    "application/xhtml+xml",
    "application/xml",
    "application/json",
    "application/rss+xml",
    "application/atom+xml",
)
_CHARSET = re.compile(r"charset=[\"']?([A-Za-z0-9_.:-]{1,40})", re.IGNORECASE)


def media_type(header: str) -> str:
    """``text/html`` of ``text/html; charset=utf-8``; HTML where nothing is said."""
    return header.split(";")[0].strip().lower()[:100] or "text/html"


def is_readable(media: str) -> bool:
    """Whether there is text in it for us."""
    return media.startswith(READABLE)


def decoded(body: bytes, header: str) -> str:
    """The body as text by the header's charset, else UTF-8; what cannot be read becomes a replacement character."""
    found = _CHARSET.search(header)
    name = found[1] if found else "utf-8"
    try:
        if not codecs.lookup(name)._is_text_encoding:
            name = "utf-8"
    except LookupError:
        name = "utf-8"
    return body.decode(name, "replace")
