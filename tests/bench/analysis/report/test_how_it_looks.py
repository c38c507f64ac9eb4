"""How the page looks and reads: no text overlaps or is cut, axe-core finds nothing, print and sandbox are readable.

One Chromium, driven by Playwright, for all tests. Its screenshots are kept in build/screenshots, or in the folder that
ECHOBENCH_SCREENSHOTS names, so that people can look at them.
"""

import io
import os
import shutil
import threading
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path

import pytest
from helpers import histories
from helpers.looking import TEXTS, faults
from helpers.run_folders import FIFTEEN, Builder, mishaps
from PIL import Image, ImageColor

from bench.analysis.comparing.side_by_side import side_by_side
from bench.analysis.estimates import rebase
from bench.analysis.estimates.ranking import rank
from bench.analysis.figures import gallery, saving
from bench.analysis.figures.palette import DARK, LIGHT
from bench.analysis.report import history, several
from bench.analysis.report import page as report
from bench.analysis.runs import run_folder
from bench.errors import ExitCode

pytestmark = pytest.mark.browser

TWENTY = (*FIFTEEN, "curio", "uvloop-streams", "uvloop-buffered", "blocking-pool", "a-server-with-quite-a-long-name")
SHAPES = {
    "1-server-1-cell": (("threads",), (1000,)),
    "2-servers-10-cells": (("threads", "generators"), (1, 16, 128, 1000, 4000)),
    "20-servers-40-cells": (TWENTY, (1, 1000)),
}
WIDTHS = (390, 768, 1280)
A4_PX = 718
"""Width of an A4 page between margins of 10 mm, in CSS pixels."""

POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"
KEPT = Path(os.environ.get("ECHOBENCH_SCREENSHOTS", "build/screenshots"))


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Return the folder with the page of a run of every shape."""
    folder = tmp_path_factory.mktemp("pages")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rebase, "MOST_BASELINES", 3)  # each is a figure, which takes its time
        patch.setattr(saving, "_pixels", lambda figure: b"")  # a page holds no PNG
        for name, (servers, connections) in SHAPES.items():
            info = {"servers": [{"name": one, "command": ["python", "-m", "servers", one]} for one in servers]}
            builder = Builder(folder / f"run-{name}")
            run = run_folder.load(builder.run(servers, connections, rounds=2, change=mishaps, info=info))
            found = rank(run)
            drawn = gallery.draw(run, found)
            others = report.to_other_baselines(run, found, drawn)
            (folder / f"{name}.html").write_text(report.render(run, found, drawn, others), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def browser():
    """Return a headless Chromium. Skip where there is none."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("there is no Chromium on the PATH: apt-get install chromium")
    playwright = pytest.importorskip("playwright.sync_api", reason="pip install axe-playwright-python")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def opened(browser, pages):
    """Return every page, open in a tab, with what its console said and what it asked for."""
    KEPT.mkdir(parents=True, exist_ok=True)
    found = {}
    for name in SHAPES:
        tab, said, asked = browser.new_page(), [], []
        tab.on("console", lambda message, said=said: said.append(message.text))
        tab.on("pageerror", lambda error, said=said: said.append(str(error)))
        tab.on("request", lambda request, asked=asked: asked.append(request.url))
        tab.goto((pages / f"{name}.html").as_uri())
        found[name] = tab, said, asked
    return found


@pytest.mark.parametrize("name", SHAPES)
def test_no_text_overlaps_or_is_cut_at_any_width(opened, name):
    tab, said, asked = opened[name]
    found = {}
    for width in WIDTHS:
        tab.set_viewport_size({"width": width, "height": 844})
        tab.screenshot(path=KEPT / f"{name}-{width}.jpeg", full_page=True, quality=70, type="jpeg")
        found[width] = faults(tab.evaluate(TEXTS))
    assert found == {width: [] for width in WIDTHS}
    assert said == []
    assert len(asked) == 1


def several_runs(folder):
    runs = [
        run_folder.load(Builder(folder / f"20261128T0{number}0000-quick", seed=number).run(TWENTY[:3], (1, 1000)))
        for number in (1, 2, 3)
    ]
    return several.render(side_by_side(runs, None), folder)


def many_runs(_folder):
    slower = histories.cell([1.2] * 9 + [1.6] * 21, changes=(9,), server=TWENTY[-1])
    twice = histories.cell([20.0] * 3 + [14.0] * 20 + [14.9] * 7, breaks=(3,), changes=(23,), against="")
    short = histories.cell([0.02, 0.021], width=0.5)
    return history.render(histories.history(slower, twice, short, left_out=["a/run.json is torn"], code=ExitCode(1)))


@pytest.mark.parametrize("page", [several_runs, many_runs])
def test_no_text_of_a_page_of_runs_overlaps_or_is_cut(browser, tmp_path, page):
    (tmp_path / "page.html").write_text(page(tmp_path), encoding="utf-8")
    tab, said = browser.new_page(), []
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.goto((tmp_path / "page.html").as_uri())
    found = {}
    for width in WIDTHS:
        tab.set_viewport_size({"width": width, "height": 844})
        tab.screenshot(path=KEPT / f"{page.__name__}-{width}.jpeg", full_page=True, quality=70, type="jpeg")
        found[width] = faults(tab.evaluate(TEXTS))
    tab.close()
    assert found == {width: [] for width in WIDTHS}
    assert said == []


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_axe_finds_nothing(opened, colours):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    tab, _, _ = opened["2-servers-10-cells"]  # one teaches, and trials failed and are doubted
    tab.emulate_media(color_scheme=colours)
    tab.set_viewport_size({"width": 1280, "height": 844})
    tab.screenshot(path=KEPT / f"{colours}.png")
    found = axe.Axe().run(tab, options={"resultTypes": ["violations"]}).response["violations"]
    assert [(one["id"], node["target"], node["failureSummary"]) for one in found for node in one["nodes"][:3]] == []


def test_the_baseline_is_switched_and_stands_in_the_address(opened):
    tab, said, _ = opened["20-servers-40-cells"]
    figures = tab.locator("#plot-forest [data-baseline]:visible")
    assert figures.get_attribute("data-baseline") == "threads"
    before = figures.text_content()
    tab.select_option("#baselines select", "asyncio-protocol")
    assert figures.get_attribute("data-baseline") == "asyncio-protocol"
    assert "as a ratio to that of asyncio-protocol" in " ".join(figures.text_content().split())
    assert figures.text_content() != before
    assert tab.evaluate("location.hash") == "#to=asyncio-protocol"
    tab.evaluate("location.hash = '#to=threads&only=x'")
    tab.wait_for_function("document.querySelector('#baselines select').value === 'threads'")
    assert said == []


def test_a_load_is_found_with_and_without_its_comma(opened):
    tab, _, _ = opened["20-servers-40-cells"]
    found = []
    for words in ("1,000", "1000"):
        tab.fill("#filter input", words)
        found.append(tab.inner_text("#filter [role=status]"))
    tab.fill("#filter input", "")
    assert found == ["20 rows", "20 rows"]


def test_no_mark_of_a_dark_figure_keeps_a_colour_of_light_ones(opened):
    """In the copy of a marker that SVG's `use` makes, a rule that names the page's figure does not match."""
    tab, _, _ = opened["2-servers-10-cells"]
    tab.emulate_media(color_scheme="dark")
    seen = Image.open(io.BytesIO(tab.locator("#plot-p99").screenshot())).convert("RGB")
    colours = {colour for _, colour in seen.getcolors(maxcolors=seen.width * seen.height)}
    assert {ImageColor.getrgb(one) for one in (DARK.background, DARK.muted)} <= colours
    assert ImageColor.getrgb(LIGHT.muted) not in colours  # of the cross where `generators` has no number


def test_print_has_everything_on_a4_without_script(browser, pages):
    context = browser.new_context(java_script_enabled=False, viewport={"width": A4_PX, "height": 1000})
    tab = context.new_page()
    tab.goto((pages / "20-servers-40-cells.html").as_uri())
    tab.emulate_media(media="print")
    seen = tab.evaluate(TEXTS)
    assert faults(seen, may_scroll=False) == []
    texts = " ".join(one["text"] for one in seen["texts"])
    assert "echobench check threads" in texts  # a section that is folded on the screen
    KEPT.mkdir(parents=True, exist_ok=True)
    made = tab.pdf(
        path=KEPT / "print.pdf", format="A4", margin=dict.fromkeys(("top", "bottom", "left", "right"), "10mm")
    )
    assert made.startswith(b"%PDF")
    context.close()


class Jenkins(SimpleHTTPRequestHandler):
    """Serves a folder under the policy that Jenkins sets for reports."""

    def end_headers(self):
        self.send_header("Content-Security-Policy", POLICY)
        super().end_headers()

    def log_message(self, *said):
        """Say nothing on stderr."""


@pytest.fixture
def served(pages):
    """Return the address of the pages under that policy."""
    server = HTTPServer(("127.0.0.1", 0), partial(Jenkins, directory=pages))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_under_jenkins_policy_text_and_figures_are_there(browser, served):
    tab, said = browser.new_page(viewport={"width": 1280, "height": 844}), []
    tab.on("console", lambda message: said.append(message.text))
    tab.goto(f"{served}/20-servers-40-cells.html")
    seen = tab.evaluate(TEXTS)
    assert faults(seen) == []
    tab.screenshot(path=KEPT / "sandbox.png")
    texts = [one["text"] for one in seen["texts"]]
    assert "Every cell" in texts
    assert sum(one["inside"] is not None for one in seen["texts"]) > 10 * len(TWENTY)
    assert not tab.locator("#switches").is_visible()
    fills = tab.evaluate(
        "[...new Set([...document.querySelectorAll('svg text')].map((one) => getComputedStyle(one).fill))]"
    )
    assert len(fills) > 3
    assert [one for one in said if "Blocked script execution" not in one and "favicon" not in one] == []
    tab.close()
