"""Pages made from code are what the code says now; links lead somewhere; the site's own check finds what it is for."""

import re
from pathlib import Path

import pytest

from tests.docs.blocks import PAGES, ROOT
from tests.support.queue_rows import scalar
from tests.support.sessions import Session
from tools.docs import charts
from tools.docs.making import made
from tools.docs.site import complaints

LINK = re.compile(r"\]\(([^)\s#]+)(#[^)\s]*)?\)")
FENCED = re.compile(r"```.*?```", re.DOTALL)


async def test_the_reference_is_what_the_code_says(database: str) -> None:
    for name, text in (await made(database)).items():
        path = ROOT / name
        assert path.exists(), f"{name} is missing: run bin/generate"
        assert path.read_text(encoding="utf-8") == text, f"{name} is out of date: run bin/generate"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_inside_the_repository_lead_somewhere(page: Path) -> None:
    for target, _ in LINK.findall(FENCED.sub("", page.read_text(encoding="utf-8"))):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}, which is not there"


def test_every_page_can_be_found_in_the_site() -> None:
    named = set(re.findall(r"([\w/-]+\.md)", (ROOT / "mkdocs.yml").read_text()))
    assert named == {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")}


@pytest.mark.parametrize("page", ["README.md", "docs/concepts.md"])
def test_the_loop_begins_with_every_source_of_a_proposal_there_is(page: str, sql: Session) -> None:
    rule = scalar(
        sql, "select pg_get_constraintdef(oid) from pg_constraint where conname = 'proposal_source_is_known'"
    )
    sources = re.findall(r"'(\w+)'", rule)
    assert len(sources) == 6
    assert f"\n{' | '.join(sources)}\n   └─► PROPOSAL" in (ROOT / page).read_text(encoding="utf-8")


def test_a_chart_shows_every_state_and_every_move() -> None:
    picture = charts.chart(
        "Doors", {"open": {"close": "shut"}, "shut": {"open": "open", "lock": "locked"}, "locked": {}}
    )
    for word in ("open", "shut", "locked", "close", "lock"):
        assert f">{word}</text>" in picture
    assert picture.count("<path d=") == 3 + 1  # and the tip of an arrow


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        (
            "index.html",
            '<script src="https://cdn.example.com/x.js"></script>',
            "index.html loads https://cdn.example.com/x.js",
        ),
        (
            "index.html",
            '<link rel="preconnect" href="//fonts.example.com">',
            "index.html loads //fonts.example.com",
        ),
        ("index.html", '<a href="gone.html">x</a>', "index.html links to gone.html, which is not there"),
        ("index.html", '<p id="a"></p><a href="#b">x</a>', "index.html links to #b, which is not there"),
        (
            "x.css",
            "body { background: url(https://cdn.example.com/y.png) }",
            "x.css loads https://cdn.example.com/y.png",
        ),
    ],
)
def test_a_site_that_is_not_whole_in_itself_is_told_so(
    tmp_path: Path, name: str, text: str, found: str
) -> None:
    (tmp_path / "index.html").write_text("<p>fine, and <a href='https://example.com'>elsewhere</a></p>")
    assert list(complaints(tmp_path)) == []
    (tmp_path / name).write_text(text)
    assert list(complaints(tmp_path)) == [found]
