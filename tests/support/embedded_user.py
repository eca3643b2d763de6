"""A command that uses the embedded server of a home: ``python -m tests.support.embedded_user HOME [ACCOUNT]``.

Prints one JSON line once it is in (or the error), leaves when its standard input ends, prints whether it was the
last one out. With ACCOUNT (a user's name) it first becomes that user.
"""

import json
import os
import pwd
import sys
from pathlib import Path

import trio

from reactor.errors import ReactorError
from reactor.pg.embedded import EmbeddedServer, ensure_running


def say(**facts: object) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


async def use(home: Path) -> None:
    try:
        server: EmbeddedServer = await ensure_running(home, create=True)
    except ReactorError as error:
        say(error=str(error), kind=type(error).__name__, exit_code=error.exit_code)
        return
    try:
        say(was=server.was, dsn=server.dsn, pid=server.pid)
        await trio.to_thread.run_sync(sys.stdin.read)
    finally:
        say(stopped=await server.leave())


def main() -> None:
    if len(sys.argv) > 2:
        account = pwd.getpwnam(sys.argv[2])
        os.setgroups([])
        os.setresgid(account.pw_gid, account.pw_gid, account.pw_gid)
        os.setresuid(account.pw_uid, account.pw_uid, account.pw_uid)
        os.umask(0o022)
    trio.run(use, Path(sys.argv[1]))


if __name__ == "__main__":
    main()
