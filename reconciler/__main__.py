"""``python -m reconciler``: the console script."""

import sys

try:
    from reconciler.cli.main import run

    run()
except KeyboardInterrupt:
    sys.exit(130)
