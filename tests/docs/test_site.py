"""The built site: what a reader sees of it. `nox -s docs` builds it first; nothing is built here."""

from __future__ import annotations

import re

import pytest
from helpers.checkout import CHECKOUT

SITE = CHECKOUT / "build" / "site"
CODE = re.compile(r"<(pre|code|script|style)\b.*?</\1>", re.DOTALL)
PAGES = ["index", "how-to/index", "how-to/publish-numbers", "reference/commands", "reference/python-servers", "limits"]


def read(page):
    path = SITE / f"{page}.html"
    if not path.exists():
        pytest.skip("there is no site: nox -s docs builds it")
    return path.read_text(encoding="utf-8")


@pytest.mark.docs
@pytest.mark.parametrize("page", PAGES)
def test_links_are_links_and_options_have_two_hyphens(page):
    prose = CODE.sub("", read(page))
    assert "](" not in prose
    assert re.findall(r"(?<=[ (])–[a-z]+", prose) == []  # noqa: RUF001 - the dash is what is looked for


@pytest.mark.docs
def test_a_file_beside_the_pages_can_be_reached():
    (target,) = set(re.findall(r'href="([^"]*/README\.md)"', read("index")))
    assert "source.invalid" not in target
