"""A server that ends with the test that started it."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from helpers.servers import launch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from helpers.servers import Server


@pytest.fixture
def start() -> Iterator[Callable[..., Server]]:
    """Return what starts a server that ends with the test."""
    with ExitStack() as stack:
        yield lambda *arguments, **options: launch(stack, *arguments, **options)
