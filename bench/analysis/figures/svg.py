"""Makes matplotlib's SVG small, readable by a screen reader, and fit for any theme. Text in, text out."""

from __future__ import annotations

import re
from html import escape

from bench.analysis.figures.palette import DARK, LIGHT

FONTS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif"
"""Fonts that a reader's machine is likely to have. All are narrower than DejaVu Sans, by which the layout was made."""

_ROOT_STYLE = f"font-family: {FONTS}; stroke-linejoin: round; stroke-linecap: butt"
_COLOUR = re.compile(r"#[0-9a-f]{6}\b")
_ROLES = {colour: role for role, colour in LIGHT.colours.items()}
_DARK = {colour: DARK.colours[role] for colour, role in _ROLES.items()}
_REFERENCE = re.compile(r'(href="#|url\(#)([^")]+)')
_ID = re.compile(r' id="([^"]*)"')


def tidy(svg: str, title: str) -> str:
    """Name the picture, round to a hundredth of a point, state the fonts once, drop what no reader needs."""
    svg = re.sub(r"<metadata>.*?</metadata>\s*|<style .*?</style>\s*|^.*?(?=<svg )", "", svg, flags=re.DOTALL)
    svg = re.sub(r' transform="rotate\(-?0 [^"]*"', "", svg)
    svg = re.sub(r"-?\d+\.\d{3,}", lambda number: f"{float(number[0]):.2f}".rstrip("0").rstrip("."), svg)
    svg = re.sub(r" font-family: [^;]*;", "", svg)
    used = {reference for _, reference in _REFERENCE.findall(svg)}
    svg = _ID.sub(lambda found: found[0] if found[1] in used else "", svg)
    opening, rest = svg.split(">", 1)
    return f'{opening} role="img" style="{_ROOT_STYLE}">\n <title>{escape(title)}</title>{rest}'


def dark(svg: str) -> str:
    """Turn a figure of the light theme into one of the dark theme."""
    return _COLOUR.sub(lambda found: _DARK[found[0]], svg)


def inline(svg: str, name: str) -> str:
    """Turn a figure of the light theme into one for a page with other figures, with a CSS variable for every colour.

    The variables are called as the theme's colours are, `--ink` say; ids begin with `name`.
    """
    svg = _COLOUR.sub(lambda found: f"var(--{_ROLES[found[0]]})", svg)
    svg = _REFERENCE.sub(lambda found: f"{found[1]}{name}-{found[2]}", svg)
    return _ID.sub(lambda found: f' id="{name}-{found[1]}"', svg)
