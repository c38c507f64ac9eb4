"""The event loops that the asyncio servers run on, one row each.

Every `asyncio_NAME.py` runs on asyncio's own loop, and on each loop below as the server `LOOP-NAME`. To add a loop, add
a row here and an extra of the loop's name to pyproject.toml. A loop is imported when a server runs on it, not before.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable


class EventLoop(NamedTuple):
    """An event loop that stands in for asyncio's own.

    `name` begins the names of its servers; it is also the distribution that pip installs, and the extra.
    """

    name: str
    module: str
    factory: str = "new_event_loop"
    """The function of the module that returns a new loop."""
    implementation: str | None = None
    """The only Python that it runs on, as `platform.python_implementation()` names it; None is any."""

    @property
    def fits(self) -> bool:
        """Say whether this Python is one that it runs on."""
        return self.implementation is None or self.implementation.lower() == sys.implementation.name

    def load(self) -> Callable[[], asyncio.AbstractEventLoop]:
        """Import the module and return the factory. Raise ImportError if either cannot be had."""
        module = importlib.import_module(self.module)
        if not hasattr(module, self.factory):
            raise ImportError(f"{self.module} has no {self.factory}: correct its row in {__file__}")
        factory: Callable[[], asyncio.AbstractEventLoop] = getattr(module, self.factory)
        return factory


LOOPS = (
    EventLoop("uvloop", module="uvloop", implementation="CPython"),
    EventLoop("rloop", module="rloop", implementation="CPython"),
)
