"""The article's run: its figures, and its page, which has every number and doubt and stands alone."""

import json
import re
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest
from helpers.run_folders import ARTICLE
from helpers.tracing import paused

from bench import units
from bench.analysis.figures import gallery
from bench.analysis.figures.palette import DARK, LIGHT
from bench.analysis.report import page as report
from bench.analysis.report.tables import failures
from bench.analysis.report.template import whole
from bench.analysis.report.words import answer
from bench.experiment.doubts import Doubt
from bench.metrics import CPU, TABLE, THROUGHPUT

NOT_DRAWN = {"knee", "agents"}  # no rate was given in this run, and no agent made its load
VOID = {"meta", "br", "hr", "img", "input", "link"}


class Reader(HTMLParser):
    """Collects the text, table rows by cell, the ids, the references and what is not closed."""

    def __init__(self, page):
        super().__init__()
        self.text, self.rows, self.ids, self.links, self.open, self.crossed = "", [], [], [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.ids += [given["id"]] if "id" in given else []
        self.links += [value for name, value in attrs if name in ("href", "src", "xlink:href") and value]
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("th", "td"):
            self.rows[-1].append("")

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if self.open.pop() != tag:
            self.crossed.append(tag)

    def handle_data(self, data):
        self.text += data
        if {"th", "td"} & set(self.open):
            self.rows[-1][-1] += data


@pytest.fixture(scope="module")
def article_plots(article_run, article_ranking):
    """Return the figures, drawn once. Coverage pauses: the tests of each figure run the same lines."""
    with paused():
        return gallery.draw(article_run, article_ranking)


@pytest.fixture(scope="module")
def page(article_run, article_ranking, article_plots):
    return report.render(article_run, article_ranking, article_plots)


@pytest.fixture(scope="module")
def read(page):
    return Reader(page)


def test_the_page_is_one_file_that_needs_nothing_else(page, read):
    assert all(link.startswith("#") for link in read.links)
    assert not re.findall(r"@import|<script [^>]|<link|url\((?!#)|\bfetch\(|XMLHttpRequest|\bimport\(", page)
    addresses = set(re.findall(r"https?://[^\"' <]+", page))
    comment = "https://github.com/leeoniya/uPlot"  # in the licence of the library
    assert addresses - {comment} == {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}  # never fetched


def test_the_markup_holds_together(read):
    assert read.open == []
    assert read.crossed == []
    assert len(set(read.ids)) == len(read.ids)
    assert {link[1:] for link in read.links} <= set(read.ids)


def test_the_answer_comes_first(page, article_ranking):
    title, said = answer(article_ranking)
    assert page.index(f"<h1>{whole(title)}</h1>") < page.index("<table")
    assert page.index(f"<h1>{whole(title)}</h1>") < page.index("<figure")
    standing = article_ranking.headline(THROUGHPUT)
    assert standing.best.server in title
    assert units.rate(standing.best.estimate.value) in title
    lead = f"{units.estimate(standing.lead.estimate, units.ratio)} \N{MULTIPLICATION SIGN}"
    assert lead in said[0]
    assert standing.runner_up.server in said[0]
    (cpu,) = (
        cell.estimate.value
        for cell in article_ranking.cells[CPU.column]
        if (cell.server, cell.workload) == (standing.best.server, standing.best.workload)
    )
    assert f"{units.duration(1000 * cpu)} of server CPU per reply" in " ".join(said)
    assert "The load generator was the limit with uvloop-protocol." in " ".join(said)


def test_every_server_and_every_number_with_its_interval_is_there(read, article_ranking):
    words = " ".join(read.text.split())
    assert all(server in words for server in ARTICLE)
    for metric in TABLE:
        for cell in article_ranking.cells[metric.column]:
            if not cell.missing:
                low, high = metric.words(cell.estimate.low), metric.words(cell.estimate.high)
                assert f"{metric.words(cell.estimate.value)} [{low}, {high}]" in words


def test_every_doubt_is_there_with_its_advice_its_trials_and_its_cells(read):
    words = " ".join(read.text.split())
    for doubt in Doubt:
        assert (doubt.advice in words) == (doubt in {Doubt.GENERATOR_SATURATED, Doubt.NOT_STEADY})
    assert "generator-saturated 6 of 75 trials" in words
    assert "uvloop-protocol c1000, uvloop-protocol c128." in words
    assert "not-steady 3 of 75 trials" in words


def test_failed_trials_are_there_with_the_tail_of_their_log(page, read, article_run):
    found = failures(article_run)
    assert {(failure.server, failure.workloads, failure.status) for failure in found} == {
        ("generators", "c1000", "server-died"),
        ("threads", "c1000", "no-replies"),
    }
    assert len(found[0].trials.split(", ")) + len(found[1].trials.split(", ")) == 4
    assert "exit status 1\n<OSError>: too many open files & more" in read.text
    assert "<OSError>" not in page


def test_machine_versions_plan_and_the_command_that_rebuilds_it_are_there(read, article_run):
    for fact in (
        "Test CPU",
        "Linux 6.1",
        "8 GiB",
        "CPython 3.11.9",
        "0123abcd",
        "not known",
        "not installed",
        "CPU model",
        "seed 7",
    ):
        assert fact in read.text
    assert json.dumps(article_run.info["plan"], indent=2) in read.text
    assert "python -m bench report results0/article" in read.text


def test_every_plot_is_in_the_page_with_how_to_read_it(page, read):
    drawn = [plot for plot in gallery.PLOTS if plot.name not in NOT_DRAWN]
    assert page.count("<svg ") == page.count('role="img"') == len(drawn)
    shown = [name.removeprefix("plot-") for name in read.ids if name.startswith("plot-")]
    assert shown[:3] == ["forest", "ratio", "throughput"]
    assert sorted(shown) == sorted(plot.name for plot in drawn)
    assert all(" ".join(plot.reading.split()) in " ".join(read.text.split()) for plot in drawn)


def test_light_and_dark_are_one_page(page):
    styles, rest = page.split("</style>", 1)
    assert all(f"--{role}: {colour};" in styles for theme in (LIGHT, DARK) for role, colour in theme.colours.items())
    assert "prefers-color-scheme: dark" in styles
    assert not re.search(r"(?:fill|stroke|background): *#[0-9a-f]", rest)
    used = set(re.findall(r"var\(--([a-z0-9-]+)\)", page))
    assert {"ink", "muted", "background"} <= used <= set(LIGHT.colours)


def test_rules_with_quoted_names_reach_the_browser_unescaped(page):
    styles = page.split("<style>", 1)[1].split("</style>", 1)[0]
    assert '"Segoe UI"' in styles
    assert not re.search(r"&\w+;|&#", styles)


def test_a_figure_keeps_its_colours_where_styles_are_forbidden(page, article_plots):
    """Jenkins' policy drops every style. What is left are presentation attributes, of the light theme."""
    figures = re.findall(r"<svg .*?</svg>", page, flags=re.DOTALL)
    assert len(figures) == len(article_plots)
    for figure in figures:
        assert " style=" not in figure
        assert 'fill="none"' in figure
        assert {LIGHT.ink, LIGHT.muted} <= set(re.findall(r'fill="(#[0-9a-f]{6})"', figure))
    rules = page.split("</style>", 1)[0]
    assert all(f'[stroke="{colour}"] {{ stroke: var(--{role}); }}' in rules for role, colour in LIGHT.colours.items())


def test_all_figures_are_there_named_and_well_formed(article_plots):
    assert [plot.name for plot in article_plots] == [plot.name for plot in gallery.PLOTS if plot.name not in NOT_DRAWN]
    for plot in article_plots:
        root = ET.fromstring(plot.svg)
        text = "".join(root.itertext())
        assert root.findtext("{http://www.w3.org/2000/svg}title") == plot.title
        assert all(server in text for server in ARTICLE if (plot.name, server) != ("forest", "sequential"))
        assert plot.png.startswith(b"\x89PNG")
        assert "date" not in plot.svg.lower()
        assert "<text" in plot.svg  # words stay words: they can be searched, read aloud and set in any font


def test_the_dark_figure_differs_in_its_colours_only(article_plots):
    for plot in article_plots:
        dark = gallery.dark(plot.svg)
        light_colours, dark_colours = (set(re.findall(r"#[0-9a-f]{6}\b", svg)) for svg in (plot.svg, dark))
        assert light_colours <= set(LIGHT.colours.values())
        assert dark_colours <= set(DARK.colours.values())
        assert len(light_colours) == len(dark_colours)
        assert re.sub(r"#[0-9a-f]{6}\b", "", plot.svg) == re.sub(r"#[0-9a-f]{6}\b", "", dark)


def test_files_are_written_whole_and_stale_ones_removed(article_plots, tmp_path):
    folder = tmp_path / "plots"
    gallery.write(article_plots, folder)
    names = {path.name for path in folder.iterdir()}
    assert names == {f"{plot.name}{suffix}" for plot in article_plots for suffix in (".svg", "-dark.svg", ".png")}
    (folder / "mine.txt").write_text("kept")
    gallery.write(article_plots[:1], folder)
    left = {path.name for path in folder.iterdir()}
    assert left == {"mine.txt", "forest.svg", "forest-dark.svg", "forest.png"}
    assert (folder / "forest.svg").read_text() == article_plots[0].svg
