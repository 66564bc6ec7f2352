"""``python -m reconciler``: the console script."""

from reconciler.cli.main import run

run()
