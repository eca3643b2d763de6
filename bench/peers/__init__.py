"""The peers: other job queues on PostgreSQL, each as its own documentation runs it, and once as it tunes it where it does.

A peer's module is its worker as well: ``python -m bench.peers.procrastinate DSN …``.
"""

from bench.contestants import Contestant
from bench.peers.graphile import Graphile
from bench.peers.pgqueuer import Pgqueuer
from bench.peers.procrastinate import Procrastinate
from bench.stage import Stage

DEFAULTS: tuple[Contestant, ...] = (Procrastinate(), Pgqueuer(), Graphile())
TUNED: tuple[Contestant, ...] = (Pgqueuer(tuned=True), Graphile(tuned=True))


def present(stage: Stage, *peers: Contestant) -> list[Contestant]:
    """Those of ``peers`` that can take part; who cannot is named in the run."""
    able: list[Contestant] = []
    if not stage.peers:
        stage.run.missing["peers"] = "left out with --no-peers"
        return able
    for peer in peers:
        why = peer.missing(stage)
        if why is None:
            able.append(peer)
            stage.run.versions[peer.name] = peer.version()
        else:
            stage.run.missing[peer.name] = why
    return able
