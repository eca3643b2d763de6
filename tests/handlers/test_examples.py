import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from reactor.handlers import Done, Fail, KindRegistry, StepRunner, load_modules
from tests.handlers.house import claimed, house

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[KindRegistry]:
    """The kinds of the example, loaded as a reactor started in its folder would."""
    monkeypatch.chdir(EXAMPLES)
    path = list(sys.path)
    registry = KindRegistry()
    load_modules(["own_kind"], registry)
    yield registry
    sys.path[:] = path


async def test_the_example_kinds_work_as_they_say(registry: KindRegistry) -> None:
    runner = StepRunner(house(kinds=registry.all()))
    counted = await runner.perform(claimed("count_words", {"text": "to be or not to be"}))
    assert isinstance(counted, Done)
    assert counted.result["words"] == 6
    greeted = await runner.perform(claimed("greet", {"name": "Ada"}))
    assert greeted == Done({"text": "Good morning, Ada, from all at Brightside Coffee.", "after_steps": 0})
    nobody = await runner.perform(claimed("greet"))
    assert nobody == Fail("the payload names nobody to greet", retry=False)
    wrong = await runner.perform(claimed("count_words", {"words": 1}))
    assert isinstance(wrong, Fail)
    assert "text" in wrong.reason
