"""`python -m bench`: the `echobench` command. Only what must happen before the command line is loaded is here."""

import os
import signal
import sys

INTERRUPTED = 128 + signal.SIGINT


def main() -> int:
    """Run the command line and return its exit status. What ends it while it is being loaded has one too."""
    signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))  # nothing has begun yet
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # a parent that ignores it has its children do so, and lose theirs
    try:
        from bench import cli  # noqa: PLC0415 - click takes long enough to be interrupted
    except Exception as error:  # noqa: BLE001 - Python would exit with 1, which means REGRESSED
        from bench.errors import tell_fault  # noqa: PLC0415 - only for this

        return tell_fault(error)
    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
