"""The API does what its description says, also when it is asked for nonsense."""

import sys
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
import requests
import schemathesis
import trio
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from reactor.web import limits
from tests.web.house import API, house

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
THINGS = """
insert into ops_mission_steps (kind) select 'noop' from generate_series(1, 5);
insert into ops_mission_steps (kind) values ('webhook');
select ops_enqueue_mission('a mission', '[{"kind": "noop"}, {"kind": "noop"}]');
insert into ops_roundtable_queue (format, topic) values ('standup', 'x'), ('debate', 'y');
insert into ops_initiative_queue (agent_id) values ('sage');
select ops_propose('sage', 'a thing', '[{"kind": "webhook"}]');
select ops_remember('sage', 'insight', 'cats sleep', 0.8);
select ops_pause('mission');
"""


def operations(schema: Any) -> list[Any]:
    """Every operation that ends by itself."""
    found = [result.ok() for result in schema.get_all_operations()]
    return [one for one in found if not one.path.endswith("/stream")]


class Inspector:
    """Asks one running API; ``looked_at`` counts the answers, ``wrong`` says what was not as described."""

    def __init__(self, url: str, examples: int) -> None:
        self.schema = schemathesis.openapi.from_url(f"{url}{API}/openapi.json")
        self.examples = examples
        self.looked_at = 0
        self.wrong: list[str] = []
        self._session = requests.Session()  # one connection: there is a bound to how many may be open

    def inspect(self) -> None:
        """Every operation was asked for what it takes, and for what it does not."""
        for operation in operations(self.schema):
            for mode in GenerationMode.POSITIVE, GenerationMode.NEGATIVE:
                try:
                    self._asked(operation, mode)()
                except Unsatisfiable:
                    continue  # it takes nothing that could be wrong
                except (FailureGroup, Failure, AssertionError) as error:
                    self.wrong.append(f"{operation.label} ({mode.value}): {error}")

    def _asked(self, operation: Any, mode: GenerationMode) -> Callable[[], None]:
        checks = [*CHECKS, *([negative_data_rejection] if mode is GenerationMode.NEGATIVE else [])]

        @settings(
            max_examples=self.examples,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
            database=None,
            derandomize=True,
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def agrees(case: Any) -> None:
            self.looked_at += 1
            case.call_and_validate(checks=checks, session=self._session, timeout=20)

        asked: Callable[[], None] = agrees
        return asked


def inspected(url: str, examples: int) -> Inspector:
    """What became of asking it everything; blocks for a while."""
    inspector = Inspector(url, examples)
    inspector.inspect()
    return inspector


@pytest.mark.parametrize("examples", [3, pytest.param(20, marks=pytest.mark.fuzz)])
async def test_every_answer_is_as_described_whatever_was_asked(
    database: str,
    sql: psycopg.Connection[tuple[Any, ...]],
    monkeypatch: pytest.MonkeyPatch,
    examples: int,
) -> None:
    monkeypatch.setattr(limits, "REQUESTS_A_SECOND", 1e6)
    monkeypatch.setattr(limits, "REQUESTS_AT_ONCE", 1e6)
    sql.execute(THINGS)
    async with house(database) as it:
        inspector = await trio.to_thread.run_sync(inspected, it.url, examples)
    sys.stdout.write(f"{inspector.looked_at} answers looked at\n")
    assert not inspector.wrong, "\n".join(inspector.wrong)
    assert inspector.looked_at > 100
