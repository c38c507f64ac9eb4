"""`python -m clients HOST:PORT`: put load on an echo server and say what came back."""

import errno
import os
import signal
import sys

OLDEST = (3, 11)
WRONG_USE = 2
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""What a disk says, a quota, or a limit on the size of a file, when it is used up."""
INTERRUPTED, NOBODY_READS = 128 + signal.SIGINT, 128 + signal.SIGPIPE
"""What a shell says of a program that such a signal ended."""


def main() -> int:
    """Run the command line and return its exit status; leave quietly if nobody wants the rest."""
    if sys.version_info < OLDEST:  # here, where an older Python can still read the file
        version = ".".join(map(str, sys.version_info[:2]))
        print(f"clients: {sys.executable} is Python {version}: run it with Python 3.11 or later", file=sys.stderr)
        return WRONG_USE
    signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))  # nothing has begun yet
    try:
        from clients import cli  # noqa: PLC0415 - numpy takes long enough to be interrupted
    except ModuleNotFoundError as error:
        print(f"clients: the package {error.name} is not installed: python3 -m pip install -e .", file=sys.stderr)
        return WRONG_USE

    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        try:
            return cli.main()
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _drop_the_rest()
        return NOBODY_READS
    except OSError as error:
        if error.errno not in _FULL:
            raise
        _drop_the_rest()
        print(f"clients: the result cannot be written: {error.strerror}", file=sys.stderr)
        return cli.INVALID


def _drop_the_rest() -> None:
    """Have what is left on stdout go nowhere, because it is flushed at the very end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
