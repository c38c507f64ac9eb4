"""Accepts and never reads."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from _models import in_threads

if TYPE_CHECKING:
    import socket


def ignore(connection: socket.socket) -> None:
    """Keep it, and do nothing."""
    threading.Event().wait()


serve = in_threads(ignore)
