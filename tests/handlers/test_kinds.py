import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from reactor.errors import ConfigurationError, PayloadRefused
from reactor.handlers.kinds import KindRegistry, StepKind, load_modules, step_kind
from reactor.handlers.step import Step
from reactor.handlers.thinking import house_kinds


async def nothing(step: Step) -> None:
    pass


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working directory of its own, whose modules are forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    before, path = set(sys.modules), list(sys.path)
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def write(folder: Path, name: str, *kinds: str) -> None:
    functions = "".join(
        f"@step_kind({kind!r})\ndef do_{place}(step): pass\n" for place, kind in enumerate(kinds)
    )
    (folder / name).write_text(f"from reactor.handlers import step_kind\n{functions}")


def test_a_module_of_the_working_directory_brings_its_kinds(folder: Path) -> None:
    write(folder, "kinds_one.py", "one", "other")
    registry = KindRegistry()
    load_modules(["kinds_one"], registry)
    assert registry.kinds() == ["one", "other"]
    found = registry.get("one")
    assert found is not None
    assert found.in_thread
    assert registry.get("third") is None


def test_a_package_brings_the_kinds_of_the_parts_it_imports(folder: Path) -> None:
    (folder / "kinds_pack").mkdir()
    (folder / "kinds_pack" / "__init__.py").write_text("from kinds_pack import part")
    write(folder, "kinds_pack/part.py", "from_a_part")
    registry = KindRegistry()
    load_modules(["kinds_pack"], registry)
    assert registry.kinds() == ["from_a_part"]


def test_the_same_module_named_twice_and_for_two_registries_is_no_conflict(folder: Path) -> None:
    write(folder, "kinds_again.py", "again")
    for _ in range(2):
        registry = KindRegistry()
        load_modules(["kinds_again", "kinds_again"], registry)
        assert registry.kinds() == ["again"]


def test_a_kind_defined_twice_is_refused_in_one_line_that_names_both(folder: Path) -> None:
    write(folder, "kinds_a.py", "same")
    write(folder, "kinds_b.py", "same")
    with pytest.raises(
        ConfigurationError, match=r"'same' is defined twice, by kinds_a\.do_0 and by kinds_b\.do_0"
    ):
        load_modules(["kinds_a", "kinds_b"], KindRegistry())
    write(folder, "kinds_c.py", "same", "same")
    with pytest.raises(ConfigurationError, match="defined twice"):
        load_modules(["kinds_c"], KindRegistry())


def test_one_of_ours_cannot_be_taken_over(folder: Path) -> None:
    write(folder, "kinds_noop.py", "noop")
    registry = KindRegistry([StepKind("noop", nothing)])
    with pytest.raises(ConfigurationError, match="'noop' is defined twice"):
        load_modules(["kinds_noop"], registry)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (None, "VOXYZ_KINDS names kinds_bad, which cannot be imported: ModuleNotFoundError"),
        ("import no_such_module_anywhere", "ModuleNotFoundError: No module named 'no_such_module_anywhere'"),
        ("def broken(:", "SyntaxError"),
        ("raise SystemExit('bye')", "SystemExit: bye"),
        ("x = 1", "VOXYZ_KINDS names kinds_bad, which declares no kind"),
    ],
)
def test_a_module_that_is_no_use_is_one_clear_line(folder: Path, source: str | None, said: str) -> None:
    if source is not None:
        (folder / "kinds_bad.py").write_text(source)
    with pytest.raises(ConfigurationError) as caught:
        load_modules(["kinds_bad"], KindRegistry())
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_decorator_leaves_the_function_as_it_is_and_describes_the_kind_by_its_docstring() -> None:
    @step_kind("described", timeout_s=7, external=True, services=["crm"])
    async def described(step: Step) -> None:
        """What it does."""

    assert described.__name__ == "described"
    kind = StepKind("described", described, "x")
    assert kind.origin.endswith("described")


@pytest.mark.parametrize("name", ["", "two words", "x" * 101, " padded"])
def test_a_kind_has_a_name_of_one_word(name: str) -> None:
    with pytest.raises(ConfigurationError, match="one word"):
        StepKind(name, nothing)


@pytest.mark.parametrize("timeout_s", [0, -1, 1e9, float("nan")])
def test_a_kind_has_a_timeout_that_makes_sense(timeout_s: float) -> None:
    with pytest.raises(ConfigurationError, match="timeout_s"):
        StepKind("x", nothing, timeout_s=timeout_s)


def test_a_generator_cannot_do_a_step() -> None:
    with pytest.raises(ConfigurationError, match="generator"):

        @step_kind("yields")
        def yields(step: Step) -> Iterator[int]:
            yield 1


def test_a_schema_that_is_none_is_refused_when_declared() -> None:
    with pytest.raises(ConfigurationError, match="its input_schema is no JSON schema"):
        StepKind("x", nothing, input_schema={"type": "nonsense"})
    with pytest.raises(ConfigurationError, match="schemas are not fetched"):
        StepKind("x", nothing, input_schema={"$ref": "http://127.0.0.1:1/schema.json"})


def test_a_payload_is_checked_against_the_schema_and_the_field_named() -> None:
    kind = StepKind(
        "x",
        nothing,
        input_schema={
            "type": "object",
            "properties": {"n": {"type": "integer", "minimum": 1}},
            "required": ["n"],
        },
    )
    kind.check({"n": 1})
    for payload, said in (
        ({}, "'n'"),
        ({"n": "1"}, "payload.n must be integer"),
        ({"n": 0}, "payload.n must be"),
    ):
        with pytest.raises(PayloadRefused) as caught:
            kind.check(payload)
        assert said in str(caught.value)


def test_kinds_of_a_closed_service_are_not_available() -> None:
    registry = KindRegistry(
        [
            StepKind("a", nothing),
            StepKind("b", nothing, services=("s", "t")),
            StepKind("c", nothing, services=("t",)),
        ]
    )
    assert registry.available(()) == ["a", "b", "c"]
    assert registry.available({"s": 3.0}) == ["a", "c"]
    assert registry.available(["t"]) == ["a"]
    assert registry.available(["unheard-of"]) == ["a", "b", "c"]


def test_the_kinds_of_the_house_have_their_times_and_one_leaves_it() -> None:
    times = {kind.kind: kind.timeout_s for kind in house_kinds()}
    thinking = (
        "research",
        "analyze",
        "write_content",
        "draft_tweet",
        "review",
        "diagnose",
        "summarize",
        "plan",
    )
    assert times == {
        **dict.fromkeys(thinking, 120),
        "crawl": 60,
        "webhook": 30,
        "notify": 30,
        "noop": 300,
    }
    assert StepKind("own", print).timeout_s == 300
    assert [kind.kind for kind in house_kinds() if kind.external] == ["webhook"]
    assert {kind.kind for kind in house_kinds() if "anthropic" in kind.services} == set(thinking)
