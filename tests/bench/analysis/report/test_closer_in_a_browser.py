"""The closer look in a real browser: what it says of a point, zooms, switches and rescales. One page load for all."""

from __future__ import annotations

import pytest
from helpers.browser import ANSWER, LISTEN, browse
from helpers.run_folders import Builder

from bench.analysis.estimates.ranking import rank
from bench.analysis.report import page as report
from bench.analysis.runs import run_folder

pytestmark = pytest.mark.browser

SERVERS = ("threads", "my own server")
DRIVER = """
<script>
const section = document.getElementById("closer");
const found = { hidden: section.hidden, stages: section.querySelectorAll(".stage canvas").length };
const said = () => [...section.querySelectorAll(".readout")].map((one) => one.textContent);
const fields = () => ["from", "to"].map((one) => Number(section.querySelector(`#closer-${one}`).value));
const press = (stage, key) => stage.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
const inked = () => [...section.querySelectorAll("canvas")].map((one) =>
  one.getContext("2d").getImageData(0, 0, one.width, one.height).data.reduce((sum, value) => sum + (value > 0), 0));
const points = () => Object.values(closer.servers).slice(0, 2).map(({ role }) => {
  const hex = getComputedStyle(document.documentElement).getPropertyValue("--" + role).trim();
  const [red, green, blue] = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
  const canvas = section.querySelector("canvas");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let count = 0;
  for (let at = 0; at < data.length; at += 4) {
    count += data[at] === red && data[at + 1] === green && data[at + 2] === blue && data[at + 3] === 255;
  }
  return count;
});
const later = () => new Promise((done) => setTimeout(done, 50));
(async () => {
  await later();
  const [load, time] = ["load", "time"].map((one) => section.querySelector(`#closer-${one} .stage`));
  found.inked = inked();
  found.points = points();
  press(load, "ArrowRight");
  found.said = said()[0];
  found.dots = section.querySelectorAll(".readout .strip circle").length;
  press(load, "ArrowDown");
  found.next = said()[0];
  press(time, "ArrowRight");
  found.moment = said()[1];
  found.whole = fields();
  section.querySelector("#closer-from").value = 0.4;
  section.querySelector("#closer-to").value = 0.7;
  section.querySelector("#closer-to").dispatchEvent(new Event("change"));
  await later();
  found.zoomed = fields();
  found.zoom_inked = inked();
  found.zoom_hash = location.hash;
  section.querySelector("#closer-whole").click();
  await later();
  found.back = fields();
  section.querySelector("[data-server='threads']").click();
  await later();
  found.box = document.querySelector("#switches input[value='threads']").checked;
  found.pressed = [...section.querySelectorAll(".chip")].map((one) => one.getAttribute("aria-pressed"));
  found.off_inked = inked();
  found.off_points = points();
  press(section.querySelector("#closer-load .stage"), "ArrowRight");
  found.left = said()[0];
  section.querySelector("[name=closer-scale][value=log]").click();
  await later();
  found.log_inked = inked();
  const at = section.querySelector("#closer-at"), metric = section.querySelector("#closer-metric");
  for (const select of [at, metric]) {
    select.value = 1;
    select.dispatchEvent(new Event("change"));
  }
  await later();
  found.hash = location.hash;
  location.hash = "#scale=log&zoom=0.4,0.7&load=16%20connections&metric=nonsense";
  await later();
  found.sent = [fields(), at.value, metric.value, section.querySelector("[name=closer-scale]:checked").value];
  found.kept = location.hash;
  found.faults = faults;
  found.requests = performance.getEntriesByType("resource").map((one) => one.name);
  found.order = Object.keys(closer.servers).slice(0, 2);
  answer(found);
})();
</script>
"""


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """Return what a reader saw who pointed, zoomed, and switched a server off. The figures are left out."""
    builder = Builder(tmp_path_factory.mktemp("runs") / "a-run")
    run = run_folder.load(builder.run(SERVERS, connections=(1, 16), rounds=3))
    page = report.render(run, rank(run), [])
    driven = page.replace("<style>", f"{LISTEN}<style>", 1).replace("</body>", f"{ANSWER}{DRIVER}</body>")
    return browse(tmp_path_factory.mktemp("closer"), driven)


def test_pointing_says_value_interval_and_launches(seen):
    assert (seen["hidden"], seen["stages"]) == (False, 5)  # throughput by load; rate, p99, CPU and memory over time
    assert all(seen["inked"])
    assert seen["said"].startswith(f"{SERVERS[0]} ")
    assert "/s (" in seen["said"]
    assert seen["said"].strip().endswith("at 16 connections; 3 launches:")
    assert seen["dots"] == 3
    assert seen["next"].startswith(f"{SERVERS[1]} ")
    assert "; lowest " in seen["moment"]


def test_one_zoom_is_that_of_all_plots_over_time(seen):
    assert seen["whole"][0] == 0
    assert seen["whole"][1] > 0.9
    assert seen["zoomed"] == [0.4, 0.7]
    assert seen["back"] == seen["whole"]
    assert all(before != after for before, after in zip(seen["inked"][1:], seen["zoom_inked"][1:], strict=True))


def test_the_address_has_load_metric_scale_and_zoom(seen):
    assert seen["zoom_hash"] == "#zoom=0.4%2C0.7"
    assert seen["hash"] == "#off=threads&scale=log&metric=Server%20CPU%20per%20reply&load=16%20connections"


def test_a_link_shows_the_closer_look_of_its_sender(seen):
    """A metric that this run does not have is the first, as on a page that was just opened."""
    assert seen["sent"] == [[0.4, 0.7], "1", "0", "log"]
    assert "zoom=0.4%2C0.7" in seen["kept"]


def test_a_server_switched_off_is_off_in_the_closer_look(seen):
    assert seen["box"] is False
    assert sorted(seen["pressed"]) == ["false", "true"]
    assert all(seen["points"])
    assert [count > 0 for count in seen["off_points"]] == [name != "threads" for name in seen["order"]]
    assert seen["left"].startswith(f"{SERVERS[1]} ")
    assert seen["log_inked"] != seen["off_inked"]


def test_the_closer_look_asks_nobody_and_faults_nowhere(seen):
    assert seen["faults"] == seen["requests"] == []
