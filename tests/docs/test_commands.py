"""Every command of the documentation runs, and what a page shows is what is said."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.blocks import PAGES, ROOT, blocks
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
