"""The wake protocol walked through every interleaving; and that the walk would notice a missing rule."""

import sys
from dataclasses import replace

import pytest

from tests.support.doorbell_model import ANYBODYS, LASTS, Rule, World
from tests.support.walking import explore

WORLDS = {
    "two writers for different reactors": World(),
    "rows that only one of two reactors may take": World((LASTS,), statements=2),
    "rows that anybody may take": World((ANYBODYS,), statements=2),
    "a row that nobody may take": World((LASTS,), statements=2, nobodys_row=True),
    "one reactor, two writers": World((ANYBODYS, ANYBODYS), reactors=1, statements=2),
    "three reactors": World((ANYBODYS,), reactors=3),
    "several inserts a transaction": World((ANYBODYS,), statements=3, statements_a_transaction=2),
    "rows due later": World((ANYBODYS,), delayed=True),
    "rows due later beside rows due now": World((ANYBODYS, LASTS), reactors=2, delayed=True, statements=1),
    "rows locked by hand": World((ANYBODYS,), statements=2, hands=1),
    "a reactor that dies": World((ANYBODYS,), statements=2, deaths=1),
    "a bell whose connection breaks": World((ANYBODYS,), losses=1),
    "a pause": World((ANYBODYS,), pauses=1),
}

NOTICED_IN = {
    Rule.LOOK_ONCE_ARMED: World((ANYBODYS,), reactors=1),
    Rule.START_OVER: World((ANYBODYS,), statements=2),
    Rule.PASS: World((LASTS,), statements=2),
    Rule.FORGET_PASSES: World((ANYBODYS,)),
    Rule.LOSS_IS_A_PASS: World((LASTS,), losses=1),
    Rule.RING_FOR_LATER: World((ANYBODYS,), reactors=1, delayed=True),
    Rule.SLEEP_UNTIL_DUE: World((ANYBODYS,), reactors=1, delayed=True),
    Rule.WATCH_LOCKED: World((ANYBODYS,), reactors=1, hands=1),
    Rule.RESCUE_RINGS: World((ANYBODYS,), deaths=1),
    Rule.RESUME_RINGS: World((ANYBODYS,), reactors=1, pauses=1),
}


@pytest.mark.parametrize("name", WORLDS)
def test_no_row_is_left_behind_and_nobody_runs_in_circles_with(name: str) -> None:
    found = explore(WORLDS[name])
    sys.stdout.write(f"{found.states} states\n")
    assert found.well, " > ".join(found.left_behind or found.circle)
    assert found.states > 500


@pytest.mark.parametrize("rule", NOTICED_IN)
def test_the_walk_notices_when_one_rule_is_missing(rule: Rule) -> None:
    world = NOTICED_IN[rule]
    assert explore(world).well
    broken = explore(replace(world, without=frozenset([rule])))
    assert not broken.well
    runs_in_circles = rule is Rule.FORGET_PASSES
    assert bool(broken.circle) == runs_in_circles


def test_every_rule_has_a_world_that_needs_it() -> None:
    assert set(NOTICED_IN) == set(Rule)
