"""What a wrong use of the servers raises. It stands alone, so that whoever raises it loads nothing more."""

from __future__ import annotations


class ServerError(Exception):
    """A server cannot be found, loaded or bound. The message is a sentence: what, why, and what to do."""
