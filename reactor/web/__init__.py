"""HTTP: the probes, the metrics, and whatever routes are laid beside them.

Every ``run`` serves, whichever parts it has. The address is bound before anything else is done: a port in use stops the
start before the database is touched, and while the reactor starts ``/readyz`` says what it is at.

* ``ports``: where to listen, by the rules for a chosen port, a default one, and any.
* ``server``: HTTP on sockets that are open already; how many, how long, and how it ends.
* ``lingering``: an answer reaches also a client that still sends.
* ``access``: who may do what, before any route is looked at.
* ``health``: whether this process is ready for work, and what holds the work up.
* ``watchdog``: answers when the event loop does not turn.
* ``probes``: the three routes every process has.
* ``problems``: errors as ``application/problem+json``.
* ``serving``: `run_web`, which makes one of all these.

Nothing here decides what an agent or a row may do, and no request is worth losing the reactor for: what goes wrong with one
connection ends that connection.
"""

from reactor.web.health import Health
from reactor.web.serving import run_web

__all__ = ["Health", "run_web"]
