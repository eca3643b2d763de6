"""How long a process may take to leave, from the stop signal to its last breath.

Whoever manages processes (systemd, pm2, compose, Kubernetes) kills what has not left in time, and a killed reactor leaves
rows for others to rescue. So each of them is told the same number, made here.
"""

import math

# After the grace period: handlers are cancelled, outcomes written, rows given back, the fleet told, an embedded server
# stopped. The supervisor bounds each of these; a test holds this number against their sum.
LEAVE_WITHIN_S = 30


def stop_window_s(grace_s: float) -> int:
    """Whole seconds after which a process with that grace period may be killed."""
    return math.ceil(grace_s) + LEAVE_WITHIN_S
