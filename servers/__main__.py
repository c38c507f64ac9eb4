"""`python -m servers`: list the servers, or run one."""

from __future__ import annotations

import argparse
import json
import resource
import sys

from servers._catalog import ServerError, entries, find, load
from servers._listener import bind, ready_line


def main() -> int:
    """Return the exit status: 2 for wrong use, said in a sentence on stderr."""
    options = _parser().parse_args()
    try:
        if options.server is None:
            _list(as_json=options.json)
            return 0
        serve = load(find(options.server))
        _raise_descriptor_limit()
        listener = bind(options.host, options.port)
    except ServerError as error:
        print(f"python -m servers: {error}", file=sys.stderr)
        return 2
    print(ready_line(listener), flush=True)
    serve(listener)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m servers",
        description="Run a TCP echo server, or list those there are.",
        epilog="example: python -m servers threads --port 5433, then: nc 127.0.0.1 5433",
    )
    parser.add_argument("server", nargs="?", metavar="NAME|FILE.py", help="nothing: list them")
    parser.add_argument("--host", default="127.0.0.1", help="an address, a name, or unix:PATH (default %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="0, the default, is any free one")
    parser.add_argument("--json", action="store_true", help="list for programs")
    return parser


def _list(*, as_json: bool) -> None:
    rows = entries().values()
    if as_json:
        print(json.dumps([row.to_json() for row in rows], indent=1))
        return
    width = max(len(row.name) for row in rows)
    for row in rows:
        print(f"{row.name:{width}}  {row.summary}")
        if row.reason is not None:
            print(f"{'':{width}}  cannot run here: {row.reason}" + (f"; run: {row.install}" if row.install else ""))


def _raise_descriptor_limit() -> None:
    """Allow as many descriptors as the system lets us have: a connection is one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    sys.exit(main())
