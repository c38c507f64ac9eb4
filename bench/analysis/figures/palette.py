"""One style per server, the same in every plot, and the two themes. Draws nothing.

A search chose the hues so that the two nearest are as far apart as possible (in OKLab). It did so for normal colour
vision and for protanopia, deuteranopia and tritanopia (Machado et al. 2009), at a contrast of at least 3:1 on their
background. The hues lie further apart than those of Okabe and Ito, some of which are too pale on white. Marker, dash
and fill differ too, so that no server is told by its colour alone. A test checks the distances and the contrasts.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

KNOWN = (
    "coroutines",
    "threads",
    "asyncio-protocol",
    "uvloop-protocol",
    "generators",
    "asyncio-streams",
    "uvloop-streams",
    "sequential",
    "callbacks",
    "thread-pool",
    "asyncio-buffered",
    "rloop-protocol",
    "processes",
    "trio",
    "gevent",
    "reference",
    "asyncio-sockets",
    "socketserver",
    "curio",
    "anyio",
)
"""Servers with a style of their own, the first of a hue before the second. The name of any other chooses its style."""

MARKERS = ("o", "s", "D", "^", "v", "P", "X", "h")
DASHES: tuple[tuple[float, ...], ...] = ((), (5, 1.6), (1.2, 1.4), (6, 1.6, 1.2, 1.6))


@dataclass(frozen=True, slots=True)
class Theme:
    """Colours of a page as `#rrggbb`. No two are equal, so that one theme can be turned into the other."""

    name: str
    background: str
    ink: str
    muted: str
    grid: str
    hues: tuple[str, ...]
    labels: tuple[str, ...]

    @property
    def colours(self) -> dict[str, str]:
        """Every colour by the name of its role."""
        roles = {"background": self.background, "ink": self.ink, "muted": self.muted, "grid": self.grid}
        hues = {f"hue-{index}": colour for index, colour in enumerate(self.hues)}
        return roles | hues | {f"label-{index}": colour for index, colour in enumerate(self.labels)}


# blue, red, green, violet, gold, sky, purple, neutral; a label is its hue at a contrast of at least 4.5:1 for text.
LIGHT = Theme(
    name="light",
    background="#ffffff",
    ink="#1b1f24",
    muted="#59636e",
    grid="#e3e6ea",
    hues=("#1f23c5", "#c52603", "#077563", "#8252f5", "#c1893e", "#079ed4", "#7a027a", "#3d332a"),
    labels=("#1e22c4", "#c42502", "#067462", "#8050f4", "#956619", "#057aa4", "#790179", "#3c3229"),
)
DARK = Theme(
    name="dark",
    background="#0d1117",
    ink="#e6edf3",
    muted="#9198a1",
    grid="#252b33",
    hues=("#6076df", "#d86d13", "#a1feb7", "#eacfff", "#fdc73c", "#06b7f4", "#b55f94", "#b5ac9c"),
    labels=("#6e83e8", "#df7118", "#a2ffb8", "#ebd0ff", "#fec83d", "#08b8f5", "#c06a9f", "#b6ad9d"),
)


@dataclass(frozen=True, slots=True)
class Style:
    """How a server is drawn: index of its hue, marker, dash pattern in points (empty: solid), filled marker or not.

    `grey` says that it is drawn in the theme's muted colour instead, because it teaches.
    """

    hue: int
    marker: str
    dash: tuple[float, ...]
    filled: bool
    grey: bool = False

    @property
    def role(self) -> str:
        """The role of its colour in a theme."""
        return "muted" if self.grey else f"hue-{self.hue}"


def styles(servers: Iterable[str], teaching: Collection[str] = ()) -> dict[str, Style]:
    """Give each server its style, the same whatever the order in which they are named.

    A known server has its own hue. An unknown one has the hue that its name hashes to. If two servers of a run would
    share a hue while another is free, the later in the order of `ordered` takes the next free one. Beyond eight servers
    the hues repeat, with hollow markers and dashes. Those that are `teaching` are grey.
    """
    used: dict[str, int] = {}
    for name in ordered(servers):
        home = KNOWN.index(name) if name in KNOWN else zlib.crc32(name.encode())
        taken = [slot % len(MARKERS) for slot in used.values()]
        lap = len(taken) // len(MARKERS)
        hue = next(
            hue for hue in ((home + step) % len(MARKERS) for step in range(len(MARKERS))) if taken.count(hue) <= lap
        )
        used[name] = hue + taken.count(hue) * len(MARKERS)
    return {name: replace(_style(slot), grey=name in teaching) for name, slot in used.items()}


def ordered(servers: Iterable[str]) -> list[str]:
    """Return the names once each: known ones first in their order, then the others by name."""
    names = set(servers)
    return [name for name in KNOWN if name in names] + sorted(names - set(KNOWN))


def _style(slot: int) -> Style:
    lap, hue = divmod(slot, len(MARKERS))
    return Style(hue, MARKERS[(hue + 3 * lap) % len(MARKERS)], DASHES[min(lap, len(DASHES) - 1)], filled=lap % 2 == 0)
