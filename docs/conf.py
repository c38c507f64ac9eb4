"""How Sphinx makes a site of these pages. Text belongs into the pages, and what a reader can do without stays out.

The theme is furo: it is maintained, reads well on a phone, follows the reader's choice of light or dark, and needs no
network. The search is Sphinx's own.
"""

from __future__ import annotations

import os
import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING

from docutils import nodes

if TYPE_CHECKING:
    from sphinx.application import Sphinx

ROOT = Path(__file__).parents[1]
SOURCE_URL = os.environ.get("DOCS_SOURCE_URL", ROOT.as_uri())  # where the files beside docs/ can be read
LINK = re.compile(r"\]\((?!\w+:|#)([^)\s#]+)(#[^)\s]*)?\)")

project = "echobench"
extensions = ["myst_parser"]
exclude_patterns = ["examples", "tutorial/figures"]
html_theme = "furo"
html_title = "echobench"
html_theme_options = {"navigation_with_keys": True}
myst_heading_anchors = 4
nitpicky = True
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
        return f"]({SOURCE_URL}/{path}{match[2] or ''})"

    text[0] = LINK.sub(link, text[0])


def name_files_as_seen_from_the_checkout(_app: Sphinx, page: nodes.document) -> None:
    """Cut the folder of this machine from the heads of differences."""
    for block in page.findall(nodes.literal_block):
        text = block.astext().replace(f"{ROOT}/", "")
        if text != block.astext():
            block.children = [nodes.Text(text)]


def setup(app: Sphinx) -> None:
    """Register what is done to each page."""
    app.connect("source-read", point_at_the_source)
    app.connect("doctree-read", name_files_as_seen_from_the_checkout)
