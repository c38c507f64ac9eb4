"""select's limit, exactly where the server says it is."""

from __future__ import annotations

import resource
from contextlib import ExitStack

import pytest

from servers import generators


@pytest.fixture(autouse=True)
def _many_descriptors():
    """Allow this process to hold more connections than select can watch."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2 * generators.DESCRIPTORS_MAX:
        pytest.skip(f"the hard limit of open files is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2 * generators.DESCRIPTORS_MAX), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_beyond_the_limit_of_select_a_client_is_refused(start):
    server = start("generators")
    with ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in range(generators.CONNECTIONS_MAX)]
        assert all(client.exchange(b"in") == b"in" for client in clients)
        for _ in range(3):
            with server.connect() as refused:
                assert refused.rest() == b""
        assert clients[0].exchange(b"still") == b"still"
        assert clients[-1].finish(b"bye") == b"bye"
        with server.connect() as client:
            assert client.exchange(b"a place is free") == b"a place is free"
    _, _, said = server.stop()
    assert said == "generators: connections refused, select stops at descriptor 1024\n"
