"""Influence is rolled once, at the rate the policy says; what counts as the same is what the pure rule says."""

import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reactor.model.memory import alike, words_of
from tests.support.memories import always, fill, influence, value
from tests.support.sessions import at_once

pytestmark = pytest.mark.properties

Session = psycopg.Connection[tuple[Any, ...]]

CONTEXTS = 10_000
LOOKS = 10_000
SESSIONS = 8


def test_over_ten_thousand_contexts_the_rate_is_the_policys(sql: Session, database: str) -> None:
    """From several sessions, each context looked at twice; within four standard errors, missed once in 16,000 runs."""
    fill(sql, "sage", 5)

    def look(place: int) -> Any:
        def deed(session: Session) -> int:
            row = session.execute(
                "select count(*) from generate_series(1, %s) as context (id)"
                " where exists (select from ops_memory_influence("
                "   'sage', (array['roundtable', 'mission', 'initiative'])[context.id %% 3 + 1], context.id))",
                (CONTEXTS,),
            ).fetchone()
            assert row is not None
            return int(row[0])

        return deed

    hits = at_once(database, [look(place) for place in range(2)])
    assert hits[0] == hits[1]
    rolls = sql.execute("select count(*), count(*) filter (where influenced) from ops_memory_influences")
    assert rolls.fetchone() == (CONTEXTS, hits[0])
    error = math.sqrt(0.30 * 0.70 / CONTEXTS)
    assert abs(hits[0] / CONTEXTS - 0.30) <= 4 * error


@pytest.mark.parametrize("lucky", [True, False])
def test_over_ten_thousand_looks_a_context_never_changes(sql: Session, database: str, lucky: bool) -> None:
    fill(sql, "sage", 12)
    always(sql, 1.0 if lucky else 0.0)
    first = influence(sql, "sage", "mission", 1)
    assert len(first) == (5 if lucky else 0)
    always(sql, 0.3)
    fill(sql, "sage", 5, confidence=0.99)

    def look(session: Session) -> set[tuple[int, ...]]:
        rows = session.execute(
            "select array(select memory.id from ops_memory_influence('sage', 'mission', 1) as memory)"
            " from generate_series(1, %s)",
            (LOOKS // SESSIONS,),
        ).fetchall()
        return {tuple(row[0]) for row in rows}

    seen: set[tuple[int, ...]] = set().union(*at_once(database, [look] * SESSIONS))
    assert seen == {tuple(first)}
    assert value(sql, "select count(*) from ops_memory_influences") == 1


def test_of_many_first_looks_at_once_all_see_the_same(sql: Session, database: str) -> None:
    fill(sql, "sage", 12)
    always(sql, 0.5)

    def look(session: Session) -> list[list[int]]:
        return [influence(session, "sage", "initiative", id) for id in range(1, 41)]

    answers = at_once(database, [look] * 12)
    assert all(answer == answers[0] for answer in answers)
    assert value(sql, "select count(*) from ops_memory_influences") == 40
    assert 5 <= sum(bool(chosen) for chosen in answers[0]) <= 35


def test_a_look_that_was_rolled_back_leaves_nothing_to_contradict(sql: Session, database: str) -> None:
    """A session waits for another's first look; that one gives up, and the waiting one rolls for itself."""
    fill(sql, "sage", 3)
    always(sql)
    with (
        psycopg.connect(database, autocommit=True) as first,
        psycopg.connect(database, autocommit=True) as second,
        ThreadPoolExecutor(1) as pool,
    ):
        first.execute("begin")
        influence(first, "sage", "mission", 1)
        waiting = pool.submit(influence, second, "sage", "mission", 1)
        first.execute("rollback")
        seen = waiting.result(20)
    assert influence(sql, "sage", "mission", 1) == seen


WORDS = st.lists(
    st.sampled_from(
        ["posts", "short", "not", "never", "30", "31", "work", "Weekend", "mail", "don't", "u.s"]
    ),
    max_size=8,
).map(" ".join)


@settings(max_examples=200, deadline=None)
@given(pairs=st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=20))
def test_the_database_and_the_rule_agree_on_what_is_the_same(
    words_database: Session, pairs: list[tuple[str, str]]
) -> None:
    for one, other in pairs:
        row = words_database.execute(
            "select ops_memory_words(%s), ops_memory_words(%s),"
            " ops_memory_alike(ops_memory_words(%s), ops_memory_words(%s))",
            (one, other, one, other),
        ).fetchone()
        assert row is not None
        assert (frozenset(row[0]), frozenset(row[1])) == (words_of(one), words_of(other))
        assert row[2] == alike(words_of(one), words_of(other))


@pytest.fixture(scope="module")
def words_database(server: Any, template: str) -> Any:
    """One connection for all examples: nothing is written."""
    with psycopg.connect(server.dsn_of(template), autocommit=True) as connection:
        yield connection
