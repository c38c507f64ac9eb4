"""What is made small in a figure's SVG: the style of many dots is stated once, and ids are short."""

from __future__ import annotations

import pytest

from bench.analysis.figures.svg import themed, tidy

DOT = '<use xlink:href="#m1a15b5" x="{}" y="2" style="fill: {}; fill-opacity: 0.4"/>'


def drawn(*colours):
    dots = "\n     ".join(DOT.format(x, colour) for x, colour in enumerate(colours))
    marker = '<defs><path id="m1a15b5" d="M 0 1"/><path id="unused" d="M 0 2"/></defs>'
    return tidy(f'<svg width="9">{marker}<g clip-path="url(#p7)">\n     {dots}\n    </g></svg>', "a title")


def test_dots_of_one_style_have_it_from_their_group():
    svg = drawn("#c1893e", "#c1893e", "#c1893e")
    assert '<g clip-path="url(#i0)" fill="#c1893e" fill-opacity="0.4">' in svg
    assert [svg.count(f'<use xlink:href="#i1" x="{x}" y="2"/>') for x in range(3)] == [1, 1, 1]


@pytest.mark.parametrize("colours", [("#c1893e", "#079ed4"), ("#079ed4", "#c1893e")])
def test_dots_of_several_styles_keep_their_own(colours):
    svg = drawn(*colours)
    assert [svg.count(f'y="2" fill="{colour}" fill-opacity="0.4"/>') for colour in colours] == [1, 1]


def test_ids_are_short_and_those_that_nothing_refers_to_are_gone():
    svg = drawn("#c1893e", "#c1893e")
    assert ('id="i1"' in svg, "m1a15b5" in svg, "unused" in svg) == (True, False, False)


def test_places_are_rounded_but_no_text_is():
    svg = tidy(
        '<svg width="9.12345"><text x="1.23456" style="fill: #1b1f24">99.999 % and 0.035</text></svg>', "a title"
    )
    assert '<svg width="9.12"' in svg
    assert '<text x="1.23" fill="#1b1f24">99.999 % and 0.035</text>' in svg


def test_colours_of_a_marker_copied_by_use_are_themed():
    # In the copy that `use` makes, a marker has no ancestor of the page: a selector that names one does not match.
    assert '\n[stroke="#ffffff"] { stroke: var(--background); }' in themed()
