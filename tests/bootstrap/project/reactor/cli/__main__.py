"""Says where it runs and what it was told; ``exit N`` ends with that code, ``wait`` waits for a signal."""

import json
import signal
import sys
from pathlib import Path

sys.stdout.write(json.dumps({"args": sys.argv[1:], "cwd": str(Path.cwd()), "prefix": sys.prefix}) + "\n")
sys.stdout.flush()
if sys.argv[1:2] == ["exit"]:
    sys.exit(int(sys.argv[2]))
if sys.argv[1:2] == ["wait"]:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
    sys.stdout.write("waiting\n")
    sys.stdout.flush()
    signal.pause()
