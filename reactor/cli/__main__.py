"""``python -m reactor.cli``."""

import sys

from reactor.cli.commands import main

if __name__ == "__main__":
    sys.exit(main())
