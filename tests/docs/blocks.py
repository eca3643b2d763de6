"""The fenced blocks of a page, each with the mark that says how a test treats it.

The mark is an HTML comment on the line before the block, which readers do not see:

* ``run``: the lines are commands for a shell; ``run: sql``: statements for psql. In order, in one directory a page.
* ``run: moving``: what stayed is stopped, the database in use is an embedded one with the schema, and a project at Supabase
  is as new.
* ``run: until WORD``: its last line is a command that stays; the next block waits until a line of its output begins with
  WORD, ``…`` standing for anything. ``run: each until ready``: every line is a command that stays.
* ``run: on a machine``: by root of a machine with a systemd of its own, the same one all over the page.
* ``run: quick``: its measurements are asked for as they stand, but for the figure ``wake`` alone, in small numbers and
  without the peers, which are not installed, and what is then the same is asked once: the whole takes half an hour.
* ``unit: NAME``: what follows its first line is put beside the unit of that name there, and it starts again with that;
  the files it names hold something.
* ``says``: what the block before printed; ``…`` stands for anything.
* ``file: NAME``: it is written beside, for the blocks that follow.
* ``prepare``: code of another language; the SQL in it is understood by the database.
* ``calls``: JavaScript for Supabase's client; node runs it with a client that writes down what it is asked, and the database
  is asked the same, by names, as ``service_role``.
* ``tested by PATH`` (``and PATH``): other tests of the repository run it, word for word where it is one of our commands.
  ``not run: WHY``: nobody can here.

A comment ``start: COMMAND`` anywhere is a command that stays, until its line ``ready``; ``start: a PostgreSQL of your own``
is a server with a voxyz in it, which DATABASE_URL names. A block of text without a mark is a picture.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = (ROOT / "README.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").glob("*.md")))
_PIECES = re.compile(
    r"(?:<!-- (?!start: )(?P<mark>[^\n]*?) -->\n)?(?P<indent>[ ]*)```(?P<language>\w*)[^\n]*\n(?P<text>.*?)\n(?P=indent)```"
    r"|<!-- start: (?P<start>[^\n]*?) -->",
    re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A block: ``verb`` is the first word of its mark or empty, ``rest`` what follows it."""

    page: Path
    line: int
    language: str
    verb: str
    rest: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    """Every block of a page, in order."""
    whole = page.read_text(encoding="utf-8")
    for found in _PIECES.finditer(whole):
        line = whole.count("\n", 0, found.start()) + 1
        if found["start"] is not None:
            yield Block(page, line, "", "start", found["start"], "")
            continue
        mark = (found["mark"] or "").strip()
        kind = re.match(r"(run|unit|says|file|prepare|calls|tested by|not run)(?:: ?| |$)(.*)", mark)
        verb, rest = (kind[1], kind[2]) if kind else ("", "")
        yield Block(page, line, found["language"], verb, rest, found["text"])
