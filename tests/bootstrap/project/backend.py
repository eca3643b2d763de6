"""A build backend without needs: an editable wheel that points at this directory.

It counts its builds in the file ``builds``; while ``hold`` exists it says so in ``held`` and waits; with
``fail`` it fails.
"""

import sys
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path

HERE = Path(__file__).parent
PATIENCE_S = 60.0


def build_editable(
    wheel_directory: str,
    config_settings: Mapping[str, str] | None = None,
    metadata_directory: str | None = None,
) -> str:
    with (HERE / "builds").open("a") as builds:
        builds.write("built\n")
    if (HERE / "fail").exists():
        sys.exit("error: no matching distribution found for anything")
    deadline = time.monotonic() + PATIENCE_S
    while (HERE / "hold").exists() and time.monotonic() < deadline:
        (HERE / "held").touch()
        time.sleep(0.02)
    name = "stand_in-1-py3-none-any.whl"
    metadata = "Metadata-Version: 2.1\nName: stand-in\nVersion: 1\nProvides-Extra: test\n"
    kind = "Wheel-Version: 1.0\nGenerator: here\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    with zipfile.ZipFile(Path(wheel_directory) / name, "w") as wheel:
        wheel.writestr("stand_in.pth", f"{HERE}\n")
        wheel.writestr("stand_in-1.dist-info/METADATA", metadata)
        wheel.writestr("stand_in-1.dist-info/WHEEL", kind)
        wheel.writestr("stand_in-1.dist-info/RECORD", "")
    return name
