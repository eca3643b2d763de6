"""What a built site must hold to: it loads nothing from another host, and every link inside it leads somewhere.

Standard library only: the environment that builds the site has nothing of ours.
"""

import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {"src", "srcset", "poster", "data"}
_IN_STYLES = re.compile(r"""(?:url\(\s*|@import\s+)["']?((?:https?:)?//[^"')\s]+)""")


class Page(HTMLParser):
    """What a page loads, what it links to, and the anchors it has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """As HTMLParser calls it."""
        for name, value in attrs:
            if not value:
                continue
            if name in LOADED or (tag == "link" and name == "href"):
                self.loads.append(value)
            elif name == "href" and tag == "a":
                self.links.append(value)
            elif name == "id":
                self.anchors.add(value)


def complaints(root: Path) -> Iterator[str]:
    """What is wrong with the site under ``root``, a sentence each."""
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in sorted(root.rglob("*.html"))}
    if not pages:
        yield f"{root} has no page"
    for path, page in pages.items():
        name = path.relative_to(root)
        for address in page.loads:
            if _elsewhere(address):
                yield f"{name} loads {address}"
        if name.name == "404.html":  # its links are from the root of a host
            continue
        for address in (*page.links, *page.loads):
            if not _elsewhere(address) and not _leads(path, address, pages):
                yield f"{name} links to {address}, which is not there"
    for path in sorted(root.rglob("*.css")):
        for address in _IN_STYLES.findall(path.read_text(encoding="utf-8")):
            yield f"{path.relative_to(root)} loads {address}"


def _elsewhere(address: str) -> bool:
    parts = urlsplit(address)
    return bool(parts.netloc) or parts.scheme in ("mailto", "data")


def _leads(path: Path, address: str, pages: dict[Path, Page]) -> bool:
    parts = urlsplit(address)
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if target.is_dir():
        target /= "index.html"
    if not target.exists():
        return False
    known = {where.resolve(): page for where, page in pages.items()}.get(target.resolve())
    return known is None or not parts.fragment or unquote(parts.fragment) in known.anchors


def main(root: str) -> int:
    """Say what is wrong on stderr; 1 when anything is."""
    found = list(complaints(Path(root)))
    for line in found:
        sys.stderr.write(f"{line}\n")
    return int(bool(found))
