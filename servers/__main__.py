"""`python -m servers`: list the servers, or run one. Nothing here may depend on which one."""

from __future__ import annotations

import argparse
import os
import resource
import signal
import sys
from functools import partial
from typing import TYPE_CHECKING

from servers._errors import ServerError
from servers._listener import Listener, bind, ready_line
from servers._start import Server, load

if TYPE_CHECKING:
    from collections.abc import Callable

PORT_MAX = 65535
_HOST = "127.0.0.1"


def main() -> int:
    """Return the exit status: 2 for wrong use, said in a sentence on stderr."""
    options = _parser().parse_args()
    try:
        _check(options)
        if options.server is None or options.json:
            _list(options.server, as_json=options.json)
            return 0
        server = load(options.server)
        new_listener = _new_listener(server, options)
        serve = server.prepare()
        if options.cpus is not None:
            _stay_on(options.cpus)  # now: its imports may use whatever is free, and its threads are not there yet
        _raise_descriptor_limit()
        listener = bind(options.host or _HOST, options.port or 0, new_listener)
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # nothing to save: Ctrl-C ends a server at once, as SIGTERM does
        _say(ready_line(listener))
    except ServerError as error:
        print(f"python -m servers: {error}", file=sys.stderr)
        return 2
    serve(listener)
    return 0


def _say(text: str) -> None:
    """Print to stdout. Raise ServerError if that cannot be written, as on a full disk."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left is flushed at the very end
        raise ServerError(f"standard output cannot be written: {error.strerror}") from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m servers",
        description="Run a TCP echo server, or list those there are.",
        epilog="example: python -m servers threads --port 5433, then: nc 127.0.0.1 5433",
        formatter_class=partial(argparse.HelpFormatter, width=80),  # while options are added: see below
    )
    parser.add_argument("server", nargs="?", metavar="NAME|FILE.py", help="nothing: list them")
    parser.add_argument("--host", help=f"an address, a name, or unix:PATH (default {_HOST})")
    parser.add_argument("--port", type=port, help="0, the default, is any free one")
    parser.add_argument("--cpus", type=cpus, metavar="LIST", help="stay on these, such as 0,2, once loaded (Linux)")
    parser.add_argument("--json", action="store_true", help="list for programs; with NAME or FILE.py, that one only")
    slower = parser.add_argument_group("to test a benchmark with a server that is slower by a known amount")
    slower.add_argument("--burn-us", type=amount, metavar="N", help="burn N us of CPU for every read")
    slower.add_argument("--delay-us", type=amount, metavar="N", help="sleep N us")
    slower.add_argument("--delay-every", type=count, metavar="K", help="... after every K-th read only")
    # argparse makes a formatter for each option that is added. This one asks how wide the terminal is, with shutil, and
    # shutil costs a launch 2 ms. So it is set when all options are there: from now on only help and errors are written.
    parser.formatter_class = argparse.HelpFormatter
    return parser


def _check(options: argparse.Namespace) -> None:
    """Raise ServerError for what was given and would have no effect."""
    of_running = ("host", "port", "cpus", "burn_us", "delay_us", "delay_every")
    given = [f"--{name.replace('_', '-')}" for name in of_running if getattr(options, name) is not None]
    if options.server is None and given:
        raise ServerError(f"{given[0]} is for running a server: which one? Without options, I list them")
    if options.json and given:
        raise ServerError(f"{given[0]} is for running a server, and --json lists one: leave one of them out")
    if options.delay_every is not None and options.delay_us is None:
        raise ServerError("--delay-every has no effect without --delay-us")


def port(text: str) -> int:
    """Parse a port."""
    if not 0 <= (number := int(text)) <= PORT_MAX:
        raise argparse.ArgumentTypeError(f"{text} is not a port: use 0 to {PORT_MAX}")
    return number


def cpus(text: str) -> set[int]:
    """Parse numbers of CPUs."""
    parts = text.split(",")
    if not all(part.isdecimal() for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r} is no list of CPUs: write their numbers, such as 0,2")
    return {int(part) for part in parts}


def amount(text: str) -> float:
    """Parse a number of microseconds."""
    if not 0 <= (number := float(text)) < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not 0 or more")
    return number


def count(text: str) -> int:
    """Parse a number of reads."""
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return number


def _list(text: str | None, *, as_json: bool) -> None:
    """List one server, or all. Raise ServerError if there is no such server, or two files claim one name."""
    import json  # noqa: PLC0415 - a server that starts would wait for it

    from servers._catalog import entries, known  # noqa: PLC0415 - as above

    rows = [*entries().values()] if text is None else [known(text)]
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # a reader that has had enough ends it quietly, as it ends cat
    if as_json:
        _say(json.dumps([row.to_json() for row in rows], indent=1))
        return
    width = max(len(row.name) for row in rows)
    lines = []
    for row in rows:
        lines.append(f"{row.name:{width}}  {row.summary}")
        if row.gap is not None:
            lines.append(f"{'':{width}}  {row.gap}")
    _say("\n".join(lines))


def _new_listener(server: Server, options: argparse.Namespace) -> Callable[[int], Listener]:
    """Return what makes the listener. Raise ServerError if the server is to be slower and would not notice."""
    if not (options.burn_us or options.delay_us):
        return Listener
    from servers._injection import Injection  # noqa: PLC0415 - as above

    return Injection(options.burn_us or 0.0, options.delay_us or 0.0, options.delay_every or 1).new_listener(server)


def _stay_on(cpus: set[int]) -> None:
    """Bind this process, and so all that it will start. Raise ServerError if it cannot have each of these CPUs."""
    if not hasattr(os, "sched_setaffinity"):
        raise ServerError("--cpus needs Linux, and a Python that can bind itself: leave it out")
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, cpus)
        missing = cpus - os.sched_getaffinity(0)  # the kernel leaves out what is not to be had
    except (OSError, OverflowError):  # nothing was left
        missing = cpus
    if missing:
        raise ServerError(f"--cpus: this process may not use CPU {_listed(missing)}; choose among {_listed(allowed)}")


def _listed(cpus: set[int]) -> str:
    return ",".join(map(str, sorted(cpus)))


def _raise_descriptor_limit() -> None:
    """Allow as many descriptors as the system lets us have: a connection is one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    sys.exit(main())
