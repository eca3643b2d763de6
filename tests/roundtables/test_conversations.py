from reactor.model.outcomes import Done
from tests.roundtables.conversing import Sql, house_on, queue, turns


async def test_a_conversation_runs_through_on_the_mock(database: str, sql: Sql) -> None:
    id = queue(sql, "standup", "What is blocking us?")
    async with house_on(database) as house:
        outcome = await house.hold()
    assert isinstance(outcome, Done), outcome
    said = turns(sql, id)
    assert 6 <= len(said) <= 12
    print(outcome.result, said)
