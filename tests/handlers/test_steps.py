import threading
from typing import Any

import pytest
import trio

from reactor.errors import (
    CallsPaused,
    ConnectionLost,
    DatabaseUnavailable,
    LLMUnavailable,
    RateLimited,
    ServiceClosed,
)
from reactor.handlers import Cancel, Done, Fail, GiveBack, Snooze, Step, StepKind, StepRunner
from reactor.model.outcomes import Interrupted
from tests.handlers.house import Unreachable, claimed, house


def own(run: Any, **more: Any) -> StepKind:
    return StepKind("own", run, **more)


async def perform(kind: StepKind, **columns: Any) -> Any:
    return await StepRunner(house(kinds=[kind])).perform(claimed("own", **columns))


async def test_a_noop_asks_the_database_nothing() -> None:
    runner = StepRunner(house())
    assert await runner.perform(claimed("noop")) == Done()
    assert await runner.perform(claimed("noop", {"sleep_s": 0})) == Done()
    assert await runner.perform(claimed("noop", agent_id="sage")) == Done()


async def test_a_noop_fails_for_the_reason_it_is_given_and_sleeps_first(
    autojump_clock: trio.testing.MockClock,
) -> None:
    runner = StepRunner(house())
    began = trio.current_time()
    assert await runner.perform(claimed("noop", {"sleep_s": 2.5, "fail": "because"})) == Fail("because")
    assert trio.current_time() - began == pytest.approx(2.5)


@pytest.mark.parametrize("sleep_s", ["1", -1, True, None, [1], float("inf"), float("nan")])
async def test_a_noop_refuses_a_sleep_that_is_no_number_of_seconds(sleep_s: Any) -> None:
    outcome = await StepRunner(house()).perform(claimed("noop", {"sleep_s": sleep_s}))
    assert isinstance(outcome, Fail)
    assert not outcome.retry
    assert "sleep_s must be a number of seconds" in outcome.reason


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (None, Done()),
        ({"a": 1}, Done({"a": 1})),
        (Done({"b": 2}, simulated=True), Done({"b": 2}, simulated=True)),
        (Snooze(3, "later"), Snooze(3, "later")),
        (Fail("no", retry=False), Fail("no", retry=False)),
        (Cancel("moot"), Cancel("moot")),
        (GiveBack("closed"), GiveBack("closed")),
        ("text", Fail("kind own returned str: return a mapping, nothing, or an outcome", retry=False)),
        ([1], Fail("kind own returned list: return a mapping, nothing, or an outcome", retry=False)),
    ],
)
async def test_what_a_kind_returns_becomes_an_outcome(answer: Any, outcome: Any) -> None:
    async def run(step: Step) -> Any:
        return answer

    assert await perform(own(run)) == outcome
    assert await perform(own(lambda step: answer, in_thread=True)) == outcome


async def test_a_coroutine_nobody_awaited_is_named_and_closed() -> None:
    async def forgotten() -> None:
        pass

    outcome = await perform(own(lambda step: forgotten(), in_thread=True))
    assert outcome == Fail(
        "kind own returned coroutine: return a mapping, nothing, or an outcome", retry=False
    )


async def test_a_plain_function_runs_in_a_worker_thread_and_can_read_earlier_results() -> None:
    here = threading.get_ident()

    def run(step: Step) -> dict[str, Any]:
        return {"elsewhere": threading.get_ident() != here, "earlier": step.earlier_from_thread()}

    assert await perform(own(run, in_thread=True)) == Done({"elsewhere": True, "earlier": []})


async def test_a_plain_function_that_hangs_is_left_behind_when_cancelled() -> None:
    begun, release = threading.Event(), threading.Event()

    def run(step: Step) -> None:
        begun.set()
        release.wait(10)

    context = house(kinds=[own(run, in_thread=True)])
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(StepRunner(context).perform, claimed("own"))
            await trio.to_thread.run_sync(begun.wait, 5)
            nursery.cancel_scope.cancel()
        assert context.threads.borrowed_tokens == 1
        release.set()
        while context.threads.borrowed_tokens:
            await trio.sleep(0.01)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (ServiceClosed("crm"), GiveBack("the breaker of crm is open")),
        (CallsPaused("paused by ada"), GiveBack("paused by ada")),
        (RateLimited("slow\n down", 7.0), Snooze(7.0, "slow down")),
        (LLMUnavailable("529"), Fail("529", retry=True)),
        (ConnectionLost("the line broke"), Interrupted("the line broke")),
        (DatabaseUnavailable("nobody answers"), GiveBack("nobody answers")),
    ],
)
async def test_errors_of_ours_become_the_verdict_they_carry(error: Exception, outcome: Any) -> None:
    async def run(step: Step) -> None:
        raise error

    assert await perform(own(run)) == outcome


async def test_other_exceptions_are_let_through() -> None:
    async def run(step: Step) -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        await perform(own(run))


async def test_an_unknown_kind_fails_for_good_and_the_known_ones_are_named() -> None:
    outcome = await StepRunner(house()).perform(claimed("dance"))
    assert isinstance(outcome, Fail)
    assert not outcome.retry
    assert (
        "unknown kind 'dance'; this reactor knows analyze, crawl, diagnose, draft_tweet, noop, notify"
        in outcome.reason
    )


async def test_a_payload_that_does_not_fit_the_schema_fails_for_good() -> None:
    async def run(step: Step) -> None:
        raise AssertionError("must not run")

    kind = own(run, input_schema={"type": "object", "required": ["url"]})
    outcome = await perform(kind)
    assert isinstance(outcome, Fail)
    assert not outcome.retry
    assert "url" in outcome.reason


async def test_a_template_of_a_single_job_fails_with_its_name() -> None:
    outcome = await StepRunner(house()).perform(claimed("noop", {"x": "{{steps.1.result.text}}"}))
    assert isinstance(outcome, Fail)
    assert not outcome.retry
    assert "{{steps.1.result.text}}" in outcome.reason


async def test_a_payload_too_deep_to_read_fails_for_good() -> None:
    outcome = await StepRunner(house()).perform(claimed("noop")._replace(payload="[[[[…"))  # type: ignore[arg-type]  # on purpose
    assert outcome == Fail("the payload is nested deeper than can be read", retry=False)


async def test_the_key_of_a_step_is_the_same_in_every_attempt() -> None:
    keys = []

    async def run(step: Step) -> None:
        keys.append(step.idempotency_key)

    await perform(own(run), id=17, attempt=1)
    await perform(own(run), id=17, attempt=2)
    assert keys == ["step:17", "step:17"]


@pytest.mark.parametrize(
    ("agent_id", "default", "expected"),
    [("quill", "minion", "quill"), (None, "minion", "minion"), (None, None, "minion")],
)
async def test_whose_work_it_is(agent_id: str | None, default: str | None, expected: str) -> None:
    async def run(step: Step) -> dict[str, Any]:
        return {"agent": step.agent.id, "company": step.company.name}

    context = house(kinds=[own(run)], default_agent=default)
    outcome = await StepRunner(context).perform(claimed("own", agent_id=agent_id))
    assert outcome == Done({"agent": expected, "company": "Brightside Coffee"})


async def test_a_simulated_row_stays_simulated() -> None:
    async def run(step: Step) -> dict[str, Any]:
        return {"a": 1}

    assert await perform(own(run), simulated=True) == Done({"a": 1}, simulated=True)


def test_the_house_kinds_that_ask_a_model_wait_while_its_service_is_closed() -> None:
    registry = house().registry
    assert registry.available({"anthropic": 60.0}) == ["crawl", "noop", "notify", "webhook"]
    assert "research" in registry.available(())


async def test_a_step_that_reads_its_mission_needs_the_database() -> None:
    async def run(step: Step) -> None:
        await step.earlier()

    with pytest.raises(Unreachable):
        await perform(own(run), mission_id=1)
