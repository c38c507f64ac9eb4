"""The how-to pages: each block of a page is run in turn, with what the page prints, or says why it is not run.

The line above a block is its note. `<!-- file: NAME -->` saves it, `<!-- needs: PROGRAM -->` skips it without that
program, `<!-- not run: WHY -->` skips it always, and `ends with 1` or `ends with 0, 1 or 3` says how it may end. In a
block of text each line is found in what the block above it printed; `…` stands for anything.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap

import pytest
from helpers.checkout import CHECKOUT

PAGES = sorted((CHECKOUT / "docs" / "how-to").glob("*.md"))
BLOCK = re.compile(
    r"^(?P<indent> *)(?:<!-- (?P<note>[^\n]*) -->\n *)?```(?P<language>[\w{}-]+)\n(?P<code>.*?)^ *```$",
    re.MULTILINE | re.DOTALL,
)
TIMEOUT_S = 120


def blocks_of(page):
    """Return (note, language, code) of each fenced block of a page."""
    found = BLOCK.finditer(page.read_text(encoding="utf-8"))
    return [(block["note"] or "", block["language"], textwrap.dedent(block["code"])) for block in found]


def statuses(note):
    """Return the exit statuses that a note allows."""
    found = re.search(r"ends with ([\d, or]+)", note)
    return {int(number) for number in re.findall(r"\d", found[1])} if found else {0}


def words_of(command):
    """Return a shown command as this machine starts it: with this interpreter, and the checkout's echobench."""
    ours = {"echobench": [sys.executable, "-m", "bench"], "python3": [sys.executable]}
    first, *rest = shlex.split(command)
    return [*ours.get(first, [first]), *rest]


def commands_of(language, code):
    if language == "python":
        return [[sys.executable, "-c", code]]
    return [words_of(line) for line in code.replace("\\\n", " ").splitlines() if line.strip()]


def run(words, folder, allowed):
    """Run a command in the reader's folder and return what it printed. Fail if it ends otherwise than allowed."""
    # `python3` within a command, such as that of a server, is this interpreter too.
    path = os.pathsep.join([str(folder / "bin"), os.environ["PATH"]])
    env = os.environ | {"PYTHONPATH": str(CHECKOUT), "PATH": path, "COLUMNS": "200", "XDG_CACHE_HOME": str(folder)}
    done = subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode in allowed, f"{shlex.join(words)}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def missing(shown, printed):
    """Return the lines of a shown text that nothing printed looks like, however wide its columns are."""
    said = "\n".join(" ".join(line.split()) for line in printed.splitlines())
    lines = [" ".join(line.split()) for line in shown.splitlines() if line.strip()]
    return [line for line in lines if not re.search(re.escape(line).replace("…", ".*"), said)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return the reader's folder: it has the reference run, and python3 is the interpreter of the tests."""
    folder = tmp_path_factory.mktemp("reader")
    (folder / "results").mkdir()
    (folder / "results" / "reference").symlink_to(CHECKOUT / "results" / "reference")
    (folder / "bin").mkdir()
    launcher = folder / "bin" / "python3"
    launcher.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
    launcher.chmod(0o755)
    return folder


def each_page(test):
    return pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)(test)


@each_page
def test_every_block_is_run_saved_or_says_why_not(page):
    for note, language, _ in blocks_of(page):
        if note.startswith("not run: "):
            assert len(note.split()) > 4, "say why"
        elif language not in {"sh", "python", "text", "{toctree}"}:
            assert note.startswith("file: "), f"nothing is done with a block of {language}"
    assert page.read_text(encoding="utf-8").count("```") == 2 * len(blocks_of(page))


def test_every_page_is_in_the_index():
    index = (CHECKOUT / "docs" / "how-to" / "index.md").read_text(encoding="utf-8")
    tree = next(code for _, language, code in blocks_of(CHECKOUT / "docs/how-to/index.md") if language == "{toctree}")
    others = {page.stem for page in PAGES} - {"index"}
    assert set(tree.split()) - {":hidden:"} == others
    assert {name for name in others if f"({name}.md)" not in index} == set()


@pytest.mark.docs
@each_page
def test_a_page_does_what_it_shows(page, folder):
    printed = ""
    for note, language, code in blocks_of(page):
        needed = note.removeprefix("needs: ") if note.startswith("needs: ") else "sh"
        if note.startswith("not run: ") or language == "{toctree}" or shutil.which(needed) is None:
            continue
        if note.startswith("file: "):
            (folder / note.removeprefix("file: ")).write_text(code)
        elif language == "text":
            assert missing(code, printed) == [], printed
        else:
            printed = "".join(run(words, folder, statuses(note)) for words in commands_of(language, code))


def test_a_line_that_was_not_printed_is_found():
    assert missing("a … c\nb", "a   1 2 c\n") == ["b"]


@pytest.mark.parametrize(
    ("note", "allowed"),
    [("", {0}), ("ends with 1: slower", {1}), ("ends with 0, 1 or 3: that depends", {0, 1, 3})],
)
def test_a_note_says_how_a_command_may_end(note, allowed):
    assert statuses(note) == allowed
