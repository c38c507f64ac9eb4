"""How Sphinx makes a site of these pages. Text belongs into the pages, and what a reader can do without stays out.

The theme is furo: it is maintained, reads well on a phone, follows the reader's choice of light or dark, and needs no
network. The search is Sphinx's own.
"""

from __future__ import annotations

import os
import posixpath
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from docutils import nodes

if TYPE_CHECKING:
    from sphinx.application import Sphinx

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "docs"))

import reference_pages  # noqa: E402 - after the path is set

STAND_IN = "https://source.invalid"  # for SOURCE_URL while a page is read: Markdown makes no link of file:
SOURCE_URL = os.environ.get("DOCS_SOURCE_URL", ROOT.as_uri())  # where the files beside docs/ can be read
LINK = re.compile(r"\]\((?!\w+:|#)([^)\s#]+)(#[^)\s]*)?\)")

project = "echobench"
extensions = ["myst_parser", "sphinx.ext.autodoc"]
autodoc_member_order = "bysource"
autodoc_mock_imports = ["anyio", "curio", "gevent", "rloop", "trio", "uvloop"]  # servers of the extras
autodoc_typehints = "none"
exclude_patterns = ["examples", "tutorial/figures"]
html_css_files = ["site.css"]
html_static_path = ["static"]
html_theme = "furo"
html_show_copyright = False  # the LICENSE file is enough
html_title = "echobench"
html_theme_options = {"navigation_with_keys": True}
myst_heading_anchors = 4
nitpicky = True
# Types of other projects lead nowhere without a network, and a type variable has no place of its own.
nitpick_ignore_regex = [("py:.*", r"(collections|contextlib|pandas)\..*|.*\.T")]
toc_object_entries = False  # a list of a thousand functions is no table of contents
smartquotes = False  # it would make one dash of the two before an option
pygments_style = "friendly"
pygments_dark_style = "monokai"


def point_at_the_source(app: Sphinx, name: str, text: list[str]) -> None:
    """Let links to files that are no page of the site lead to the files; README and others stand beside docs/."""
    folder = posixpath.dirname(name)

    def link(match: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join("docs", folder, match[1]))
        page = path.removeprefix("docs/").removesuffix(".md")
        if page in app.project.docnames or not (ROOT / path).exists():
            return match[0]  # a page of ours; or a mistake, which Sphinx then names
        return f"]({STAND_IN}/{path}{match[2] or ''})"

    text[0] = LINK.sub(link, text[0])


def name_files_as_seen_from_the_checkout(_app: Sphinx, page: nodes.document) -> None:
    """Cut the folder of this machine from the heads of differences."""
    for block in page.findall(nodes.literal_block):
        text = block.astext().replace(f"{ROOT}/", "")
        if text != block.astext():
            block.children = [nodes.Text(text)]
            block.rawsource = text  # Sphinx colours a block only where the two are the same


def name_the_source(_app: Sphinx, page: nodes.document) -> None:
    """Put the address of the source into the links that lead there."""
    for link in page.findall(nodes.reference):
        link["refuri"] = link.get("refuri", "").replace(STAND_IN, SOURCE_URL)


def write_the_reference(_app: Sphinx) -> None:
    """Write the pages that are made of the code, where they changed: an unchanged page is not read again."""
    for name, text in reference_pages.pages().items():
        path = ROOT / "docs" / "reference" / f"{name}.md"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def read_as_markdown(_app: Sphinx, _what: str, _name: str, _of: object, _options: object, lines: list[str]) -> None:
    """Turn a docstring as we write it into reStructuredText: code has single backticks, a block is indented by four."""
    found = "\n".join(lines)
    found = re.sub(r"(?<!`)`([^`\n]+)`(?!`)", r"``\1``", found).replace("*", "\\*")
    found = re.sub(r"(?<=[^\n])\n(?=- )", "\n\n", found)
    lines[:] = re.sub(r"(\A|\n)\n(?=    ?\S)", r"\1\n::\n\n", found).split("\n")


def setup(app: Sphinx) -> None:
    """Register what is done to each page."""
    app.connect("builder-inited", write_the_reference)
    app.connect("autodoc-process-docstring", read_as_markdown)
    app.connect("source-read", point_at_the_source)
    app.connect("doctree-read", name_files_as_seen_from_the_checkout)
    app.connect("doctree-read", name_the_source)
