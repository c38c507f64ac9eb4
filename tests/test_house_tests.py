"""What tests are held to: short names that say what is tested, a docstring in each file, and a budget of attempts."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from helpers import timing
from helpers.checkout import CHECKOUT

if TYPE_CHECKING:
    from pathlib import Path

FILES = sorted((CHECKOUT / "tests").rglob("*.py"))
WORDS_MAX = 12


def too_long(source: str) -> list[str]:
    """Return the names of tests that have more than a dozen words after `test`."""
    return [
        node.name
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and len(node.name.removeprefix("test_").split("_")) > WORDS_MAX
    ]


def test_names_of_tests_have_a_dozen_words_at_most():
    assert len(FILES) > 100
    found = [f"{path.name}: {name}" for path in FILES for name in too_long(path.read_text())]
    assert found == [], "name what is tested, and leave the rest to a docstring"


def test_the_checker_counts_words():
    dozen = "test_a_b_c_d_e_f_g_h_i_j_k_l"
    given = (
        f"def {dozen}(): 0",
        f"async def {dozen}_m(): 0",
        f"class A:\n  def {dozen}_n(self): 0",
        f"def {dozen[5:]}_o(): 0",
    )
    assert too_long("\n".join(given)) == [f"{dozen}_m", f"{dozen}_n"]


def test_every_file_of_tests_has_a_docstring():
    assert [path.name for path in FILES if ast.get_docstring(ast.parse(path.read_text())) is None] == []


# ---- the marker `timing`

PASSES_AT_LAST = """
import pytest

attempts = []

@pytest.mark.timing
@pytest.mark.parametrize("test", range({tests}))
def test_at_the_last_attempt(test):
    attempts.append(test)
    assert attempts.count(test) == {attempts}
"""


def session(folder: Path, *options: str, tests: int, attempts: int) -> subprocess.CompletedProcess[str]:
    """Run a session whose tests pass at a given attempt, in a process of its own, with no plugin that it can lack."""
    (folder / "test_timed.py").write_text(PASSES_AT_LAST.format(tests=tests, attempts=attempts))
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "helpers.timing", "-p", "no:cacheprovider", *options, "test_timed.py"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT / "tests"), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_timing_prints_the_attempts_of_each_test(tmp_path):
    done = session(tmp_path, tests=2, attempts=3)
    assert done.returncode == 0, done.stdout
    assert "3  test_timed.py::test_at_the_last_attempt[1]" in done.stdout
    assert f"4 extra attempts of 2 tests; the budget is {timing.EXTRA_MAX}" in done.stdout


def test_timing_fails_a_test_at_its_last_attempt(tmp_path):
    done = session(tmp_path, tests=1, attempts=timing.ATTEMPTS + 1)
    assert done.returncode == 1
    assert "1 failed" in done.stdout
    assert f"{timing.ATTEMPTS}  test_timed.py" in done.stdout


@pytest.mark.parametrize("options", [(), ("-p", "xdist", "-n", "2")], ids=["alone", "workers"])
@pytest.mark.parametrize(("over", "status"), [(0, 0), (1, 1)])
def test_timing_fails_a_session_above_its_budget(tmp_path, over, status, options):
    """Every test passes at its second attempt."""
    done = session(tmp_path, *options, tests=timing.EXTRA_MAX + over, attempts=2)
    assert f"{timing.EXTRA_MAX + over} passed" in done.stdout
    assert done.returncode == status
    assert ("the session fails" in done.stdout.lower()) is bool(status)
