"""Every command of the documentation runs, and what a page shows is what is said."""

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from reactor.cli.commands import cli
from tests.docs.blocks import PAGES, ROOT, Block, blocks
from tests.docs.session import Session
from tests.support.scratch import scratch_directory

RUN = {"run", "unit", "start", "prepare", "calls", "file", "says"}


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
    if session.left_out:
        pytest.skip("; ".join(session.left_out))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_says_who_tries_it(page: Path) -> None:
    for block in blocks(page):
        if block.verb == "tested by":
            testers = [ROOT / name for name in block.rest.split(" and ")]
            assert all(path.is_file() for path in testers), f"{block}: there is no {block.rest}"
            for word in _our_words(block):
                assert any(
                    f'"{word}"' in path.read_text() or f" {word}" in path.read_text() for path in testers
                ), f"{block}: {block.rest} runs no {word}"
        elif block.verb == "not run":
            assert len(block.rest) > 10, f"{block}: say why it is not run"
        else:
            assert block.verb or block.language in ("text", ""), (
                f"{block}: put <!-- run --> before it, or another mark of tests/docs/blocks.py"
            )


def _our_words(block: Block) -> set[str]:
    """The commands and options of ours that a block gives."""
    return {
        word
        for words in re.findall(r"(?<![\w./-])(?:bin/)?voxyz-reactor ([^`\n|#)'\"<$…&]+)", block.text)
        for word in words.split()
        if re.fullmatch(r"-{0,2}[a-z][a-z-]+", word) and "=" not in word
    }


def _known(words: list[str]) -> str | None:
    """What our program does not know among ``words``; None when all is well. What follows psql is psql's own."""
    command: click.Command = cli
    for word in words:
        if command.name == "psql":
            return None
        if word.startswith("-") and word.strip("-"):
            options = {
                one
                for parameter in command.params
                for one in (*parameter.opts, *parameter.secondary_opts, "--help", "-h")
            }
            if word.split("=")[0] not in options:
                return word
        elif isinstance(command, click.Group):
            found = command.get_command(click.Context(command), word)
            if found is None:
                return word if command is cli and word.islower() else None
            command = found
    return None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_that_is_named_exists_with_its_options(page: Path) -> None:
    for words in re.findall(
        r"(?<![\w./-])(?<!-u )(?:bin/)?voxyz-reactor ([^`\n|#)'\"<$…&]+)", _code_of(page)
    ):
        strange = _known([word for word in words.split() if word != "\\"])
        assert strange is None, f"{page.name}: voxyz-reactor {words}: there is no {strange}"


def _code_of(page: Path) -> str:
    """What stands in backticks and in blocks of commands."""
    text = page.read_text(encoding="utf-8")
    inline = re.findall(r"(?<!`)`([^`\n]+)`(?!`)", text)
    return "\n".join([*inline, *(block.text for block in blocks(page) if block.language == "console")])


def test_a_command_that_does_not_exist_is_found() -> None:
    assert _known(["status", "--json"]) is None
    assert _known(["stauts"]) == "stauts"
    assert _known(["retry", "--failed", "--sinse", "1h"]) == "--sinse"
    assert _known(["service", "install", "--splt"]) == "--splt"


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
