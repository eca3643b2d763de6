"""The demonstration, in a database of its own and in the one in use."""

import json
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import psycopg

from reactor.cli.demo import CALLS
from tests.cli.conftest import COMMAND, DEADLINE_S, Voxyz, environment
from tests.support.messages_api import Asked, Say, failing, message, messages_api_beside

Sql = psycopg.Connection[tuple[Any, ...]]
PARTS = ("mission", "conversation", "initiative", "proposal")


def test_in_under_a_minute_everything_happens_in_a_database_of_its_own(anywhere: Voxyz) -> None:
    answer = anywhere("demo")
    assert answer.code == 0, answer
    for word in (*PARTS, "remembers", "→", "pending", "accepted", "rejected", "nothing was sent"):
        assert word in answer.out, word
    took = re.search(r"all of it happened, in (\d+) s", answer.out)
    assert took is not None
    assert int(took[1]) < 60


def test_every_line_comes_from_a_row_and_it_can_be_shown_twice_here(voxyz: Voxyz, sql: Sql) -> None:
    for _ in range(2):
        answer = voxyz("demo", "--here")
        assert answer.code == 0, answer
        conversation = re.search(r"^conversation (\d+)", answer.out, re.MULTILINE)
        assert conversation is not None
        for (dialogue,) in sql.execute(
            "select dialogue from ops_roundtable_turns where conversation_id = %s", (conversation[1],)
        ):
            assert dialogue[:100] in answer.out
    assert sql.execute(
        "select count(*) from ops_mission_steps where kind = 'webhook' and status = 'succeeded' and not simulated"
    ).fetchone() == (0,)


def test_when_a_part_does_not_happen_it_says_which_and_exits_1(voxyz: Voxyz, sql: Sql) -> None:
    sql.execute("update ops_agents set active = false where id = 'sage'")
    answer = voxyz("demo", "--here")
    assert answer.code == 1
    assert "did not happen: " in answer.out


def test_a_real_key_is_not_used_without_a_yes(anywhere: Voxyz) -> None:
    answer = anywhere("demo", ANTHROPIC_API_KEY="sk-none", VOXYZ_LLM="anthropic")
    assert answer.code == 2, answer
    assert "at most $" in answer.out
    assert "--yes" in answer.err


def with_model(url: str, **more: str) -> dict[str, str]:
    return {"ANTHROPIC_API_KEY": "sk-test", "ANTHROPIC_BASE_URL": url, "VOXYZ_LLM": "anthropic", **more}


def test_on_a_model_that_answers_well_everything_happens(voxyz: Voxyz) -> None:
    with messages_api_beside() as api:
        answer = voxyz("demo", "--here", "--yes", **with_model(api.url))
        paid = len(api.asked)
    assert answer.code == 0, answer
    assert "at most what policy llm_budget allows" in answer.out
    assert "all of it happened" in answer.out
    assert paid <= CALLS


def test_a_model_that_finds_nothing_is_told_apart_from_something_broken(voxyz: Voxyz) -> None:
    nothing = json.dumps({"summary": "They talked.", "memories": [], "drifts": [], "action_items": []})
    idle = json.dumps({"nothing": True, "reason": "All is well."})

    def unhelpful(asked: Asked) -> Say:
        wanted = asked.body.get("output_config", {}).get("format", {}).get("schema", {}).get("properties", {})
        words = nothing if "drifts" in wanted else idle if "nothing" in wanted else None
        return Say(body=message(asked, words))

    with messages_api_beside(unhelpful) as api:
        answer = voxyz("demo", "--here", "--yes", **with_model(api.url))
    assert answer.code == 1, answer
    assert "nothing in it worth remembering" in answer.out
    assert "did not happen: its memories, its drift, the initiative\n" in answer.out
    assert "Everything works" in answer.out


def test_a_key_that_is_refused_ends_it_at_once_and_says_so(voxyz: Voxyz) -> None:
    with messages_api_beside(failing(401, "authentication_error", "invalid x-api-key")) as api:
        answer = voxyz("demo", "--here", "--yes", **with_model(api.url))
    assert answer.code == 1, answer
    assert answer.out.count("correct ANTHROPIC_API_KEY") == 3
    assert "Everything works" not in answer.out


def test_told_to_stop_it_takes_its_database_with_it(here: Path) -> None:
    with subprocess.Popen(
        [*COMMAND, "demo"],
        cwd=here,
        env=environment(TMPDIR=str(here), VOXYZ_LLM="mock", VOXYZ_MOCK_LATENCY_MS="60000"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert any(line.startswith("mission") for line in process.stdout)
        [pid_file] = here.glob("voxyz-demo-*/postgres/data/postmaster.pid")
        server = int(pid_file.read_text().splitlines()[0])
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=DEADLINE_S)
    assert (process.returncode, err) == (1, "voxyz-reactor: interrupted\n")
    assert not list(here.glob("voxyz-demo-*"))
    status = Path(f"/proc/{server}/stat")  # whose working directory is gone, so nothing else tells
    assert not status.exists() or status.read_text().rpartition(")")[2].split()[0] in "ZX"
