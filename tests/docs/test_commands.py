"""Every command of the documentation runs, and what a page shows is what is said."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.blocks import PAGES, ROOT, Block, blocks
from tests.docs.session import Session
from tests.support.scratch import scratch_directory

RUN = {"run", "start", "prepare", "file", "says"}


@pytest.fixture
def session() -> Iterator[Session]:
    with scratch_directory(executable=True) as folder:
        open_session = Session(folder)
        try:
            yield open_session
        finally:
            open_session.close()


@pytest.mark.docs
@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if any(block.verb in RUN for block in blocks(page))],
    ids=lambda page: page.name,
)
def test_the_commands_of_a_page_run_in_order(page: Path, session: Session) -> None:
    for block in blocks(page):
        session.take(block)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_says_who_tries_it(page: Path) -> None:
    for block in blocks(page):
        if block.verb == "tested by":
            assert (ROOT / block.rest).is_file(), f"{block}: there is no {block.rest}"
        elif block.verb == "not run":
            assert len(block.rest) > 10, f"{block}: say why it is not run"
        else:
            assert block.verb or block.language in ("text", ""), (
                f"{block}: put <!-- run --> before it, or another mark of tests/docs/blocks.py"
            )


def test_a_page_that_shows_what_is_not_said_or_runs_what_fails_is_found(session: Session) -> None:
    page = ROOT / "docs" / "made-up.md"

    def block(verb: str, text: str) -> Block:
        return Block(page, 1, "console", verb, "", text)

    session.take(block("run", "echo one   apple; echo two pears"))
    session.take(block("says", "one apple\ntwo …"))
    with pytest.raises(AssertionError, match="what was said is not"):
        session.take(block("says", "two pears\none apple"))
    with pytest.raises(AssertionError, match="failed"):
        session.take(block("run", "false\necho after all"))


def test_a_block_has_the_mark_on_the_line_before_it(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "<!-- start: a -->\n\n```text\nx\n```\n\n<!-- run: sql -->\n```sql\nselect 1;\n```\n```console\nls\n```\n"
    )
    found = [(one.verb, one.rest, one.text) for one in blocks(page)]
    assert found == [("start", "a", ""), ("", "", "x"), ("run", "sql", "select 1;"), ("", "", "ls")]
