"""What `regress` says first, and how: its sentences, folded lines, colours and page. The host is a fake."""

from __future__ import annotations

import io
import re
import shlex
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from helpers import fake_host as fakes
from rich.console import Console

from bench.cli.terminal import emphasised
from bench.errors import NoBaselineError
from bench.experiment.model import StopReason
from bench.regress import conclude
from bench.regress.ledger import Ledger
from bench.regress.page import page, page_of_failure
from bench.regress.regression import failure
from bench.regress.render import markdown, text
from bench.regress.request import Prepared
from bench.regress.sentences import medians
from bench.stats import Estimate
from bench.verdict.pairs import Arm
from bench.verdict.rules import Rule
from bench.verdict.values import CellVerdict, Comparison, MetricVerdict
from bench.verdict.words import Word

SLOWER = 1.09
CPU = replace(fakes.CPU, budget=0.03)
P50 = replace(fakes.P50, budget=0.05)


def shown(tmp_path, host=fakes.STILL, *, slower=1.0, cells=("a",), rules=(CPU, P50)):
    """Return a comparison on the fake host, whose candidate needs `slower` times the CPU and the time."""

    def change(result, arm, _count):
        factor = slower if arm is Arm.CANDIDATE else 1.0
        values = {metric: result.metrics[metric] * factor for metric in (CPU.metric, P50.metric)}
        return fakes.with_metrics(result, **values)

    question = fakes.ask(cells=tuple(map(fakes.cell, cells)), rules=rules, pairs=12)
    compared = fakes.run(fakes.FakeHost(host, change=change), question)
    arms = Prepared(cells=question.cells, baseline="old", candidate="new", same=False, same_interpreter=True)
    again = ["echobench", "regress", "--command", "python -m somebody.server --port {port}"]
    ledger = Ledger(tmp_path / "ledger")
    return conclude.presentation(compared, question, arms, ledger, again, seconds=60.0, allow=False)


def estimate(value, low, high):
    return Estimate(value=value, low=low, high=high, level=0.996)


def metric(word, *, change=(0.0, -0.01, 0.01), rule=CPU, **fields):
    found = estimate(*change)
    given = {"pairs": 30, "slowdown": found, "change": found, "reason": "the reason", "minimal_effect": 0.04}
    return MetricVerdict(rule=rule, word=word, **{**given, **fields})


def of_one(*metrics, word, reason="the reason"):
    cell = CellVerdict(cell="a", word=word, reason=reason, metrics=metrics)
    return Comparison(cells=(cell,), looks=(30,), alpha=0.002)


SENTENCES = [
    (
        of_one(metric(Word.REGRESSED, change=(0.093, 0.012, 0.18)), word=Word.REGRESSED),
        "REGRESSED: slower by 9.3 % (1.2 to 18) in server CPU per reply",
    ),
    (
        of_one(metric(Word.IMPROVED, change=(-0.093, -0.18, -0.012)), word=Word.IMPROVED),
        "IMPROVED: faster by 9.3 % (1.2 to 18) in server CPU per reply",
    ),
    (
        of_one(metric(Word.OK), metric(Word.OK, rule=P50), word=Word.OK),
        "OK: not slower by 3 % or more in server CPU per reply nor by 5 % or more in median response time",
    ),
    (
        of_one(metric(Word.INCONCLUSIVE, pairs_needed=60), word=Word.INCONCLUSIVE),
        "INCONCLUSIVE: 60 s are enough to see a slowdown of 4 % in server CPU per reply, and 3 % needs 2 minutes",
    ),
    (
        of_one(
            metric(Word.INCONCLUSIVE, rule=fakes.RPS, change=(0.028, 0.01, 0.05), minimal_effect=0.02, pairs_needed=40),
            word=Word.INCONCLUSIVE,
        ),
        "INCONCLUSIVE: it seems slower by 2.8 % (1 to 5) in throughput, and to be sure needs 80 s",
    ),
    (of_one(word=Word.INVALID, reason="the echo was wrong"), "INVALID: the echo was wrong"),
    (of_one(word=Word.NO_BASELINE, reason="it did not start:\n  | its log"), "NO-BASELINE: it did not start"),
    (of_one(word=Word.INCONCLUSIVE, reason="no arm loads it"), "INCONCLUSIVE: no arm loads it"),
    (
        replace(of_one(metric(Word.OK), word=Word.OK), host_problem="the hypervisor took all"),
        "INVALID: the hypervisor took all",
    ),
]


@pytest.mark.parametrize(("comparison", "said"), SENTENCES, ids=lambda value: value if isinstance(value, str) else "")
def test_the_verdict_is_the_first_line_in_one_sentence(tmp_path, comparison, said):
    made = replace(shown(tmp_path), comparison=comparison, seconds=60.0, trials=60)
    assert text(made).splitlines()[0] == said
    assert said.count(": ") == 1, "a sentence has one colon, after its word"
    assert f"**{said}**" in markdown(made)


def test_what_was_measured_agrees_with_what_is_said_first(tmp_path):
    made = shown(tmp_path, slower=SLOWER)
    first = text(made).splitlines()[0]
    assert first.startswith("REGRESSED: slower by 9 % (9 to 9) in server CPU per reply and by 9 % (9 to 9) in median")
    assert shown(tmp_path, slower=1 / SLOWER).headline.startswith("IMPROVED: faster by 8.3 %")


def test_each_cell_has_a_line_and_the_worst_is_named_first(tmp_path):
    made = shown(tmp_path, slower=SLOWER, cells=("a", "b"))
    lines = text(made).splitlines()
    assert lines[0].endswith("2 of 2 cells are REGRESSED)")
    assert [line.split()[:2] for line in lines if line.startswith("REGRESSED ")] == [
        ["REGRESSED", "a"],
        ["REGRESSED", "b"],
    ]
    assert shown(tmp_path, cells=("a", "b")).headline.endswith(", in each of 2 cells")


def test_the_rest_is_behind_verbose_and_warnings_are_not(tmp_path):
    made = replace(shown(tmp_path), forgotten="not remembered", steal_share=0.3, stopped=StopReason.INTERRUPTED)
    short, long = text(made), text(made, verbose=True)
    for line in ("not remembered", "doubt: the hypervisor took 30 %", "interrupted: this is", "exit status 0"):
        assert line in short
        assert line in long
    for line in ("noise: pair sd", "medians: ", "false alarms", "trials in 60 s"):
        assert line not in short
        assert line in long


@pytest.mark.parametrize(
    ("before", "after", "agree"),
    [(100, 109, True), (100, 95, False), (100, 130, False), (100, 100, True)],
    ids=["agrees", "other way", "outside of the interval", "no change"],
)
def test_medians_that_contradict_the_estimate_are_not_shown(tmp_path, before, after, agree):
    arms = {"baseline": estimate(before, 90, 110), "candidate": estimate(after, 90, 140)}
    one = metric(Word.INCONCLUSIVE, change=(0.09, -0.01, 0.18), pairs_needed=60, **arms)
    assert (medians(one) is not None) is agree
    made = replace(shown(tmp_path), comparison=of_one(one, word=Word.INCONCLUSIVE))
    assert ("medians: " in text(made, verbose=True)) is agree


@pytest.mark.parametrize("width", [40, 80])
def test_no_line_is_broken_inside_a_word_or_number(tmp_path, width):
    made = shown(tmp_path, fakes.NOISY, cells=("a", "somebody/c16/1024B"))
    whole, narrow = text(made, verbose=True), text(made, verbose=True, width=width)
    assert max(map(len, narrow.splitlines())) <= max(width, 15 + len("'python -m somebody.server --port {port}' \\"))
    assert narrow.replace(" \\\n", " ").split() == whole.split(), "the same words in the same order"
    assert not re.search(r"\d$\n\s+%", narrow, re.MULTILINE), "a number stays with its unit"


def test_a_folded_command_is_still_the_command(tmp_path):
    made = shown(tmp_path, fakes.NOISY)
    (cell,) = made.comparison.cells
    said = text(made, width=60).partition("to settle it:")[2].partition("\n\n")[0]
    assert "\\\n" in said
    assert shlex.split(said.replace("\\\n", " ")) == shlex.split(cell.settle)


@pytest.mark.parametrize(
    ("terminal", "begins"),
    [
        ({"color_system": "standard"}, "\x1b[31m\x1b[1m"),
        ({"color_system": "standard", "no_color": True}, "\x1b[1m"),
        ({"color_system": None}, "REGRESSED"),
    ],
    ids=["colours", "NO_COLOR", "none"],
)
def test_the_first_sentence_is_bold_and_coloured_where_that_can_be(terminal, begins):
    console = Console(file=io.StringIO(), force_terminal=True, **terminal)
    assert emphasised("REGRESSED: slower", "red", console).startswith(begins)


class Page(HTMLParser):
    """The tags of a page, what they refer to, and its text."""

    def __init__(self, html):
        super().__init__()
        self.open, self.classes, self.references, self.words = [], [], [], []
        self.feed(html)
        self.close()
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.classes += [value for name, value in attrs if name == "class"]
        self.references += [value for name, value in attrs if name in {"src", "href", "action"}]
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def test_the_page_has_the_verdict_and_every_pair_and_needs_nothing_else(tmp_path):
    made = replace(shown(tmp_path, fakes.QUIET, slower=SLOWER), candidate="new <b>")
    found = Page(html := page(made, "echobench regress --base main --seed 7"))
    assert (found.open, found.references) == ([], []), "each tag is closed, and no file is asked for"
    assert not re.search(r"<script|@import|url\(|http", html)
    assert found.text.count(made.headline) == 2, "in the title and first on the page"
    assert "new <b> against old" in found.text
    assert found.text.count("a dot is one pair") == 1, "how to read a picture is said once for all"
    assert not re.search(r"(INCONCLUSIVE|REGRESSED|OK)( \(shown only\))?\. [a-z]", found.text)
    assert not re.search(r"\d %", re.sub(r"<title>.*?</title>|<td.*?</td>|<svg.*?</svg>", "", html, flags=re.DOTALL))
    pairs = made.comparison.cells[0].metrics[0].pairs
    assert found.classes.count("pair") == 2 * pairs
    assert found.classes.count("estimate") == 2
    for words in ("Noise: the pairs vary by", "What the words mean", "echobench regress --base main --seed 7"):
        assert words in found.text


def test_the_forest_has_each_pair_where_its_ratio_lies(tmp_path):
    html = page(shown(tmp_path, slower=SLOWER, rules=(CPU,)), "")
    zero, budget = (float(re.search(rf'class="{name}".*? x1="([\d.]+)"', html)[1]) for name in ("zero", "budget"))
    places = [float(x) for x in re.findall(r'class="pair".*? cx="([\d.]+)"', html)]
    assert places == pytest.approx([zero + 3 * (budget - zero)] * 12, abs=0.3), "9 % is three budgets of 3 %"


def test_a_page_of_what_could_not_begin_says_why():
    found = Page(page_of_failure(failure(NoBaselineError("no revision <gone>")), "echobench regress"))
    assert "NO-BASELINE: nothing was measured" in found.text
    assert "No revision <gone>" in found.text
    assert found.open == []


def test_a_page_of_one_pair_and_no_interval_is_made(tmp_path):
    made = shown(tmp_path, rules=(Rule(metric="replies_per_s", title="throughput", larger_is_better=True),))
    (cell,) = made.comparison.cells
    one = replace(cell.metrics[0], change=estimate(0.0, float("nan"), float("nan")))
    made = replace(
        made,
        comparison=replace(made.comparison, cells=(replace(cell, metrics=(one,)),)),
        observations={"a": [row for row in made.observations["a"] if row.pair == 0]},
    )
    found = Page(page(made, ""))
    assert (found.classes.count("pair"), found.classes.count("interval")) == (1, 0)
