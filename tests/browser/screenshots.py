"""Pictures of the page for docs/, of a small company in the middle of its day: ``python -m tests.browser.screenshots``.

Needs chromium. A PostgreSQL of its own, a real reactor on it, the stand-in for a model; nothing else is touched. What is
older than today is written into the books by hand, the rest happens while one looks.
"""

import json
import random
import sys
from pathlib import Path
from typing import Any, Literal

import trio
from playwright.sync_api import Browser, Page, ViewportSize, expect, sync_playwright

from reactor.pg.migrations import migrate
from tests.browser.conftest import PATIENCE_MS, House, Sql, chromium, one, running
from tests.support.server import chosen_binaries, private_server

DOCS = Path(__file__).resolve().parents[2] / "docs"
DESKTOP = ViewportSize(width=1440, height=960)
PHONE = ViewportSize(width=390, height=844)
LOOKS: tuple[tuple[str, ViewportSize, Literal["light", "dark"]], ...] = (
    ("desktop-light", DESKTOP, "light"),
    ("desktop-dark", DESKTOP, "dark"),
    ("phone-light", PHONE, "light"),
    ("phone-dark", PHONE, "dark"),
)
DAYS = 13
COMPANY = {
    "name": "Brightside Coffee",
    "what": "roasts coffee in small batches and sends it to people's homes",
    "customers": "home baristas",
    "goals": ["double the subscriptions", "lose fewer customers after the third bag"],
    "tone": "warm and plain",
}
MEMORIES = (
    (
        "sage",
        "insight",
        "Subscribers who name their favourite roast in the first week stay twice as long.",
        "retention",
    ),
    ("sage", "pattern", "Most people who cancel do so right after the third bag arrives.", "churn"),
    ("sage", "lesson", "A discount without a deadline moved nobody.", "pricing"),
    (
        "quill",
        "insight",
        "Letters with a brewing recipe are opened more often than letters with a discount.",
        "letters",
    ),
    ("quill", "preference", "One story a letter, told from the cup backwards.", "letters"),
    ("scout", "insight", "Customers ask for smaller bags on weekends, when friends visit.", "bags"),
    (
        "scout",
        "pattern",
        "The page that explains grind sizes brings more first orders than any other.",
        "growth",
    ),
    ("xalt", "strategy", "Post the roast of the day before eight, while the water is boiling.", "posts"),
    ("observer", "lesson", "Two price changes in a month cost more trust than money.", "pricing"),
    ("observer", "insight", "Orders written on a Sunday evening are larger than all others.", "sales"),
    ("minion", "strategy", "Every idea leaves the room with an owner and a date.", "planning"),
)
DRIFTS = (
    ("minion", "sage", 0.012, "settled on a date for the tasting box"),
    ("sage", "observer", 0.02, "found the same gap in the numbers"),
    ("sage", "xalt", -0.025, "could not agree on evidence for the teaser"),
    ("quill", "xalt", 0.018, "built a thread out of one good line"),
    ("minion", "xalt", -0.014, "deadline moved twice"),
    ("scout", "quill", 0.022, "turned a signal into a story"),
    ("scout", "xalt", 0.01, "tried it the same afternoon"),
    ("observer", "quill", -0.008, "asked who checks the recipe"),
)
SMALL_BAGS = [
    {"kind": "research", "agent_id": "scout", "payload": {"topic": "who orders the small bags"}},
    {"kind": "analyze", "agent_id": "sage", "payload": {"topic": "what a small bag earns"}},
    {"kind": "summarize", "agent_id": "quill", "payload": {"text": "{{steps.2.result.text}}"}},
]
TASTING_BOX = [
    {"kind": "plan", "agent_id": "minion", "payload": {"topic": "a tasting box of three roasts"}},
    {"kind": "webhook", "agent_id": "xalt", "payload": {
        "url": "https://hooks.example.com/brightside/announce",
        "body": {"text": "Three roasts, one box, four weeks only. The tasting box is here."},
    }},
]  # fmt: skip
LETTER = [
    {"kind": "write_content", "payload": {"topic": "the third bag", "tone": "warm"}},
    {
        "kind": "webhook",
        "payload": {"url": "https://hooks.example.com/letter", "body": {"list": "third-bag"}},
    },
]


def furnish(sql: Sql) -> None:
    """Two weeks of a company's books."""
    dice = random.Random(7)
    sql.execute("select ops_set_policy('company', %s::jsonb)", (json.dumps(COMPANY),))
    agents = ("minion", "sage", "scout", "quill", "xalt", "observer")
    for back in range(1, DAYS + 1):
        for agent in agents:
            for purpose in ("turn", "distil", "step:analyze", "step:write_content", "initiative"):
                for _ in range(dice.randint(0, 3)):
                    _call(sql, back, agent, purpose, dice.uniform(0.0004, 0.0022), dice)
    for round_ in range(6):
        for one_, other, drift, reason in DRIFTS:
            moved = round(drift * dice.uniform(0.3, 1.2) * dice.choice((1, 1, 1, -0.6)), 3)
            sql.execute(
                "select ops_apply_drift(%s, %s, %s::numeric, %s, %s)",
                (one_, other, moved, reason, f"roundtable:{900 + round_}:{one_}{other}"),
            )
    for agent, kind, text, tag in MEMORIES:
        sql.execute(
            "select ops_remember(%s, %s, %s, %s, array[%s])",
            (agent, kind, text, round(dice.uniform(0.65, 0.95), 2), tag),
        )
    sql.execute("update ops_agent_memory set pinned = true where content like 'Two price%'")


def _call(sql: Sql, back: int, agent: str, purpose: str, usd: float, dice: random.Random) -> None:
    sql.execute(
        "insert into ops_llm_calls (created_at, lapses_at, settled_at, day, service, provider, model, purpose, agent_id,"
        " simulated, outcome, would_cost_usd, input_tokens, output_tokens, latency_ms)"
        " select at, at, at, at::date, 'anthropic', 'mock', 'claude-haiku-5-5', %s, %s, true, 'ok', %s, 900, 300, %s"
        " from (select ops_now() - make_interval(days => %s) - make_interval(mins => %s) as at) as then_",
        (purpose, agent, usd, dice.randint(600, 2400), back, dice.randint(0, 300)),
    )


def enliven(house: House) -> None:
    """A day in full swing: things done, something failed, something waits."""
    sql = house.sql
    _mission(sql, "Who orders the small bags?", SMALL_BAGS)
    _mission(sql, "Announce the tasting box", TASTING_BOX)
    doomed = [
        {"kind": "noop", "payload": {"fail": "the roaster's price list did not answer"}, "max_attempts": 1}
    ]
    _mission(sql, "Compare green coffee prices", doomed)
    _propose(
        sql,
        "quill",
        "A letter before the third bag",
        LETTER,
        "Most who leave do so then; tell them what to brew.",
    )
    _propose(sql, "xalt", "Roast of the day, posted at seven", [LETTER[1]], "Before the water boils.")
    _talk(
        sql, "standup", "What keeps the tasting box from shipping?", ["minion", "sage", "quill", "observer"]
    )
    _until(sql, "select not exists (select from ops_roundtable_queue where status in ('queued', 'running'))")
    _until(sql, "select exists (select from ops_mission_steps where hold is not null)")
    _until(
        sql,
        "select exists (select from ops_missions where title like 'Who orders%' and status = 'succeeded')",
    )


def _mission(sql: Sql, title: str, steps: list[dict[str, Any]]) -> None:
    sql.execute(
        "select ops_enqueue_mission(%s, %s::jsonb, created_by => 'maria')", (title, json.dumps(steps))
    )


def _propose(sql: Sql, agent: str, title: str, steps: list[dict[str, Any]], why: str) -> None:
    sql.execute(
        "select * from ops_propose(agent_id => %s, title => %s, steps => %s::jsonb, source => 'initiative',"
        " description => %s)",
        (agent, title, json.dumps(steps), why),
    )


def _talk(sql: Sql, format: str, topic: str, people: list[str]) -> int:
    found: int = one(
        sql,
        "insert into ops_roundtable_queue (format, topic, participants) values (%s, %s, %s) returning id",
        format,
        topic,
        people,
    )
    return found


def _until(sql: Sql, question: str, within_s: float = 90.0) -> None:
    async def wait() -> None:
        with trio.fail_after(within_s):
            while not one(sql, question):
                await trio.sleep(0.1)

    trio.run(wait)


def take(browser: Browser, house: House, to: Path) -> list[Path]:
    """The page on a desk and on a phone, by day and by night, while a conversation is held; three sheets, a form."""
    taken: list[Path] = []
    pages: dict[str, Page] = {}
    for name, viewport, scheme in LOOKS:
        context = browser.new_context(
            viewport=viewport, color_scheme=scheme, reduced_motion="reduce", device_scale_factor=1
        )
        context.set_default_timeout(PATIENCE_MS)
        pages[name] = context.new_page()
        pages[name].goto(house.url)
        expect(pages[name].locator("#live")).to_have_text("live")
    talk = _talk(house.sql, "debate", "Smaller bags or fewer roasts?", ["sage", "scout", "xalt"])
    for page in pages.values():
        expect(page.locator("#talk .topic")).to_have_text("Smaller bags or fewer roasts?")
    _until(house.sql, f"select count(*) >= 3 from ops_roundtable_turns where conversation_id = {talk}")
    for name, page in pages.items():
        page.wait_for_timeout(600)
        taken.append(_shot(page, to / f"ops-{name}.png"))
    desk = pages["desktop-light"]
    for part in ("talk", "relations"):
        desk.locator(f"#{part}").evaluate("part => part.scrollIntoView({behavior: 'instant'})")
        taken.append(_shot(desk, to / f"ops-desktop-light-{part}.png"))
    desk.evaluate("scrollTo(0, 0)")
    for name, place in (
        ("conversation", f"roundtable/{talk}"),
        ("agent", "agent/sage"),
        ("pair", "pair/sage:xalt"),
    ):
        desk.evaluate("place => document.querySelector('#sheet').close()")
        desk.locator(f'a[data-sheet][href="/ops/{place}"]').first.dispatch_event("click")
        expect(desk.get_by_role("dialog")).to_be_visible()
        taken.append(_shot(desk, to / f"ops-sheet-{name}.png"))
    desk.evaluate("document.querySelector('#sheet').close()")
    taken.append(_given(desk, to / "ops-desktop-light-mission.png"))
    return taken


def _given(page: Page, path: Path) -> Path:
    """A mission is about to be given."""
    page.keyboard.press("m")
    page.locator("#new-title").fill("What do people cook with the tasting box?")
    page.locator("#new-mission").get_by_label("topic").fill("recipes that customers have sent us")
    page.locator("#missions").evaluate("part => part.scrollIntoView({behavior: 'instant'})")
    return _shot(page, path)


def _shot(page: Page, path: Path) -> Path:
    page.screenshot(path=path, animations="disabled")
    return path


def main(to: Path) -> None:
    """All pictures are new."""
    to.mkdir(parents=True, exist_ok=True)
    expect.set_options(timeout=PATIENCE_MS)
    with private_server(chosen_binaries()) as server:
        server.run("create database brightside")
        dsn = server.dsn_of("brightside")
        trio.run(migrate, dsn)
        with running(dsn, "mission", "roundtable", "initiative", "web", latency_ms="1800") as house:
            furnish(house.sql)
            enliven(house)
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
                for path in take(browser, house, to):
                    sys.stdout.write(f"{path} {path.stat().st_size // 1024} kB\n")
                browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else DOCS)
