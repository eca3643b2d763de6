"""A page's commands as a reader gives them: one directory, one embedded database, real processes.

What a page exports holds for the blocks after it, as it does in a reader's shell. Addresses at Supabase lead to a database
and poolers like Supabase's, the reader's own (``user:password@host``) to a server beside it; both are made when a page first
names one.
"""

import json
import os
import re
import shlex
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import psycopg

from bench.__main__ import BENCHES
from reactor.pg.embedded.binaries import Binaries, binaries_at
from tests.cli.conftest import COMMAND, environment
from tests.docs.blocks import ROOT, Block
from tests.support.machine import Machine, NoMachineError, machine
from tests.support.pm2 import has_npm, installed_pm2
from tests.support.server import PrivateServer, chosen_binaries, free_port, private_server
from tests.support.supabase import Project, answer, project

DEADLINE_S = 180.0
SHELL = ["bash", "-eu", "-o", "pipefail"]
SUPABASE = re.compile(
    r"postgresql://postgres\.<ref>:<password>@<region>\.pooler\.supabase\.com:(?P<port>\d+)/postgres\?sslmode=require"
)
OWN = re.compile(r"postgresql://user(?::password)?@host(?::5432)?/(?P<name>\w+)")
# Supabase's client as far as the page goes: it writes down what it is asked.
CLIENT = """
const asked = (...call) => (console.log(JSON.stringify(call)), Promise.resolve({ data: [], error: null }))
export const createClient = () => ({
  rpc: (name, values = {}) => asked('rpc', name, values),
  from: (name) => ({
    insert: (row) => asked('insert', name, row),
    select: () => asked('select', name, {}),
  }),
})
"""
SHOWN_PORTS = ("8420", "8099")  # ours, and that of a receiver; free ones stand in for them


class Session:
    """Runs blocks in ``folder``; what stays is ended by ``close``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stack = ExitStack()
        self.project: Project | None = None
        self.server: PrivateServer | None = None
        self.ports = {shown: str(free_port()) for shown in SHOWN_PORTS}
        self.machine: Machine | None = None
        self.left_out: list[str] = []  # blocks that could not be run here, and why
        self.said = ""
        self.staying: list[tuple[subprocess.Popen[bytes], Path]] = []
        for program in (folder / "bin/voxyz-reactor", folder / "path/voxyz-reactor"):
            program.parent.mkdir()
            program.write_text(f'#!/bin/sh\nexec {" ".join(COMMAND)} "$@"\n')
            program.chmod(0o755)
        for name in ("examples", "deploy"):
            (folder / name).symlink_to(ROOT / name)
        path = os.pathsep.join([str(folder / "path"), str(Path(sys.executable).parent), os.environ["PATH"]])
        self.environment = environment(PATH=path, OPS_PORT=self.ports["8420"], VOXYZ_LOG="console")

    def take(self, block: Block) -> None:
        """Do what the mark of ``block`` says; an AssertionError names the block."""
        text = re.sub(r"\b(?:8420|8099)\b", lambda found: self.ports[found[0]], block.text)
        text = SUPABASE.sub(lambda found: self._at_supabase(int(found["port"])), text)
        text = text.replace("<this repository>", shlex.quote(str(ROOT)))
        text = OWN.sub(lambda found: self._own(found["name"]), text)
        match block.verb:
            case "start" if block.rest == "a PostgreSQL of your own":
                self._own_server()
            case "start":
                self._stay(block, block.rest, "ready")
            case "run" if block.rest == "each until ready":
                for line in text.splitlines():
                    self._stay(block, line, "ready")
            case "run" if block.rest.startswith("until "):
                self._stay(block, text, block.rest.removeprefix("until "))
            case "run" if block.rest == "sql":
                self._run(block, ["voxyz-reactor", "psql", "-X", "-v", "ON_ERROR_STOP=1"], text)
            case "run" if block.rest == "moving":
                self._leave()
                for name in ("DATABASE_URL", "DIRECT_URL"):
                    self.environment.pop(name, None)
                if self.project is not None:
                    self.project.renew()
                self._run(block, SHELL, "voxyz-reactor migrate")
                self._run(block, SHELL, text)
            case "run" if block.rest == "quick":
                self._run(block, SHELL, _quick(text))
            case "run" if block.rest == "on a machine":
                self._on_a_machine(block, text)
            case "run":
                if not re.search(r"\bpm2 ", text) or self._pm2(block):
                    self._run(block, SHELL, text)
            case "unit":
                self._on_a_machine(block, _beside(block))
            case "says":
                self._compare(block, text)
            case "file":
                (self.folder / block.rest).write_text(text + "\n")
            case "prepare":
                self._prepare(block)
            case "calls":
                self._call(text)

    def _run(self, block: Block, command: list[str], text: str) -> None:
        # Words for the programs of a block must come from the block alone: its text is a file, its input empty.
        script = self.folder / "block"
        script.write_text(text + "\n")
        flag = "-f" if "psql" in command else "--"
        done = subprocess.run(
            [*command, flag, str(script)],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
        )
        self.said = done.stdout + done.stderr
        for name, quoted, plain in re.findall(r"^export (\w+)=(?:'([^']*)'|(\S+))$", text, re.MULTILINE):
            self.environment[name] = quoted or plain
        for name in re.findall(r"^unset (\w+)$", text, re.MULTILINE):
            self.environment.pop(name, None)
        assert done.returncode == 0, f"{block} failed:\n{text}\n{self.said}{self._stayed()}"

    def _stay(self, block: Block, text: str, word: str) -> None:
        log = self.folder / f"staying-{len(self.staying)}"
        port = {"OPS_PORT": "0"} if self.staying else {}  # the first has it
        *first, last = text.splitlines()
        with log.open("wb") as out:
            process = subprocess.Popen(
                ["bash", "-eu", "-c", "\n".join([*first, f"exec env {last}"])],
                cwd=self.folder,
                env={**self.environment, **port},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        self.staying.append((process, log))
        deadline = time.monotonic() + DEADLINE_S
        begins = re.escape(word).replace("…", ".*")
        while not re.search(rf"^{begins}", log.read_text(), re.MULTILINE):
            assert process.poll() is None, f"{block} ended:\n{log.read_text()}"
            assert time.monotonic() < deadline, f"{block} did not say {word}:\n{log.read_text()}"
            time.sleep(0.05)
        self.said = log.read_text()

    def _compare(self, block: Block, text: str) -> None:
        """Each line of ``text`` is found in what was said, in that order; a process that stays may take its time."""
        deadline = time.monotonic() + (30 if self.staying else 0)
        pattern = _pattern(text)
        while not pattern.search(self.said) and not any(
            pattern.search(log.read_text()) for _, log in self.staying
        ):
            assert time.monotonic() < deadline, (
                f"{block}: what was said is not\n{text}\nbut\n{self.said}{self._stayed()}"
            )
            time.sleep(0.05)

    def _prepare(self, block: Block) -> None:
        """PostgreSQL understands every statement in the strings of ``block``."""
        statements = re.findall(r"[`\"]((?:select|insert) [^`\"]*(?:\"\w+\"[^`\"]*)*)[`\"]", block.text)
        statements += re.findall(r"<<~SQL[^\n]*\n(.*?)\n\s*SQL$", block.text, re.DOTALL | re.MULTILINE)
        assert statements, f"{block}: there is no SQL in it"
        for number, statement in enumerate(statements):
            self._run(
                block,
                ["voxyz-reactor", "psql", "-X", "-v", "ON_ERROR_STOP=1"],
                f"prepare statement_{number} as {statement};",
            )

    def _call(self, text: str) -> None:
        """The database answers what the script asks Supabase for."""
        client = self.folder / "node_modules/@supabase/supabase-js"
        client.mkdir(parents=True)
        (client / "package.json").write_text(
            '{"name": "@supabase/supabase-js", "type": "module", "main": "index.js"}'
        )
        (client / "index.js").write_text(CLIENT)
        (self.folder / "calls.mjs").write_text(text)
        told = subprocess.run(
            ["node", "calls.mjs"],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout
        assert self.project is not None
        with psycopg.connect(self.project.url(self.project.sessions), autocommit=True) as session:
            session.execute("set role service_role")
            for line in told.splitlines():
                how, name, given = json.loads(line)
                answer(session, how, name, given)

    def _on_a_machine(self, block: Block, text: str) -> None:
        if self.machine is None:
            try:
                self.machine = self.stack.enter_context(machine())
            except NoMachineError as error:
                self.left_out.append(f"{block} was not run: {error}")
                return
        script = self.folder / "block"
        # As sudo has it: next to nothing of the caller's environment.
        kept = " ".join(f'{name}="${name}"' for name in ("PATH", "PYTHONPATH", "HOME"))
        script.write_text(f'sudo() {{ env -i {kept} "$@"; }}\n{text}\n')
        done = self.machine.run([*SHELL, "--", str(script)], cwd=self.folder, env=self.environment)
        self.said = done.stdout + done.stderr
        assert done.returncode == 0, (
            f"{block} failed:\n{text}\n{self.said}\n{self.machine.log.read_text()[-2000:]}"
        )

    def _pm2(self, block: Block) -> bool:
        """pm2 is one of the programs, and its daemon ends with the page; false when it cannot be had for ``block``."""
        if "PM2_HOME" in self.environment:
            return True
        if not has_npm():
            self.left_out.append(f"{block} was not run: npm is not installed")
            return False
        pm2 = self.stack.enter_context(installed_pm2())
        self.environment |= {
            "PATH": f"{pm2.parent}:{self.environment['PATH']}",
            "PM2_HOME": str(self.folder / "pm2"),
        }
        self.environment["OPS_PORT"] = "0"  # what it starts stays, and so several may share what is set here
        environment = dict(self.environment)
        self.stack.callback(
            lambda: subprocess.run([pm2, "kill"], env=environment, capture_output=True, timeout=60)
        )
        return True

    def _stayed(self) -> str:
        return "".join(f"\n--- {log.name}:\n{log.read_text()[-3000:]}" for _, log in self.staying)

    def _own_server(self) -> PrivateServer:
        """The reader's own PostgreSQL: its programs come first and know its address; DATABASE_URL names a voxyz in it."""
        if self.server is None:
            self.server = self.stack.enter_context(private_server(_binaries()))
            self.environment |= {
                "PATH": f"{self.folder / 'path'}:{self.server.bindir}:{self.environment['PATH']}",
                "PGHOST": "127.0.0.1",
                "PGPORT": str(self.server.port),
                "PGUSER": "voxyz",
                "PGPASSWORD": self.server.password,
                "DATABASE_URL": self.server.tcp_dsn,
            }
            self._run(Block(Path(), 0, "console", "run", "", ""), SHELL, "voxyz-reactor migrate")
        return self.server

    def _own(self, name: str) -> str:
        """The address of a new database of that name there."""
        if self.server is None:
            self.server = self.stack.enter_context(private_server(_binaries()))
        self.server.run(f"drop database if exists {name} with (force)")
        self.server.run(f"create database {name}")
        return f"{self.server.tcp_dsn.rpartition('/')[0]}/{name}"

    def _at_supabase(self, port: int) -> str:
        """The address of ours that stands for that port of the pooler there."""
        if self.project is None:
            self.project = self.stack.enter_context(project(_binaries()))
        return self.project.url(self.project.transactions if port == 6543 else self.project.sessions)

    def close(self) -> None:
        """Everything that stayed has ended."""
        self._leave()
        self.stack.close()

    def _leave(self) -> None:
        for process, _ in reversed(self.staying):
            process.terminate()
        for process, _ in reversed(self.staying):
            try:
                process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.staying.clear()


def _quick(text: str) -> str:
    """The measurements among the commands of ``text``, made short; what is then the same comes once."""
    lines = ["mkdir docs"]
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if words[:3] != ["python", "-m", "bench"]:
            continue
        if "--from" not in words:
            left = [word for word in words[3:] if word not in (*BENCHES, "--quick")]
            words = [*words[:3], "wake", "--quick", "--no-peers", *left]
        lines.append(" ".join(words).replace("/usr/lib/postgresql/15/bin", str(_binaries().bindir)))
    return "\n".join(dict.fromkeys(lines))


def _beside(block: Block) -> str:
    """Commands that put the text of ``block`` beside a unit, and the unit is up with it."""
    _, _, settings = block.text.partition("\n")
    folder = f"/etc/systemd/system/{block.rest}.service.d"
    files = " ".join(re.findall(r"^LoadCredential=\w+:(\S+)$", settings, re.MULTILINE))
    return f"""
        for file in {files}; do mkdir -p "$(dirname "$file")"; (umask 077; echo sk-of-the-page > "$file"); done
        mkdir -p {folder}
        printf '%s\\n' {shlex.quote(settings)} > {folder}/override.conf
        systemctl daemon-reload
        systemctl restart {block.rest}
        systemctl is-active {block.rest}
    """


def _binaries() -> Binaries:
    """The system's PostgreSQL, else the one that comes with us."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return binaries_at(found[-1].parent) if found else chosen_binaries()


def _pattern(text: str) -> re.Pattern[str]:
    """What finds the lines of ``text`` one after the other, others between them; columns may be of any width."""
    lines = [
        " +".join(re.escape(word).replace("…", ".*") for word in line.split())
        for line in text.splitlines()
        if line.strip()
    ]
    return re.compile(r"[\s\S]*?".join(f"^ *{line} *$" for line in lines), re.MULTILINE)
