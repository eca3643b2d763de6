"""The systemd units: which services there are, and the text of each.

One service runs everything. The others share the parts out among processes, for who wants them apart; together they run
every part. ``deploy/systemd`` holds these texts for the usual places, ``voxyz-reactor service`` writes them for the places
and the account of one machine.

Stopping: the main process alone is told (``KillMode=mixed``), since an embedded server must outlive the work; after the
stop window whatever is left is killed. A wrong setting (exit code 2) is not tried again.
"""

from dataclasses import dataclass
from pathlib import Path

from reactor.model.stopping import stop_window_s

WATCHDOG_S = 60  # longer than a handler may hold the loop before /healthz says that it is blocked
START_S = 120  # from one word to the next: a migration that goes on says that it does
ACCOUNT = "voxyz-reactor"
STATE = Path("/var/lib/voxyz-reactor")
ENVIRONMENT_FILE = Path("/etc/voxyz-reactor.env")


@dataclass(frozen=True, slots=True)
class Service:
    """A unit's name without its ending, what it does, and the parts it runs: none named is all."""

    name: str
    does: str
    parts: tuple[str, ...] = ()


WHOLE = (Service("voxyz-reactor", "every part of the reactor"),)
SPLIT = (
    Service("ops-mission-worker", "works through mission steps", ("mission",)),
    Service("ops-roundtable-worker", "holds roundtables", ("roundtable",)),
    Service("ops-initiative-worker", "asks agents for proposals", ("initiative",)),
    Service(
        "ops-schedule-conversations",
        "keeps the timetable and the heartbeat, and shows the page",
        ("schedule", "heartbeat", "web"),
    ),
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where and as whom a service runs.

    ``account`` None is a service of the user's own manager (``systemctl --user``). ``directory`` is where .env files are
    read from and the only place it may write to; ``home`` is where an embedded database would live; ``python`` is the
    interpreter, wherever links lead to.
    """

    program: Path
    directory: Path
    home: Path
    account: str | None = None
    environment_file: Path | None = None
    grace_s: float = 20.0
    python: Path | None = None

    @property
    def reads(self) -> list[Path]:
        """Every place it must see, by all names that it has."""
        named = [self.program, self.directory, self.home, *([self.python] if self.python else [])]
        return [*named, *(path.resolve() for path in named)]


# The places of deploy/systemd.
USUAL = Place(
    program=Path("/opt/voxyz-reactor/bin/voxyz-reactor"),
    directory=STATE,
    home=STATE / ".voxyz",
    account=ACCOUNT,
    environment_file=ENVIRONMENT_FILE,
)

# Both managers can do these: they need no right but not to gain any.
_FOR_ALL = """\
NoNewPrivileges=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM
UMask=0077
"""

_FOR_THE_SYSTEM = """\
AmbientCapabilities=
CapabilityBoundingSet=
DevicePolicy=closed
KeyringMode=private
PrivateDevices=yes
PrivateTmp={temporary}
PrivateUsers=yes
ProcSubset=pid
ProtectClock=yes
ProtectControlGroups=yes
ProtectHome={homes}
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProtectSystem=strict
ReadWritePaths={directory}
"""

_UNIT = """\
[Unit]
Description=voxyz-reactor: {does}
Documentation=man:voxyz-reactor(1)
{after}StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
ExecStart={program} run{parts}
{account}WorkingDirectory={directory}
{state}Environment=VOXYZ_HOME={home}
Environment=PYTHONUNBUFFERED=1
{environment_file}Restart=always
RestartSec=2
RestartPreventExitStatus=2
TimeoutStartSec={start_s}
TimeoutStopSec={stop_s}
WatchdogSec={watchdog_s}
KillMode=mixed
KillSignal=SIGTERM
LimitNOFILE=65536
StandardOutput=journal
StandardError=journal
SyslogIdentifier={name}

{hardening}
[Install]
WantedBy={target}
"""


def unit(service: Service, place: Place) -> str:
    """The text of the unit that runs ``service`` at ``place``."""
    system = place.account is not None
    return _UNIT.format(
        name=service.name,
        does=service.does,
        after="Wants=network-online.target\nAfter=network-online.target postgresql.service\n"
        if system
        else "",
        program=_escaped(place.program),
        parts="".join(f" {part}" for part in service.parts),
        account=f"User={place.account}\n" if system else "",
        directory=_escaped(place.directory),
        state="StateDirectory=voxyz-reactor\nStateDirectoryMode=0700\n" if place.directory == STATE else "",
        home=_escaped(place.home),
        environment_file=f"EnvironmentFile=-{place.environment_file}\n" if place.environment_file else "",
        start_s=START_S,
        stop_s=stop_window_s(place.grace_s),
        watchdog_s=WATCHDOG_S,
        hardening=_FOR_ALL + (_for_the_system(place) if system else ""),
        target="multi-user.target" if system else "default.target",
    )


def _for_the_system(place: Place) -> str:
    return _FOR_THE_SYSTEM.format(
        homes="read-only" if _needs(place, "/home", "/root") else "yes",
        temporary="no" if _needs(place, "/tmp", "/var/tmp") else "yes",  # noqa: S108  nothing is written there
        directory=_escaped(place.directory),
    )


def _needs(place: Place, *folders: str) -> bool:
    """True when something it must see lives in one of ``folders``, which services do not see."""
    return any(path.is_relative_to(folder) for path in place.reads for folder in folders)


def _escaped(path: Path) -> str:
    r"""``path`` as systemd reads it: % begins a specifier, a space ends a word."""
    text = str(path).replace("\\", "\\\\").replace("%", "%%")
    return text.replace(" ", r"\x20")
