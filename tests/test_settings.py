from pathlib import Path

import pytest

from reactor.errors import ConfigurationError
from reactor.settings import Settings, described, is_loopback, variables


def test_every_default_is_in_force_when_nothing_is_set(tmp_path: Path) -> None:
    settings = Settings.load({}, tmp_path)
    assert settings.database_url is None
    assert [settings.concurrency(queue) for queue in ("mission", "roundtable", "initiative")] == [50, 10, 4]
    assert [settings.sweep_s(queue) for queue in ("mission", "roundtable", "initiative")] == [5, 30, 60]
    assert (settings.host, settings.port, settings.port_is_set) == ("127.0.0.1", 8420, False)
    assert (settings.grace_s, settings.pool_max) == (20, 4)


def test_the_environment_wins_over_env_local_and_that_over_env(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("POOL_MAX=2\nAGENT_ID=scout\nOPS_PORT=9000\n")
    (tmp_path / ".env.local").write_text("POOL_MAX=3\nAGENT_ID='sage'\n")
    settings = Settings.load({"POOL_MAX": "5"}, tmp_path)
    assert (settings.pool_max, settings.agent_id, settings.port) == (5, "sage", 9000)
    assert settings.port_is_set


def test_an_empty_variable_counts_as_unset(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("OPS_HOST=::1\n")
    settings = Settings.load({"OPS_HOST": " ", "DATABASE_URL": ""}, tmp_path)
    assert settings.host == "::1"
    assert settings.database_url is None


def test_a_dollar_in_a_password_is_only_a_character(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("DATABASE_URL='postgres://me:${HOME}$x@db/name'\n")
    assert Settings.load({}, tmp_path).database_url == "postgres://me:${HOME}$x@db/name"


def test_a_line_for_another_program_does_no_harm_and_one_of_ours_is_named(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("what is this\nPOOL_MAX=7\n")
    assert Settings.load({}, tmp_path).pool_max == 7
    (tmp_path / ".env").write_text("A=1\nPOOL_MAX='7\n")
    with pytest.raises(ConfigurationError, match=r"\.env line 2 is not NAME=value"):
        Settings.load({}, tmp_path)


def test_every_secret_can_come_from_a_file(tmp_path: Path) -> None:
    secrets = [variable for variable in variables().values() if variable.secret]
    assert {variable.name for variable in secrets} == {
        "DATABASE_URL",
        "DIRECT_URL",
        "ANTHROPIC_API_KEY",
        "OPS_API_TOKEN",
        "OPS_READ_TOKEN",
    }
    (tmp_path / "secret").write_text("postgresql://u:hush@h/d\n")
    environ = {f"{variable.name}_FILE": "secret" for variable in secrets}
    settings = Settings.load(environ, tmp_path)
    assert settings.database_url == settings.direct_url == "postgresql://u:hush@h/d"
    for token in (settings.anthropic_api_key, settings.api_token, settings.read_token):
        assert token is not None
        assert token.get_secret_value() == "postgresql://u:hush@h/d"
    assert "hush" not in repr(settings)


def test_a_secret_and_its_file_at_once_are_refused_in_one_layer_only(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("from the file")
    both = {"OPS_API_TOKEN": "direct", "OPS_API_TOKEN_FILE": "secret"}
    with pytest.raises(ConfigurationError, match="OPS_API_TOKEN and OPS_API_TOKEN_FILE are both set"):
        Settings.load(both, tmp_path)
    (tmp_path / ".env").write_text("OPS_API_TOKEN=weaker\n")
    settings = Settings.load({"OPS_API_TOKEN_FILE": "secret"}, tmp_path)
    assert settings.api_token is not None
    assert settings.api_token.get_secret_value() == "from the file"


@pytest.mark.parametrize("content", [None, "", "  \n", b"\xff\xfe\x00", "x" * 70_000])
def test_a_secret_file_that_cannot_serve_is_named(tmp_path: Path, content: str | bytes | None) -> None:
    if isinstance(content, bytes):
        (tmp_path / "secret").write_bytes(content)
    elif content is not None:
        (tmp_path / "secret").write_text(content)
    with pytest.raises(ConfigurationError, match=r"^OPS_API_TOKEN_FILE names .*secret, which"):
        Settings.load({"OPS_API_TOKEN_FILE": "secret"}, tmp_path)


def test_listen_url_is_another_name_of_direct_url(tmp_path: Path) -> None:
    one = "postgresql://a/b"
    settings = Settings.load({"LISTEN_URL": one}, tmp_path)
    assert settings.direct_url == settings.session_url == one
    assert Settings.load({"DATABASE_URL": one}, tmp_path).session_url == one


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OPS_PORT", "eight"),
        ("OPS_PORT", "65536"),
        ("OPS_PORT", "-1"),
        ("POOL_MAX", "0"),
        ("POOL_MAX", "1.5"),
        ("OPS_GRACE_S", "nan"),
        ("OPS_GRACE_S", "-1"),
        ("OPS_MISSION_SWEEP_S", "0"),
        ("OPS_ROUNDTABLE_SWEEP_S", "inf"),
        ("OPS_INITIATIVE_CONCURRENCY", "many"),
        ("OPS_ENV", "prod"),
        ("VOXYZ_LLM", "gpt"),
        ("VOXYZ_LOG", "xml"),
        ("VOXYZ_LOG_LEVEL", "loud"),
        ("VOXYZ_KINDS", "my-kinds"),
        ("VOXYZ_MOCK_FAIL", "429"),
        ("VOXYZ_MOCK_FAIL", "429:1.1"),
        ("VOXYZ_MOCK_FAIL", "429:.6,500:.6"),
        ("VOXYZ_MOCK_FAIL", "200:0.1"),
        ("VOXYZ_MOCK_LATENCY_MS", "slow"),
        ("AGENT_ID", "Sage!"),
        ("OPS_HOST", "a b"),
        ("ANTHROPIC_BASE_URL", "ftp://x"),
        ("DATABASE_URL", "mysql://root:hush@h/d"),
        ("DIRECT_URL", "hush"),
    ],
)
def test_a_malformed_value_is_one_line_that_names_the_variable(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Settings.load({name: value}, tmp_path)
    message = str(caught.value)
    assert message.startswith(f"{name} must be ")
    assert "\n" not in message
    assert "hush" not in message
    assert caught.value.exit_code == 2


def test_the_message_says_in_which_file_the_value_was_found(tmp_path: Path) -> None:
    (tmp_path / ".env.local").write_text("OPS_PORT=x\n")
    with pytest.raises(ConfigurationError, match=r"^OPS_PORT in \.env\.local must be .*, not 'x'$"):
        Settings.load({}, tmp_path)


def test_the_mock_s_failures_are_shares_by_status(tmp_path: Path) -> None:
    settings = Settings.load({"VOXYZ_MOCK_FAIL": "429:0.1, 529:0.05"}, tmp_path)
    assert settings.mock_fail == {429: 0.1, 529: 0.05}


def test_production_wants_a_database_and_no_silent_mock(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"OPS_ENV=production .* set DATABASE_URL"):
        Settings.load({"OPS_ENV": "production"}, tmp_path)
    environ = {"OPS_ENV": "production", "DATABASE_URL": "postgresql://h/d"}
    with pytest.raises(ConfigurationError, match="ANTHROPIC_API_KEY, or VOXYZ_LLM=mock"):
        Settings.load(environ, tmp_path).check_run()
    assert Settings.load({**environ, "VOXYZ_LLM": "mock"}, tmp_path).provider() == "mock"
    assert Settings.load({**environ, "ANTHROPIC_API_KEY": "k"}, tmp_path).provider() == "anthropic"


def test_auto_takes_the_key_when_there_is_one(tmp_path: Path) -> None:
    assert Settings.load({}, tmp_path).provider() == "mock"
    assert Settings.load({"ANTHROPIC_API_KEY": "k"}, tmp_path).provider() == "anthropic"
    assert Settings.load({"ANTHROPIC_API_KEY": "k", "VOXYZ_LLM": "mock"}, tmp_path).provider() == "mock"
    with pytest.raises(ConfigurationError, match="VOXYZ_LLM=anthropic needs a key"):
        Settings.load({"VOXYZ_LLM": "anthropic"}, tmp_path).check_run()


def test_a_door_to_the_world_needs_a_token(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"OPS_HOST=0\.0\.0\.0 is open to others: set OPS_API_TOKEN"):
        Settings.load({"OPS_HOST": "0.0.0.0"}, tmp_path).check_run()
    Settings.load({"OPS_HOST": "0.0.0.0", "OPS_API_TOKEN": "t"}, tmp_path).check_run()
    assert [is_loopback(host) for host in ("localhost", "127.9.9.9", "[::1]", "::", "db.example")] == [
        True,
        True,
        True,
        False,
        False,
    ]


def test_every_setting_is_described_with_unit_and_default() -> None:
    lines = {line.name: line for line in described()}
    assert len(lines) == len(variables())
    assert all(line.description and line.default for line in lines.values())
    assert (lines["OPS_GRACE_S"].unit, lines["OPS_GRACE_S"].default) == ("s", "20")
    assert lines["VOXYZ_LLM"].unit == "auto|anthropic|mock"


def test_an_address_that_is_refused_is_shown_without_its_password() -> None:
    with pytest.raises(ConfigurationError) as refused:
        Settings.load({"ANTHROPIC_BASE_URL": "https://me:hush/hu@sh@models.example of it"}, Path("/nowhere"))
    assert "hu" not in str(refused.value)
    assert "***@models.example" in str(refused.value)
