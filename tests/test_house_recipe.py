"""The server that the how-to page shows is one: listed by its name, and right in every basic conformance case."""

from __future__ import annotations

import re

import pytest
from helpers.checkout import CHECKOUT

from bench.experiment.conformance import Outcome, basic
from bench.experiment.planning.catalog import catalog


@pytest.fixture(scope="module")
def mine(tmp_path_factory):
    """Save the page's server as a user would, and return its path."""
    page = (CHECKOUT / "docs" / "how-to" / "add-a-server.md").read_text(encoding="utf-8")
    code = re.search(r"^```python\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)[1]
    path = tmp_path_factory.mktemp("user") / "mine.py"
    path.write_text(code)
    return path


def test_the_shown_server_conforms(mine):
    results = basic(catalog().file(mine, label="mine"))
    assert len(results) > 3
    assert {
        (result.case, result.outcome, result.detail) for result in results if result.outcome is not Outcome.PASSED
    } == set()
