"""Colours and markers: how far apart servers look, on light and dark, for people who see fewer hues too."""

import itertools
import random

import numpy as np
import pytest
from helpers.run_folders import ARTICLE, FIFTEEN

from bench.analysis.figures.palette import DARK, KNOWN, LIGHT, MARKERS, ordered, styles

OKABE_ITO = ("#000000", "#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7")

# Machado, Oliveira and Fernandes 2009, severity 1, on linear RGB.
VISION = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
TO_LMS = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
TO_OKLAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def linear(colour):
    part = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    return np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)


def contrast(one, other):
    """Contrast ratio of WCAG 2."""
    high, low = sorted((float(linear(colour) @ [0.2126, 0.7152, 0.0722]) for colour in (one, other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def nearest(colours, vision):
    """Return the smallest OKLab distance between any two colours, as that vision sees them."""
    seen = [TO_OKLAB @ np.cbrt(TO_LMS @ np.clip(VISION[vision] @ linear(colour), 0, 1)) for colour in colours]
    return min(float(np.linalg.norm(a - b)) for a, b in itertools.combinations(seen, 2))


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
def test_lines_and_text_stand_out_from_their_background(theme):
    assert min(contrast(hue, theme.background) for hue in theme.hues) >= 3  # WCAG: graphics
    text = (*theme.labels, theme.ink, theme.muted)
    assert min(contrast(colour, theme.background) for colour in text) >= 4.5  # WCAG: text
    assert contrast(theme.grid, theme.background) < 1.5  # a grid stays behind


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
def test_hues_lie_further_apart_than_the_nearest_of_okabe_and_ito(theme, vision):
    assert nearest(theme.hues, vision) > nearest(OKABE_ITO, vision) * (1.0 if vision == "tritanopia" else 1.05)


def test_a_label_is_its_line_s_hue():
    for theme in (LIGHT, DARK):
        pairs = [(linear(hue), linear(label)) for hue, label in zip(theme.hues, theme.labels, strict=True)]
        assert all(np.argmax(hue) == np.argmax(label) for hue, label in pairs)


def test_each_colour_of_a_theme_has_one_role():
    assert LIGHT.colours.keys() == DARK.colours.keys()
    for theme in (LIGHT, DARK):
        assert len(set(theme.colours.values())) == len(theme.colours)
    assert len(LIGHT.hues) == len(MARKERS) == len(LIGHT.labels)


def test_up_to_eight_servers_differ_in_hue_and_marker():
    given = styles(ARTICLE)
    assert len({style.hue for style in given.values()}) == 7
    assert len({style.marker for style in given.values()}) == 7
    assert all(style.filled and not style.dash for style in given.values())


def test_no_two_of_twenty_four_servers_look_alike():
    given = styles([f"server-{number}" for number in range(24)])
    assert len(set(given.values())) == 24
    assert len({(style.marker, style.filled, style.hue) for style in given.values()}) == 24
    assert sorted(style.hue for style in given.values()) == sorted([*range(8)] * 3)


def test_a_server_that_shares_a_hue_differs_in_marker_fill_and_dash():
    by_hue = {}
    for style in styles(FIFTEEN).values():
        by_hue.setdefault(style.hue, []).append(style)
    shared = [pair for pair in by_hue.values() if len(pair) == 2]
    assert len(shared) == 7
    for one, other in shared:
        assert one.marker != other.marker
        assert one.filled != other.filled
        assert one.dash != other.dash


def test_the_order_of_the_names_does_not_matter():
    shuffled = random.Random(1).sample(FIFTEEN, len(FIFTEEN))
    assert styles(shuffled) == styles(FIFTEEN)


def test_the_article_s_servers_look_the_same_in_every_run():
    whole = styles([*ARTICLE, "mine", "yours"])
    for name in ARTICLE:
        assert styles([name, "mine"])[name] == whole[name]
    assert styles(["mine", "threads"])["mine"] == styles(["coroutines", "mine"])["mine"]


def test_known_servers_come_first_and_no_name_twice():
    assert ordered(["zeta", "threads", "alpha", "coroutines", "zeta"]) == ["coroutines", "threads", "alpha", "zeta"]
    assert len(set(KNOWN)) == len(KNOWN)
