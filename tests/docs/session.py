"""A page's commands as a reader gives them: one directory, one embedded database, real processes."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

from tests.cli.conftest import COMMAND, environment
from tests.docs.blocks import ROOT, Block
from tests.support.server import free_port

DEADLINE_S = 180.0
SHOWN_PORTS = ("8420", "8099")  # ours, and that of a receiver; free ones stand in for them


class Session:
    """Runs blocks in ``folder``; what stays is ended by ``close``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports = {shown: str(free_port()) for shown in SHOWN_PORTS}
        self.said = ""
        self.staying: list[tuple[subprocess.Popen[bytes], Path]] = []
        for program in (folder / "bin/voxyz-reactor", folder / "path/voxyz-reactor"):
            program.parent.mkdir()
            program.write_text(f'#!/bin/sh\nexec {" ".join(COMMAND)} "$@"\n')
            program.chmod(0o755)
        (folder / "examples").symlink_to(ROOT / "examples")
        path = os.pathsep.join([str(folder / "path"), str(Path(sys.executable).parent), os.environ["PATH"]])
        self.environment = environment(PATH=path, OPS_PORT=self.ports["8420"], VOXYZ_LOG="console")

    def take(self, block: Block) -> None:
        """Do what the mark of ``block`` says; an AssertionError names the block."""
        text = re.sub(r"\b(?:8420|8099)\b", lambda found: self.ports[found[0]], block.text)
        match block.verb:
            case "start":
                self._stay(block, block.rest, "ready")
            case "run" if block.rest.startswith("until "):
                self._stay(block, text, block.rest.removeprefix("until "))
            case "run" if block.rest == "sql":
                self._run(block, ["voxyz-reactor", "psql", "-X", "-v", "ON_ERROR_STOP=1"], text)
            case "run":
                self._run(block, ["bash", "-eu", "-o", "pipefail"], text)
            case "says":
                self._compare(block, text)
            case "file":
                (self.folder / block.rest).write_text(text + "\n")
            case "prepare":
                self._prepare(block)

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
        assert done.returncode == 0, f"{block} failed:\n{text}\n{self.said}{self._stayed()}"

    def _stay(self, block: Block, text: str, word: str) -> None:
        log = self.folder / f"staying-{len(self.staying)}"
        with log.open("wb") as out:
            process = subprocess.Popen(
                ["bash", "-eu", "-c", f"exec {text}" if "=" not in text.split()[0] else f"exec env {text}"],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        self.staying.append((process, log))
        deadline = time.monotonic() + DEADLINE_S
        while not re.search(rf"^{re.escape(word)}", log.read_text(), re.MULTILINE):
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

    def _stayed(self) -> str:
        return "".join(f"\n--- {log.name}:\n{log.read_text()[-3000:]}" for _, log in self.staying)

    def close(self) -> None:
        """Everything that stayed has ended."""
        for process, _ in reversed(self.staying):
            process.terminate()
        for process, _ in reversed(self.staying):
            try:
                process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _pattern(text: str) -> re.Pattern[str]:
    """What finds the lines of ``text`` one after the other, others between them; columns may be of any width."""
    lines = [
        " +".join(re.escape(word).replace("…", ".*") for word in line.split())
        for line in text.splitlines()
        if line.strip()
    ]
    return re.compile(r"[\s\S]*?".join(f"^ *{line} *$" for line in lines), re.MULTILINE)
