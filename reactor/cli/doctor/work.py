"""The language model's key, reactors, rows nobody has, and what holds work back on purpose."""

from collections.abc import AsyncIterator

import trio

from reactor.cli.costs import A_REFUSED_KEY_WANTS
from reactor.cli.doctor.finding import Finding, Verdict, since
from reactor.cli.output import clean, span
from reactor.errors import KeyRefused, LLMRequestRefused, ReactorError
from reactor.pg import Connection
from reactor.settings import Settings
from reactor.store import breakers as breaker_store
from reactor.store import costs, fleet, overview
from reactor.store import doctor as questions

KEY_ANSWERS_WITHIN_S = 10.0
NAMED = 3
# Why the provider is asked nothing, and what to do: also where it would take the key for a question that costs nothing.
PAUSED_CALLS = {
    "key_refused": ("it refuses the key", A_REFUSED_KEY_WANTS),
    "rate_limited": (
        "it asks for fewer calls",
        "it goes on by itself; where it happens often, lower requests_per_minute in policy llm_limits",
    ),
}


async def key(settings: Settings) -> Finding:
    """The provider takes our key and knows our model; asked by a question that costs nothing."""
    if settings.provider() == "mock":
        return Finding("key", "ok", "none is needed: the mock answers")
    assert settings.anthropic_api_key is not None
    # The SDK takes half a second to import: only for those who use it.
    from reactor.llm.anthropic import AnthropicProvider

    provider = AnthropicProvider(
        settings.anthropic_api_key.get_secret_value(), base_url=settings.anthropic_base_url
    )
    try:
        with trio.fail_after(KEY_ANSWERS_WITHIN_S):
            await provider.look_up(settings.model)
    except KeyRefused as error:
        return Finding("key", "broken", str(error), "set ANTHROPIC_API_KEY to one that is valid and paid for")
    except LLMRequestRefused as error:
        # Whatever else speaks the provider's language need not have a list of models.
        verdict: Verdict = "broken" if settings.anthropic_base_url is None else "warning"
        return Finding("key", verdict, str(error), "set VOXYZ_MODEL to a model that this key may use")
    except (ReactorError, trio.TooSlowError) as error:
        return Finding(
            "key",
            "warning",
            str(error) or f"no answer within {KEY_ANSWERS_WITHIN_S:g} s",
            "look at the network, at ANTHROPIC_BASE_URL, and at the provider's status page",
        )
    finally:
        with trio.move_on_after(1.0, shield=True):
            await provider.aclose()
    return Finding("key", "ok", f"accepted, and {settings.model} is there")


async def reactors(conn: Connection) -> Finding:
    """Somebody works, and everybody who should be there beats."""
    known = await fleet.fleet(conn)
    late = await questions.late_workers(conn)
    if late:
        named = "; ".join(
            f"process {one.pid} on {clean(one.hostname)} has not beaten {since(one.heartbeat_at, one.silent_s)}"
            for one in late[:NAMED]
        )
        return Finding(
            "reactors",
            "warning",
            named,
            "look whether it still runs and reaches the database; its rows run elsewhere once it is dead",
        )
    live = [worker for worker in known if worker.live]
    if not live:
        return Finding("reactors", "warning", "none is running", "start one with `voxyz-reactor run`")
    if lockless := await questions.lockless_workers(conn):
        one = lockless[0]
        return Finding(
            "reactors",
            "warning",
            f"{len(live)} running; process {one.pid} on {clean(one.hostname)} works on sweeps alone",
            "give it a DIRECT_URL without a transaction pooler",
        )
    versions = sorted({worker.version for worker in live})
    if len(versions) > 1:
        return Finding(
            "reactors",
            "warning",
            f"{len(live)} running, in versions {', '.join(versions)}",
            "bring all to the same",
        )
    return Finding("reactors", "ok", f"{len(live)} running")


async def orphans(conn: Connection) -> Finding:
    """Every row that runs is in the hands of a process that lives."""
    count = await questions.orphans(conn)
    if not count:
        return Finding("rows", "ok", "every row that runs has somebody who runs it")
    return Finding(
        "rows",
        "warning",
        f"{count} rows are running in a process that is gone",
        "a reactor gives them back: start one, or wait a minute when one is running; those of a process nobody knows"
        " are yours to `voxyz-reactor cancel`",
    )


async def holds(conn: Connection) -> AsyncIterator[Finding]:
    """What keeps work back on purpose."""
    for pause in await overview.pauses(conn):
        why = f" ({pause.reason})" if pause.reason else ""
        yield Finding(
            "pause",
            "warning",
            f"queue {pause.queue} is paused by {pause.paused_by}{why}",
            f"`voxyz-reactor resume {pause.queue}` goes on",
        )
    for one in await breaker_store.breakers(conn):
        if one.state != "closed":
            yield Finding(
                "breaker",
                "warning",
                f"{one.service} is {one.state} after {one.failure_count} failures",
                f"it tries again by itself; `voxyz-reactor breaker reset {one.service}` does at once",
            )
    for key in await costs.paused_keys(conn):
        why, what_to_do = PAUSED_CALLS[key.reason]
        yield Finding(
            "calls", "warning", f"{key.service} is asked nothing for {span(key.wait_s)}: {why}", what_to_do
        )
    if not (await overview.facts(conn)).company_known:
        yield Finding(
            "company", "warning", "nobody has said what the company is", "`voxyz-reactor init` asks"
        )
