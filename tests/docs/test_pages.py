"""README and the pages: each block is run in turn, with what the page prints, or says why it is not run.

The tutorial has a test of its own. The line above a block is its note. These words of a note are separated by `;`:

    file: NAME      the block is saved under that name
    needs: PROGRAM  the block is not run where a program is missing, and the test then says so: it is skipped
    server: NAME    that server of ours stands behind the address 127.0.0.1:5433
    with: WORDS     each command gets these words too, which make it short
    ends with 1     the commands end so; likewise `ends with 0, 1 or 3`
    not run: WHY    the block is skipped

In a block of text each line is found in what the block above it printed; `…` stands for anything.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from contextlib import contextmanager
from typing import NamedTuple

import pytest
from helpers.checkout import CHECKOUT

PAGES = sorted(
    path
    for pattern in ("README.md", "docs/*.md", "docs/how-to/*.md", "docs/reference/index.md", "results/README.md")
    for path in CHECKOUT.glob(pattern)
)
BLOCK = re.compile(
    r"^(?P<indent> *)(?:<!-- (?P<note>[^\n]*) -->\n *)?```(?P<language>[\w{}-]+)\n(?P<code>.*?)^ *```$",
    re.MULTILINE | re.DOTALL,
)
ADDRESS = "127.0.0.1:5433"
PROGRAMS = {"echobench": "-m bench", "python3": ""}
TIMEOUT_S = 120


class Block(NamedTuple):
    """A fenced block of a page, and the note on the line above it."""

    note: str
    language: str
    code: str

    def word(self, name):
        """Return what stands in the note after `NAME: `, or None."""
        found = re.search(rf"(?:^|; ){name}: ([^;]+)", self.note)
        return found[1] if found else None

    @property
    def lacks(self):
        """The programs that the block needs and this machine does not have."""
        return [name for name in (self.word("needs") or "").split() if shutil.which(name) is None]

    @property
    def reason(self):
        """Why the block is not run; nothing if it is."""
        return self.note.removeprefix("not run: ") if self.note.startswith("not run: ") else ""

    @property
    def statuses(self):
        """The exit statuses that the note allows."""
        found = re.search(r"ends with ([\d, or]+)", self.note)
        return {int(number) for number in re.findall(r"\d", found[1])} if found else {0}

    @property
    def commands(self):
        """The commands, each in one line, without the remark behind it and with the words of the note."""
        lines = [re.sub(r"\s+# .*$", "", line) for line in self.code.replace("\\\n", " ").splitlines()]
        return [f"{line} {self.word('with') or ''}".strip() for line in lines if line.strip()]


def blocks_of(page):
    found = BLOCK.finditer(page.read_text(encoding="utf-8"))
    return [Block(block["note"] or "", block["language"], textwrap.dedent(block["code"])) for block in found]


def environment(folder):
    """Return the environment of a reader's shell: its programs are the checkout's, by the interpreter of the tests."""
    path = os.pathsep.join([str(folder / "bin"), os.environ["PATH"]])
    return os.environ | {"PYTHONPATH": str(CHECKOUT), "PATH": path, "COLUMNS": "200", "XDG_CACHE_HOME": str(folder)}


def run(words, folder, allowed):
    """Run a command in the reader's folder and return what it printed. Fail if it ends otherwise than allowed."""
    done = subprocess.run(
        words, cwd=folder, env=environment(folder), capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    assert done.returncode in allowed, f"{shlex.join(words)}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


@contextmanager
def address_of(server):
    """Run one of our servers, and yield its address; without a name, yield the address that the pages write."""
    if server is None:
        yield ADDRESS
        return
    command = [sys.executable, "-m", "servers", server, "--port", "0"]
    with subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield ":".join(process.stdout.readline().split()[1:])
        finally:
            process.terminate()


def run_block(block, folder):
    """Run a block of shell or Python and return what it printed."""
    if block.language == "python":
        return run([sys.executable, "-c", block.code], folder, block.statuses)
    with address_of(block.word("server")) as address:
        commands = [command.replace(ADDRESS, address) for command in block.commands]
        return "".join(run(["sh", "-c", command], folder, block.statuses) for command in commands)


def missing(shown, printed):
    """Return the lines of a shown text that nothing printed looks like, however wide its columns are."""
    said = "\n".join(" ".join(line.split()) for line in printed.splitlines())
    lines = [" ".join(line.split()) for line in shown.splitlines() if line.strip()]
    return [line for line in lines if not re.search(re.escape(line).replace("…", ".*"), said)]


def write_program(path, command):
    path.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {command} "$@"\n')
    path.chmod(0o755)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return the reader's folder: it has the reference run, the programs of the checkout, and a server in two forms."""
    folder = tmp_path_factory.mktemp("reader")
    (folder / "results").mkdir()
    (folder / "results" / "reference").symlink_to(CHECKOUT / "results" / "reference")
    (folder / "bin").mkdir()
    for name, command in PROGRAMS.items():
        write_program(folder / "bin" / name, command)
    write_program(folder / "server", "-m servers threads")
    (folder / "mine.py").write_text("from servers.callbacks import serve\n\n__all__ = ['serve']\n")
    return folder


def each_page(test):
    names = [str(page.relative_to(CHECKOUT).with_suffix("")) for page in PAGES]
    return pytest.mark.parametrize("page", PAGES, ids=names)(test)


@each_page
def test_every_block_is_run_saved_or_says_why_not(page):
    text = page.read_text(encoding="utf-8")
    for block in blocks_of(page):
        if block.reason:
            assert len(block.reason.split()) > 4, "say why"
        elif block.language not in {"sh", "python", "text", "{toctree}"}:
            assert block.word("file"), f"nothing is done with a block of {block.language}"
    assert text.count("```") == 2 * len(blocks_of(page))
    outside = re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL)
    assert re.findall(r"(?<=\n\n) {4,}\S.*", outside) == [], "a block that is indented has no note"


def test_every_page_is_in_the_index():
    page = CHECKOUT / "docs" / "how-to" / "index.md"
    index = page.read_text(encoding="utf-8")
    tree = next(block.code for block in blocks_of(page) if block.language == "{toctree}")
    others = {page.stem for page in PAGES if page.parent.name == "how-to"} - {"index"}
    assert set(tree.split()) - {":hidden:"} == others
    assert {name for name in others if f"({name}.md)" not in index} == set()


@pytest.mark.docs
@each_page
def test_a_page_does_what_it_shows(page, folder):
    run_blocks(blocks_of(page), folder)


def run_blocks(blocks, folder):
    """Run the blocks of a page in order. At the end, skip the test if a program was missing for one of them."""
    printed, lacking = "", set()
    for block in blocks:
        lacking.update(block.lacks)
        if block.reason or block.lacks or block.language == "{toctree}":
            continue
        if name := block.word("file"):
            (folder / name).write_text(block.code)
        elif block.language == "text":
            assert missing(block.code, printed) == [], printed
        else:
            printed = run_block(block, folder)
    if lacking:
        pytest.skip(f"all blocks ran but those that need {', '.join(sorted(lacking))}, which is not installed")


def test_a_line_that_was_not_printed_is_found():
    assert missing("a … c\nb", "a   1 2 c\n") == ["b"]


def test_a_missing_program_skips_its_block_and_is_named(tmp_path):
    blocks = [
        Block("needs: sh no-such-program", "sh", "exit 1\n"),
        Block("file: after", "sh", ""),
        Block("needs: sh", "sh", ": > run\n"),
    ]
    with pytest.raises(pytest.skip.Exception, match=r"need no-such-program, which is not installed"):
        run_blocks(blocks, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["after", "run"]


@pytest.mark.parametrize(
    ("note", "allowed"),
    [("", {0}), ("ends with 1: slower", {1}), ("ends with 0, 1 or 3: that depends; with: -c 1", {0, 1, 3})],
)
def test_a_note_says_how_a_command_may_end(note, allowed):
    assert Block(note, "sh", "").statuses == allowed


def test_a_note_makes_every_command_short():
    block = Block("needs: cc; with: -d 1s --quiet", "sh", "a --b \\\n  c   # why\n\nd\n")
    assert block.commands == ["a --b    c -d 1s --quiet", "d -d 1s --quiet"]
    assert (block.word("needs"), block.word("server")) == ("cc", None)
