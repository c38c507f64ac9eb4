"""The figures of ratios: their marks are the ratios, and names say who is not told apart."""

from __future__ import annotations

import pytest
from helpers.block_run import BlockRun
from helpers.run_folders import texts

from bench.analysis.estimates import remarks
from bench.analysis.estimates.ranking import rank
from bench.analysis.figures.canvas import drawing_style
from bench.analysis.figures.load import forest_figure, ratio_figure
from bench.analysis.figures.palette import LIGHT, styles
from bench.analysis.runs import run_folder
from bench.metrics import THROUGHPUT

SPEEDS = {"threads": 40_000.0, "generators": 52_000.0, "coroutines": 51_900.0}


@pytest.fixture
def drawn(tmp_path):
    """Return a function that draws the throughput ratios of the model's run; with its ranking."""

    def draw(**how):
        found = rank(run_folder.load(BlockRun(**{"speeds": SPEEDS, **how}).write(tmp_path / "run")))
        with drawing_style():
            return found, ratio_figure(found, THROUGHPUT, LIGHT, styles(found.servers))

    return draw


def lines(figure, label):
    return [line for axes in figure.axes for line in axes.get_lines() if line.get_label() == label]


def test_under_several_loads_points_are_ratios_and_dots_are_blocks(drawn):
    found, figure = drawn(connections=(1, 16))
    for server in ("generators", "coroutines"):
        ratios = [found.ratios[THROUGHPUT.column, workload, server] for workload in ("c1", "c16")]
        (mean,), (dots,) = lines(figure, f"{server}: mean"), lines(figure, f"{server}: trials")
        assert list(mean.get_ydata()) == pytest.approx([ratio.estimate.value for ratio in ratios])
        assert list(dots.get_ydata()) == pytest.approx([value for ratio in ratios for value in ratio.values])
    (baseline,) = lines(figure, "threads: mean")
    assert list(baseline.get_ydata()) == [1, 1]
    assert figure.axes[0].get_yscale() == "log"


def test_the_scale_holds_every_interval_and_every_block(drawn):
    found, figure = drawn(connections=(1, 16))
    low, high = figure.axes[0].get_ylim()
    for ratio in found.ratios.values():
        if ratio.pairing.name == "SLICES" and ratio.estimate.value > 1:
            assert low <= min(*ratio.values, ratio.estimate.low)
            assert max(*ratio.values, ratio.estimate.high) <= high


def test_under_one_load_ratio_and_value_stand_beside_the_mark(drawn):
    found, figure = drawn()
    (standing,) = found.standings[THROUGHPUT.column]
    shown = texts(figure)
    first, second, third = (cell.server for cell in standing.cells)
    assert {first, f"\N{ALMOST EQUAL TO} {second}", third} <= set(shown)
    ratio = found.ratios[THROUGHPUT.column, "c16", first].estimate
    beside = f"{ratio.value:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]"
    assert any(text.startswith(beside) and text.endswith("/s") for text in shown)
    assert any(text.startswith("baseline") for text in shown)
    assert any(text.startswith("\N{ALMOST EQUAL TO}  Not told from the server above it: ") for text in shown)


def test_a_forest_explains_only_the_marks_that_its_rows_bear(tmp_path):
    """Two servers are level at 1 connection, which a forest does not draw, and a teaching one is level at 16."""
    speeds = {"threads": 40_000.0, "generators": 40_000.0, "uvloop-protocol": 90_000.0}
    described = [{"name": name, "command": ["python", "-m", "servers", name]} for name in speeds]
    run = run_folder.load(BlockRun(speeds=speeds, connections=(1, 16)).write(tmp_path / "run"))
    run.info["servers"] = described
    found = rank(run, "threads")
    assert not all(all(one.told_apart) for one in found.standings[THROUGHPUT.column])
    with drawing_style():
        figure = forest_figure(found, THROUGHPUT, LIGHT, styles(found.servers, found.teaching))
    shown = texts(figure)
    signs = [text for text in shown if text.startswith("\N{ALMOST EQUAL TO}")]
    assert signs == []
    assert remarks.TEACHING in shown


def test_a_server_alone_has_nothing_to_be_compared_with(drawn):
    assert drawn(speeds={"threads": 40_000.0})[1] is None


def test_a_forest_has_a_panel_for_the_titles_load_and_the_last(tmp_path):
    info = {"servers": [{"name": "generators", "command": ["python", "-m", "servers", "generators"]}]}
    run = BlockRun(speeds=SPEEDS, connections=(1, 16, 128), info=info).write(tmp_path / "run")
    found = rank(run_folder.load(run))
    with drawing_style():
        figure = forest_figure(found, THROUGHPUT, LIGHT, styles(found.servers, found.teaching))
    loads = {found.headline(THROUGHPUT).best.workload, "c128"}
    assert len(figure.axes) == len(loads)
    for axes in figure.axes:
        rows = [text.get_text().lstrip("\N{ALMOST EQUAL TO} ") for text in axes.texts if text.get_text() in SPEEDS]
        assert rows[-1] == "generators"  # it is the fastest, and teaches
        (mean,) = (line for line in axes.get_lines() if line.get_label() == "generators: mean")
        assert mean.get_color() == LIGHT.muted
    assert sum(text.get_text().startswith("Grey: ") for text in figure.texts) == 1


def test_a_run_of_one_load_needs_no_forest_beside_its_ratios(tmp_path):
    found = rank(run_folder.load(BlockRun(speeds=SPEEDS).write(tmp_path / "run")))
    assert forest_figure(found, THROUGHPUT, LIGHT, styles(found.servers)) is None
