"""The page in a real browser: a headless Chromium that is installed. No network, two launches for all tests.

A driver is added to a copy of the page. It clicks as a reader would, and leaves what it saw as JSON in the document,
which Chromium prints.
"""

from __future__ import annotations

import json
import re

import pytest
from helpers.browser import ANSWER, LISTEN, browse
from helpers.run_folders import Builder

from bench.analysis.estimates.ranking import rank
from bench.analysis.figures import gallery
from bench.analysis.report import page as report
from bench.analysis.runs import run_folder

pytestmark = pytest.mark.browser

SERVERS = ("uvloop-protocol", "threads", "my own server", "generators")
WIDTHS = (390, 768, 1280)

CLICKS = """
<script>
const rows = () => [...document.querySelectorAll("#cells tbody tr:not(.load)")];
const names = () => rows().filter((row) => row.offsetParent).map((row) => row.id);
const texts = () => [...document.querySelectorAll("#plot-forest text")].filter((one) => one.getClientRects().length)
  .map((one) => one.textContent);
const click = (column) => document.querySelectorAll("#cells thead button")[column].click();
const signs = () => [...document.querySelectorAll(".level")].filter((one) => one.getClientRects().length).length;
const found = { signs: [signs()], opened: names(), texts: texts() };
found.box = document.querySelector("input[value='threads']").checked;
found.chosen = document.querySelector(".chosen").id;
document.querySelector("input[value='threads']").click();
document.querySelector("input[value='my own server']").click();
[found.switched, found.switched_texts, found.switched_hash] = [names(), texts(), location.hash];
document.querySelector("input[value='my own server']").click();
click(1);
found.rising = rows().map((row) => row.cells[1].dataset.value);
click(1);
found.falling = rows().map((row) => row.cells[1].dataset.value);
found.signs.push(signs());
found.sorted = document.querySelector("#cells th[aria-sort]").getAttribute("aria-sort");
const search = document.querySelector("#filter input");
search.value = "0";
search.dispatchEvent(new Event("input"));
found.numbers = names();
search.value = "16 generators";
search.dispatchEvent(new Event("input"));
[found.filtered, found.said] = [names(), document.querySelector("#filter [role=status]").textContent];
found.hash = location.hash;
found.faults = faults;
found.requests = performance.getEntriesByType("resource").map((one) => one.name);
answer(found);
</script>
"""
HOST = """<!doctype html><meta charset="utf-8"><body>
<script type="application/json" id="page">%s</script>
<script>
const page = JSON.parse(document.getElementById("page").textContent);
function frame(width, sandboxed) {
  return new Promise((done) => {
    const one = document.createElement("iframe");
    one.style = `width: ${width}px; height: 900px; border: 0`;
    if (sandboxed) one.sandbox = "allow-same-origin";
    one.srcdoc = page;
    one.onload = () => done(one.contentDocument);
    document.body.append(one);
  });
}
function seen(view) {
  const style = (one) => view.defaultView.getComputedStyle(one);
  const cut = [...view.querySelectorAll("p, li, h1, h2, h3, dd, figcaption, label, summary")]
    .filter((one) => one.offsetParent && one.getBoundingClientRect().right > view.documentElement.clientWidth + 1);
  return {
    width: view.documentElement.scrollWidth, cut: cut.map((one) => one.textContent.slice(0, 60)),
    font: style(view.body).fontFamily, code: style(view.querySelector("pre")).fontFamily,
    switches: !view.getElementById("switches").hidden, filter: !view.getElementById("filter").hidden,
    fills: [...new Set([...view.querySelectorAll("#plot-forest text")].map((one) => style(one).fill))],
    faults: view.defaultView.faults || [],
  };
}
(async () => {
  const found = {};
  for (const width of [390, 768, 1280]) found[width] = seen(await frame(width, false));
  found.sandboxed = seen(await frame(768, true));
  answer(found);
})();
</script></body>"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Return the page of a run of four servers, one of which teaches."""
    builder = Builder(tmp_path_factory.mktemp("runs") / "a-run")
    info = {"servers": [{"name": name, "command": ["python", "-m", "servers", name]} for name in SERVERS]}
    run = run_folder.load(builder.run(SERVERS, connections=(1, 16), rounds=3, spread=0.4, info=info))
    found = rank(run)
    return report.render(run, found, gallery.draw(run, found))


@pytest.fixture(scope="module")
def clicked(page, tmp_path_factory):
    """Return what a reader saw who opened a link to a cell, and clicked."""
    driven = page.replace("<style>", f"{LISTEN}<style>", 1).replace("</body>", f"{ANSWER}{CLICKS}</body>")
    return browse(tmp_path_factory.mktemp("clicked"), driven, "#cell-c16-my%20own%20server")


@pytest.fixture(scope="module")
def framed(page, tmp_path_factory):
    """Return how the page lies in frames of several widths, and in one that forbids scripts."""
    driven = json.dumps(page.replace("<style>", f"{LISTEN}<style>", 1)).replace("</", "<\\/")
    host = (HOST % driven).replace("<body>", f"<body>{ANSWER}", 1)
    return browse(tmp_path_factory.mktemp("framed"), host)


def test_a_server_switched_off_is_off_in_figures_and_tables(clicked):
    assert clicked["box"] is True
    assert len(clicked["opened"]) == 2 * len(SERVERS)
    left = [one for one in clicked["opened"] if "threads" not in one and "own" not in one]
    assert clicked["switched"] == left
    assert "threads" in "".join(clicked["texts"])
    assert "my own server" in "".join(clicked["texts"])
    named = re.compile(r"^\W*(threads|my own server)$", re.MULTILINE)  # at a row or a line; a title is a sentence
    assert named.search("\n".join(clicked["texts"]))
    assert not named.search("\n".join(clicked["switched_texts"]))
    assert clicked["switched_hash"].startswith("#off=my%2520own%2520server,threads&")


def test_rows_sort_within_their_load_and_filter(clicked):
    rising, falling = ([float(value) for value in clicked[order]] for order in ("rising", "falling"))
    loads = [slice(0, len(SERVERS)), slice(len(SERVERS), None)]
    assert rising == [value for load in loads for value in sorted(rising[load])]
    assert falling == [value for load in loads for value in sorted(rising[load], reverse=True)]
    before, after = clicked["signs"]
    assert before > after == 0  # "not told from the one above" was said of another row
    assert clicked["sorted"] == "descending"
    assert clicked["filtered"] == ["cell-c16-generators"]
    assert clicked["said"] == "1 row"
    assert clicked["numbers"] == []  # a filter asks for names, and every row has a 0 among its numbers


def test_an_address_names_the_cell_and_what_was_chosen(clicked):
    assert clicked["chosen"] == "cell-c16-my%20own%20server"
    assert clicked["hash"] == "#off=threads&sort=1-&only=16%20generators&at=cell-c16-my%2520own%2520server"


def test_the_browser_finds_no_fault_and_asks_nobody(clicked, framed):
    assert clicked["faults"] == clicked["requests"] == []
    assert all(seen["faults"] == [] for seen in framed.values())


@pytest.mark.parametrize("width", WIDTHS)
def test_no_text_is_cut_at_this_width(framed, width):
    seen = framed[str(width)]
    assert seen["cut"] == []
    assert seen["width"] <= width
    assert (seen["switches"], seen["filter"]) == (True, True)


def test_the_page_reads_on_where_scripts_are_forbidden(framed):
    seen, free = framed["sandboxed"], framed["768"]
    assert (seen["switches"], seen["filter"]) == (False, False)
    assert "Segoe UI" in seen["font"]
    assert "DejaVu Sans Mono" in seen["code"]
    assert seen["fills"] == free["fills"]
    assert len(seen["fills"]) > len(SERVERS) - 1
