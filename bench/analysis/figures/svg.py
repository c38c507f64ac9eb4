"""Makes matplotlib's SVG small, readable by a screen reader, and fit for any theme. Text in, text out."""

from __future__ import annotations

import re
from html import escape

from bench.analysis.figures.palette import DARK, LIGHT

FONTS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif"
"""Fonts that a reader's machine is likely to have. All are narrower than DejaVu Sans, by which the layout was made."""

_ROOT = f'font-family="{FONTS}" stroke-linejoin="round" stroke-linecap="butt"'
_LONG = re.compile(r"-?\d+\.\d{3,}(?=[^<>]*>)")
"""A number within a tag: those of texts, such as 99.999 %, are not places."""
_STYLE = re.compile(r' style="([^"]*)"')
_DOTS = re.compile(r"(<g clip-path=[^>]*)>((?:\s*<use [^>]*/>)+)")
_COLOUR = re.compile(r"#[0-9a-f]{6}\b")
_ROLES = {colour: role for role, colour in LIGHT.colours.items()}
_DARK = {colour: DARK.colours[role] for colour, role in _ROLES.items()}
_REFERENCE = re.compile(r'(href="#|url\(#)([^")]+)')
_ID = re.compile(r' id="([^"]*)"')


def tidy(svg: str, title: str) -> str:
    """Name the picture, round to a hundredth of a point, state the fonts once, drop what no reader needs.

    The marks of a server have a class, `s` with its place among the servers of the run. Colours, lines and type become
    presentation attributes, since a policy such as that of Jenkins drops every style.
    """
    svg = re.sub(r"<metadata>.*?</metadata>\s*|<style .*?</style>\s*|^.*?(?=<svg )", "", svg, flags=re.DOTALL)
    svg = re.sub(r' transform="rotate\(-?0 [^"]*"', "", svg)
    svg = _LONG.sub(lambda number: f"{float(number[0]):.2f}".rstrip("0").rstrip("."), svg)
    svg = re.sub(r" font-family: [^;]*;", "", svg)
    svg = re.sub(r' id="server-(\d+)"', r' class="s\1"', svg)
    short = {name: f"i{place}" for place, name in enumerate(dict.fromkeys(name for _, name in _REFERENCE.findall(svg)))}
    svg = _ID.sub(lambda found: f' id="{short[found[1]]}"' if found[1] in short else "", svg)
    svg = _REFERENCE.sub(lambda found: found[1] + short[found[2]], svg)
    svg = _DOTS.sub(_alike, svg)
    svg = _STYLE.sub(lambda found: _attributes(found[1]), svg)
    opening, rest = svg.split(">", 1)
    return f'{opening} role="img" {_ROOT}>\n <title>{escape(title)}</title>{rest}'


def _alike(found: re.Match[str]) -> str:
    """State the style that all dots of a group have once, for the group: they are most of what a large run draws."""
    group, dots = found[1], re.sub(r"\s+<use", "\n<use", found[2])
    styles = _STYLE.findall(dots)
    if len(styles) != dots.count("<use") or len(set(styles)) != 1:
        return found[0]
    style = f' style="{styles[0]}"'
    return f"{group}{style}>{dots.replace(style, '')}"


def _attributes(style: str) -> str:
    """Write the declarations of a style as presentation attributes: ` fill="none" stroke="#1b1f24"`."""
    pairs = [one.split(":", 1) for one in style.split(";") if one.strip()]
    return "".join(f' {name.strip()}="{value.strip()}"' for name, value in pairs)


def dark(svg: str) -> str:
    """Turn a figure of the light theme into one of the dark theme."""
    return _COLOUR.sub(lambda found: _DARK[found[0]], svg)


def inline(svg: str, name: str) -> str:
    """Turn a figure of the light theme into one for a page with other figures: its ids begin with `name`."""
    svg = _REFERENCE.sub(lambda found: f"{found[1]}{name}-{found[2]}", svg)
    return _ID.sub(lambda found: f' id="{name}-{found[1]}"', svg)


def themed() -> str:
    """Return the CSS by which a figure of the light theme takes the page's variables, called as its colours are.

    A selector names no parent, since the copy of a marker that `use` makes has none.
    """
    return "\n".join(
        f'[{what}="{colour}"] {{ {what}: var(--{role}); }}'
        for colour, role in _ROLES.items()
        for what in ("fill", "stroke")
    )
