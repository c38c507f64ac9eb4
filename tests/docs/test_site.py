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


@pytest.mark.docs
def test_differences_are_coloured_and_name_files_of_the_checkout():
    (block,) = re.findall(r'<div class="highlight-udiff.*?</pre>', read("tutorial/02-a-thread-each"), re.DOTALL)
    assert '<span class="gd">--- servers/sequential.py</span>' in block
    assert '<span class="gi">+' in block


@pytest.mark.docs
def test_every_page_shows_where_a_line_of_code_goes_on():
    (style,) = re.findall(r'href="\.\./(_static/site\.css)', read("tutorial/02-a-thread-each"))
    assert "scroll" in (SITE / style).read_text(encoding="utf-8")
