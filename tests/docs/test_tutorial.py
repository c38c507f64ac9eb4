"""The tutorial: chapters have all of their parts, blocks are run or say why not, and figures have a source."""

from __future__ import annotations

import json
import re
import shlex

import pytest
from helpers.checkout import CHECKOUT, module_of

from bench.experiment.conformance import CASES

TUTORIAL = CHECKOUT / "docs" / "tutorial"
CHAPTERS = sorted(TUTORIAL.glob("*.md"))
PARTS = ["A question, and a guess", "Try it", "What came out", "The difference", "What is still wrong", "Exercise"]
TARGET = re.compile(r"^(?:```\{(?:literalinclude|include)\}|:diff:) (\S+)$", re.MULTILINE)


figures = module_of(CHECKOUT / "docs" / "figures.py")
SHOWN = [(chapter, block) for chapter in CHAPTERS for block in figures.blocks(chapter.read_text())]
RUN = [(chapter, block) for chapter, block in SHOWN if block.language == "sh" and "not run" not in block.note]


def each_chapter(test):
    return pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.stem)(test)


def test_there_are_twelve_chapters_in_order():
    assert [chapter.name[:2] for chapter in CHAPTERS] == [f"{number:02}" for number in range(1, 13)]
    for number, chapter in enumerate(CHAPTERS, start=1):
        assert chapter.read_text().startswith(f"# {number}. ")


@each_chapter
def test_a_chapter_has_all_of_its_parts(chapter):
    text = chapter.read_text()
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == PARTS
    assert "\n```sh\nechobench check ./mine.py\n" in text
    assert text.count("figures/") == 1


@each_chapter
def test_what_a_chapter_includes_is_there(chapter):
    targets = TARGET.findall(chapter.read_text())
    assert f"figures/{chapter.name[:2]}.md" in targets
    assert [target for target in targets if not (TUTORIAL / target).is_file()] == []


@each_chapter
def test_a_block_is_run_or_says_why_not(chapter):
    """A block is shell that is run, a file that is included, or it has a reason not to be run."""
    blocks = [block for where, block in SHOWN if where == chapter]
    free = [block.code for block in blocks if block.language not in {"sh", "{literalinclude}", "{include}"}]
    assert [code for code in free if code.strip()] == []
    for block in blocks:
        if block.note.startswith("not run"):
            assert len(block.note.split()) > 4, "say why"
    assert sum(block.figure is not None for block in blocks) == 1


@each_chapter
def test_a_figure_was_made_by_the_command_that_its_chapter_shows(chapter):
    (block,) = [block for where, block in SHOWN if where == chapter and block.figure]
    number = chapter.name[:2]
    kept = json.loads((TUTORIAL / "figures" / f"{number}.json").read_text())
    assert [kept["command"]] == block.commands
    assert {"measured_at", "machine", "interpreter"} < kept.keys()
    assert kept["values"]
    assert f"Source: `{kept['command']}`" in (TUTORIAL / "figures" / f"{number}.md").read_text()


@pytest.mark.parametrize("chapter", CHAPTERS[1:], ids=lambda chapter: chapter.stem)
def test_a_chapter_shows_a_diff_of_two_files(chapter):
    """The first chapter has no step before it."""
    text = chapter.read_text().partition("## The difference")[2].partition("\n## ")[0]
    assert "\n:diff: " in text


@each_chapter
def test_a_chapter_names_cases_that_check_has(chapter):
    named = re.findall(r"\bcases? `([^`]+)`", " ".join(chapter.read_text().split()))
    assert set(named) <= CASES.keys()


def test_every_difference_is_between_files_that_differ():
    for chapter in CHAPTERS:
        for new, old in re.findall(r"\{literalinclude\} (\S+)\n:diff: (\S+)", chapter.read_text()):
            assert (TUTORIAL / new).read_text() != (TUTORIAL / old).read_text()


@pytest.mark.parametrize(
    ("text", "note", "figure", "status"),
    [
        ("```sh\nx\n```\n", "", None, 0),
        ("<!-- not run: it ends never -->\n```sh\nx\n```\n", "not run: it ends never", None, 0),
        ("<!-- figure: a_ns -->\n```sh\nx\n```\n", "figure: a_ns", "a_ns", 0),
        ("<!-- figure: check, ends with 4: bad -->\n```sh\nx\n```\n", "figure: check, ends with 4: bad", "check", 4),
    ],
)
def test_the_line_above_a_block_says_what_is_done_with_it(text, note, figure, status):
    (block,) = figures.blocks(text)
    assert (block.note, block.figure, block.status, block.code) == (note, figure, status, "x\n")


def test_a_command_may_go_on_in_the_next_line():
    (block,) = figures.blocks("```sh\na --b \\\n    --c\nd\n```\n")
    assert block.commands == ["a --b --c", "d"]


@pytest.mark.docs
def test_a_figure_of_a_run_has_intervals_and_ratios():
    table, rows = figures.of_run(CHECKOUT / "results" / "reference", "server_cpu_us_per_reply")
    threads = next(row for row in rows if row["server"] == "threads" and row["workload"] == "c16-1KiB")
    assert threads["baseline"] == "asyncio-protocol"
    for found in (threads["server_cpu_us_per_reply"], threads["ratio"]):
        assert 0 < found["low"] < found["value"] < found["high"]
    assert len(table.splitlines()) == len(rows) + 2
    assert re.search(r"^\| c16-1KiB \| threads \| .* µs \[.*\] \| .* \[.*\] \|$", table, re.MULTILINE)


def test_a_figure_of_a_check_counts_the_launches_that_failed():
    failed = {"case": "reset", "outcome": "failed", "detail": "it ended\n  | Traceback\n  | ConnectionResetError: gone"}
    passed = {"case": "reset", "outcome": "passed", "detail": ""}
    launches = [{"servers": [{"name": "mine", "results": [result]}]} for result in [failed] * 5 + [passed]]
    table, rows = figures.of_check(launches)
    assert table.splitlines()[2:] == ["| mine | `reset` | 5 of 6 [35.9 %, 99.6 %] | ConnectionResetError: gone |"]
    assert [(row["case"], row["failed"], row["launches"]) for row in rows] == [("reset", 5, 6)]


def test_an_interval_of_what_cannot_be_below_0_is_not():
    assert figures.not_below_0(figures.Estimate(1.0, -0.5, 2.5, 0.95)) == figures.Estimate(1.0, 0.0, 2.5, 0.95)
    assert figures.not_below_0(figures.Estimate(1.0, 0.5, 1.5, 0.95)).low == 0.5


def test_a_figure_of_micro_is_its_plots_and_its_table(tmp_path, monkeypatch):
    monkeypatch.setattr(figures, "MICRO", tmp_path)
    monkeypatch.setattr(figures, "FIGURES", tmp_path)
    for name in ("micro", "micro-dark"):
        (tmp_path / f"{name}.svg").write_text(name)
    shown, values = figures.of_micro("a table\n", "06")
    assert [(tmp_path / f"06{suffix}.svg").read_text() for suffix in ("", "-dark")] == ["micro", "micro-dark"]
    images = re.findall(r"figures/(06.*?)\n:class: (.*)", shown)
    assert images == [("06.svg", "only-light"), ("06-dark.svg", "only-dark")]
    assert shown.endswith("```text\na table\n```")
    assert values == [{"printed": ["a table"]}]


def test_a_column_is_printed_of_the_newest_run(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(figures, "RUNS", tmp_path)
    monkeypatch.setattr("sys.argv", ["figures.py", "--column", "server_threads"])
    with pytest.raises(SystemExit, match="2"):
        figures.main()
    assert "run the command of a chapter first" in capsys.readouterr().err
    (tmp_path / "a-run").symlink_to(CHECKOUT / "results" / "reference")
    with pytest.raises(SystemExit, match="2"):
        figures.main()
    assert "no numbers in a column 'server_threads'" in capsys.readouterr().err
    monkeypatch.setattr("sys.argv", ["figures.py", "--column", "server_minor_faults_per_reply"])
    figures.main()
    assert re.search(r"^\| c16-1KiB \| threads \| \d.*\[.*\] \|", capsys.readouterr().out, re.MULTILINE)


def test_a_command_that_ends_otherwise_is_refused():
    with pytest.raises(RuntimeError, match="ended with 1, not 0"):
        figures.run(shlex.join(["python3", "-S", "-c", "raise SystemExit(1)"]))


@pytest.mark.docs
@pytest.mark.parametrize("block", [block for _, block in RUN], ids=[chapter.name[:2] for chapter, _ in RUN])
def test_a_command_of_the_tutorial_runs_as_it_is_shown(block):
    for command in block.commands:
        figures.run(command, block.status)
