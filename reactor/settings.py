"""What the operator says: every environment variable, with its meaning, unit and default.

Three layers, the first that names a variable wins: the environment, then ``.env.local``, then ``.env`` of the
working directory. An empty variable counts as unset. A secret may come from a file instead: ``NAME_FILE``
holds its path. A malformed value is a ``ConfigurationError`` of one line that names the variable, where it
was found and what it wants, but never repeats a secret.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

from reactor.environment import Variable, layers, look_up
from reactor.errors import ConfigurationError

DEFAULT_MODEL = "claude-haiku-5-5"

_DATABASE_URL_WANTS = "a PostgreSQL address such as postgresql://user:password@host:5432/name"
_AGENT = r"^[a-z][a-z0-9_-]{0,62}$"
_MODULES = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_URI = re.compile(r"postgres(ql)?(\+\w+)?://")
_LOGIN = re.compile(r"(?<=://).*@")  # an address that was refused may hold a password anywhere before its @
_KEYWORD = re.compile(r"\s*[a-z_]+\s*=")


def _variable(
    *names: str, wants: str, unit: str = "", secret: bool = False, default: str | None = None
) -> Variable:
    return Variable(names, wants, unit, secret, default)


def _database_url(value: str) -> str:
    if _URI.match(value) or _KEYWORD.match(value):
        return value
    raise ValueError(_DATABASE_URL_WANTS)


def _http_url(value: str) -> str:
    if not re.fullmatch(r"https?://[^\s/]+(/\S*)?", value):
        raise ValueError("not an address")
    return value.rstrip("/")


def _lower(value: str) -> str:
    return value.lower()


def _modules(value: str | tuple[str, ...]) -> tuple[str, ...]:
    names = (
        tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value
    )
    if not all(_MODULES.fullmatch(name) for name in names):
        raise ValueError("not module names")
    return names


def _failures(value: str | Mapping[int, float]) -> dict[int, float]:
    if not isinstance(value, str):
        return dict(value)
    rates: dict[int, float] = {}
    for part in value.split(","):
        status, _, chance = part.partition(":")
        rates[int(status)] = float(chance or "nan")
    if (
        not all(400 <= status <= 599 and 0 <= chance <= 1 for status, chance in rates.items())
        or sum(rates.values()) > 1
    ):
        raise ValueError("out of range")
    return rates


Rows = Annotated[int, Field(ge=1, le=10_000)]
Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]


def _rows(name: str) -> Variable:
    return _variable(name, wants="a whole number from 1 to 10000", unit="rows")


def _seconds(name: str) -> Variable:
    return _variable(name, wants="a number above 0, at most 86400", unit="s")


class Settings(BaseModel):
    """The settings of one process, checked; made by ``load`` and never changed afterwards."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    database_url: Annotated[
        str | None,
        BeforeValidator(_database_url),
        _variable(
            "DATABASE_URL",
            wants=_DATABASE_URL_WANTS,
            secret=True,
            default="an embedded PostgreSQL under VOXYZ_HOME",
        ),
    ] = Field(None, repr=False, description="the database")
    direct_url: Annotated[
        str | None,
        BeforeValidator(_database_url),
        _variable("DIRECT_URL", "LISTEN_URL", wants=_DATABASE_URL_WANTS, secret=True, default="DATABASE_URL"),
    ] = Field(
        None,
        repr=False,
        description="the same database without a pooler, when DATABASE_URL is one; also LISTEN_URL",
    )
    voxyz_home: Annotated[
        Path | None,
        _variable("VOXYZ_HOME", wants="a directory", default="the nearest .voxyz upwards, else .voxyz here"),
    ] = Field(None, description="where the embedded database lives")

    anthropic_api_key: Annotated[
        SecretStr | None, _variable("ANTHROPIC_API_KEY", wants="the key of an Anthropic account", secret=True)
    ] = Field(None, description="pays for the calls to the language model")
    anthropic_base_url: Annotated[
        str | None,
        BeforeValidator(_http_url),
        _variable("ANTHROPIC_BASE_URL", wants="an http or https address", default="Anthropic's own"),
    ] = Field(None, description="where the language model is asked")
    llm: Annotated[
        Literal["auto", "anthropic", "mock"],
        BeforeValidator(_lower),
        _variable("VOXYZ_LLM", wants="auto, anthropic or mock"),
    ] = Field("auto", description="who answers: auto takes anthropic when there is a key, else the mock")
    model: Annotated[str, _variable("VOXYZ_MODEL", wants="the id of a model, at most 200 characters")] = (
        Field(DEFAULT_MODEL, max_length=200, description="the model of agents that name none")
    )
    mock_latency_ms: Annotated[
        float, _variable("VOXYZ_MOCK_LATENCY_MS", wants="a number from 0 to 600000", unit="ms")
    ] = Field(0.0, ge=0, le=600_000, allow_inf_nan=False, description="how long the mock takes for an answer")
    mock_fail: Annotated[
        Mapping[int, float],
        BeforeValidator(_failures),
        _variable(
            "VOXYZ_MOCK_FAIL",
            wants="HTTP status:share of calls, such as 429:0.1 or 429:0.1,529:0.05",
            unit="share of calls",
            default="none",
        ),
    ] = Field(default={}, description="how often the mock fails, and as what")

    agent_id: Annotated[
        str | None,
        _variable("AGENT_ID", wants="an agent's id, such as sage", default="none: steps of every agent"),
    ] = Field(
        None, pattern=_AGENT, description="take steps of this agent and of none; those of none run as it"
    )
    kinds: Annotated[
        tuple[str, ...],
        BeforeValidator(_modules),
        _variable(
            "VOXYZ_KINDS",
            wants="Python modules separated by commas, such as my_kinds,team.kinds",
            default="none",
        ),
    ] = Field((), description="modules with your own kinds of steps")

    mission_concurrency: Annotated[Rows, _rows("OPS_MISSION_CONCURRENCY")] = Field(
        50, description="mission steps run at once by this process"
    )
    roundtable_concurrency: Annotated[Rows, _rows("OPS_ROUNDTABLE_CONCURRENCY")] = Field(
        10, description="roundtables run at once by this process"
    )
    initiative_concurrency: Annotated[Rows, _rows("OPS_INITIATIVE_CONCURRENCY")] = Field(
        4, description="initiatives run at once by this process"
    )
    mission_sweep_s: Annotated[Seconds, _seconds("OPS_MISSION_SWEEP_S")] = Field(
        5.0, description="how often mission steps are looked for without a ring"
    )
    roundtable_sweep_s: Annotated[Seconds, _seconds("OPS_ROUNDTABLE_SWEEP_S")] = Field(
        30.0, description="how often roundtables are looked for without a ring"
    )
    initiative_sweep_s: Annotated[Seconds, _seconds("OPS_INITIATIVE_SWEEP_S")] = Field(
        60.0, description="how often initiatives are looked for without a ring"
    )
    pool_max: Annotated[
        int, _variable("POOL_MAX", wants="a whole number from 1 to 100", unit="connections")
    ] = Field(4, ge=1, le=100, description="working connections to the database")
    grace_s: Annotated[float, _variable("OPS_GRACE_S", wants="a number from 0 to 86400", unit="s")] = Field(
        20.0,
        ge=0,
        le=86_400,
        allow_inf_nan=False,
        description="how long running work may finish after a stop signal",
    )

    host: Annotated[str, _variable("OPS_HOST", wants="a host name or an address")] = Field(
        "127.0.0.1",
        pattern=r"^[0-9A-Za-z._:%\[\]-]{1,255}$",
        description="where the page and the probes listen",
    )
    port: Annotated[
        int,
        _variable(
            "OPS_PORT",
            wants="a whole number from 0 to 65535",
            unit="port",
            default="8420, or the next that is free",
        ),
    ] = Field(8420, ge=0, le=65_535, description="their port; 0 takes any free one")
    api_token: Annotated[
        SecretStr | None,
        _variable(
            "OPS_API_TOKEN", wants="a secret of your own", secret=True, default="none: this machine only"
        ),
    ] = Field(None, description="who has it may do everything over HTTP")
    read_token: Annotated[
        SecretStr | None, _variable("OPS_READ_TOKEN", wants="a secret of your own", secret=True)
    ] = Field(None, description="who has it may look at everything over HTTP")

    log: Annotated[
        Literal["console", "json"] | None,
        BeforeValidator(_lower),
        _variable("VOXYZ_LOG", wants="console or json", default="console on a terminal, else json"),
    ] = Field(None, description="how the log on stderr is written")
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        BeforeValidator(_lower),
        _variable("VOXYZ_LOG_LEVEL", wants="debug, info, warning or error"),
    ] = Field("info", description="the least that is logged")
    env: Annotated[
        Literal["development", "production"],
        BeforeValidator(_lower),
        _variable("OPS_ENV", wants="development or production"),
    ] = Field(
        "development",
        description="production: no embedded database, no silent mock, run leaves the schema alone",
    )

    # The directory the files were read from and relative paths start at.
    cwd: Path = Path()

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None, cwd: Path | None = None) -> Self:
        """The settings as ``environ`` (default: this process's) and the files of ``cwd`` give them.

        Raises: ConfigurationError: a value is malformed, a file unreadable, or production has no database.
        """
        here = (cwd or Path.cwd()).absolute()
        known = variables()
        given = layers(os.environ if environ is None else environ, here, known.values())
        raw: dict[str, Any] = {"cwd": here}
        places: dict[str, str] = {}
        for field, variable in known.items():
            if (found := look_up(variable, given, here)) is not None:
                places[field], raw[field] = found
        try:
            settings = cls.model_validate(raw)
        except ValidationError as error:
            field = str(error.errors(include_input=False)[0]["loc"][0])
            raise ConfigurationError(_complaint(variables()[field], places[field], raw[field])) from None
        if settings.production and settings.database_url is None:
            raise ConfigurationError(
                "OPS_ENV=production uses no embedded database: set DATABASE_URL to the one to work on"
            )
        return settings

    @property
    def production(self) -> bool:
        """Whether the rules of production apply."""
        return self.env == "production"

    @property
    def session_url(self) -> str | None:
        """The address for connections that keep a session: LISTEN, locks."""
        return self.direct_url or self.database_url

    def address_now(self, field: Literal["database_url", "direct_url"]) -> str | None:
        """What the variable says by now, its file read again; None when that is nothing that can be used."""
        known = variables()
        try:
            found = look_up(known[field], layers(os.environ, self.cwd, known.values()), self.cwd)
            return None if found is None else _database_url(found[1])
        except (ConfigurationError, ValueError):  # it is being written this instant
            return None

    @property
    def port_is_set(self) -> bool:
        """Whether the operator chose the port: then another one will not do."""
        return "port" in self.model_fields_set

    def concurrency(self, queue: str) -> int:
        """How many rows of ``queue`` (mission, roundtable, initiative) this process runs at once."""
        by_queue = {
            "mission": self.mission_concurrency,
            "roundtable": self.roundtable_concurrency,
            "initiative": self.initiative_concurrency,
        }
        return by_queue[queue]

    def sweep_s(self, queue: str) -> float:
        """How often ``queue`` (mission, roundtable, initiative) is looked at without a ring, in seconds."""
        by_queue = {
            "mission": self.mission_sweep_s,
            "roundtable": self.roundtable_sweep_s,
            "initiative": self.initiative_sweep_s,
        }
        return by_queue[queue]

    def provider(self) -> Literal["anthropic", "mock"]:
        """Who answers in place of ``auto``. Raises ConfigurationError: no key where one is needed."""
        if self.llm == "mock" or (self.llm == "auto" and not self.anthropic_api_key and not self.production):
            return "mock"
        if not self.anthropic_api_key:
            asked = "VOXYZ_LLM=anthropic" if self.llm == "anthropic" else "OPS_ENV=production"
            raise ConfigurationError(
                f"{asked} needs a key: set ANTHROPIC_API_KEY, or VOXYZ_LLM=mock for simulated answers"
            )
        return "anthropic"

    def check_run(self) -> None:
        """Return when a reactor may start with these.

        Raises: ConfigurationError: no key where one is needed, or a door to the world without a lock.
        """
        self.provider()
        if not self.api_token and not is_loopback(self.host):
            raise ConfigurationError(
                f"OPS_HOST={self.host} is open to others: set OPS_API_TOKEN, or OPS_HOST=127.0.0.1"
            )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches ``host``."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def variables() -> dict[str, Variable]:
    """Every setting's variable by the name of its field."""
    return {
        name: next(item for item in info.metadata if isinstance(item, Variable))
        for name, info in Settings.model_fields.items()
        if any(isinstance(item, Variable) for item in info.metadata)
    }


@dataclass(frozen=True, slots=True)
class Described:
    """One line of the table of settings."""

    name: str
    unit: str
    default: str
    description: str


def described() -> list[Described]:
    """Every setting for ``run --help``, in the order of the class."""
    lines = []
    for field, variable in variables().items():
        info = Settings.model_fields[field]
        default = variable.default_text
        if default is None:
            default = "none" if info.default is None else _plain(info.default)
        unit = variable.unit or _choices(field)
        note = f" ({variable.name}_FILE: a file with it)" if variable.secret else ""
        lines.append(Described(variable.name, unit, default, f"{info.description}{note}"))
    return lines


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _choices(field: str) -> str:
    """The words a setting may be, as ``a|b|c``; empty when it is no such choice."""
    options = get_args(Settings.model_fields[field].annotation)
    flat = [word for option in options for word in (get_args(option) or (option,))]
    return "|".join(word for word in flat if isinstance(word, str))


def _complaint(variable: Variable, place: str, value: object) -> str:
    line = f"{place} must be {variable.wants}"
    if variable.secret:
        return line
    shown = _LOGIN.sub("***@", str(value))
    return f"{line}, not {shown if len(shown) <= 60 else shown[:60] + '…'!r}"
