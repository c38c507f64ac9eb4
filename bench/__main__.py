"""`python -m bench`: the `echobench` command."""

import os
import signal
import sys

INTERRUPTED = 128 + signal.SIGINT


def main() -> int:
    """Run the command line and return its exit status, also if it is interrupted while it is still being loaded."""
    signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))  # nothing has begun yet
    from bench import cli  # noqa: PLC0415 - click takes long enough to be interrupted

    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
