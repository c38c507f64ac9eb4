"""`python FILE PORT`: the same few lines at the end of every step. Nothing of an event loop belongs here."""

from __future__ import annotations

import resource
import socket
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

BACKLOG = 4096
USAGE = "usage: python {} PORT, where PORT is 0 to 65535"


def main(serve: Callable[[socket.socket], None]) -> None:
    """Serve on the port that the command line names. A wrong use is said in a sentence, and ends with status 2."""
    try:
        listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=BACKLOG)
    except (IndexError, ValueError, OverflowError):
        print(USAGE.format(sys.argv[0]), file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        print(
            f"cannot listen on port {sys.argv[1]}: {error.strerror}; stop what listens there, or take another port",
            file=sys.stderr,
        )
        sys.exit(2)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # a connection is a descriptor
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # accepted connections inherit it
    serve(listener)
