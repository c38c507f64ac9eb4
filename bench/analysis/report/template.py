"""How the templates of this folder are filled, and what stands on every page. Nothing of a run is here."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from bench.analysis.figures.palette import DARK, LIGHT
from bench.analysis.figures.svg import themed

_HERE = Path(__file__).parent
_IN_ONE = re.compile(r"\d{4}-\d\d-\d\d|\[[^\]]*\]|[\d.,]+ \N{MULTIPLICATION SIGN}")


def filled(template: str, **values: Any) -> str:
    """Return a page: a template with its values, the colours of both themes and the style sheet.

    Text is escaped. A name that the template knows and `values` lack is an error. The filter `whole` keeps what belongs
    together on one line.
    """
    environment = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["whole"] = whole
    css = Markup((_HERE / "page.css").read_text(encoding="utf-8") + themed())  # noqa: S704 - both are our own
    return environment.get_template(template).render(light=LIGHT.colours, dark=DARK.colours, css=css, **values)


def whole(text: str) -> Markup:
    """Keep each date, each interval and each multiple of a sentence on one line."""
    return Markup(_IN_ONE.sub(r'<span class="whole">\g<0></span>', str(escape(text))))  # noqa: S704 - it is escaped
