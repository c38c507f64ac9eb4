"""`echobench`, or `python -m echobench`: what `python -m bench` is in the checkout."""

from __future__ import annotations

import sys

from echobench import find_rooms


def main() -> int:
    """Run the command line and return its exit status."""
    find_rooms()
    from bench.__main__ import main as bench  # noqa: PLC0415 - it is found only now

    return bench()


if __name__ == "__main__":
    sys.exit(main())
