"""``python -m tests.simulation.repeat SEED [MUTED…]``: live through one world again, and tell all that happens."""

from __future__ import annotations

import sys

from tests.simulation.world import Broken, live_through


def main(arguments: list[str]) -> int:
    """Print the story of a seed; 1 when it does not end in order."""
    seed, *muted = map(int, arguments)
    try:
        world = live_through(seed, frozenset(muted))
    except Broken as problem:
        print(problem)
        return 1
    print("\n".join((*world.schedule.hits, "", *world.trace, "", str(world.tally))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
