"""The marker `timing`: several attempts for what a busy machine can spoil, a budget for all of them, and no tracing.

Such a test claims that the instrument can measure something to within a bound. A busy machine may spoil an attempt, but
nothing can make one good by chance. A race, however, hides behind attempts: a test that fails half the time passes
within five of them 97 times of 100. So attempts are counted and shown, and too many of them fail the session.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from helpers.tracing import untraced

if TYPE_CHECKING:
    from collections.abc import Iterator

ATTEMPTS = 5

EXTRA_MAX = 8
"""Attempts that a session may need beyond the first of each test.

Whole sessions needed 0, 0 and 2 on two cores with a load average of 7, and 6 when one test failed at all its attempts.
Two tests that fail most of the time need about eight, and so does a machine that spoils a quarter of all attempts.
"""

USED = pytest.StashKey[dict[str, int]]()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"timing: passes if one of {ATTEMPTS} attempts does; attempts have a budget")
    config.stash[USED] = {}


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Call a test marked `timing` until it passes; the last attempt's failure is its own."""
    if pyfuncitem.get_closest_marker("timing") is None:
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    for attempt in range(1, ATTEMPTS + 1):
        pyfuncitem.config.stash[USED][pyfuncitem.nodeid] = attempt
        try:
            with untraced():
                pyfuncitem.obj(**arguments)
        except AssertionError:
            if attempt == ATTEMPTS:
                raise
        else:
            break
    return True


def extra(config: pytest.Config) -> int:
    """Count the attempts beyond each test's first."""
    return sum(attempts - 1 for attempts in config.stash[USED].values())


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Add the attempts of a worker of pytest-xdist to those of the session."""
    node.config.stash[USED].update(getattr(node, "workeroutput", {}).get("attempts", {}))


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish(session: pytest.Session) -> Iterator[None]:
    """Fail a session of passed tests whose extra attempts are above the budget. A worker only says what it used."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["attempts"] = session.config.stash[USED]
    elif session.exitstatus == pytest.ExitCode.OK and extra(session.config) > EXTRA_MAX:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    return (yield)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    used = config.stash[USED]
    if not used:
        return
    spent = extra(config)
    terminalreporter.section("attempts of tests marked `timing`")
    for nodeid, attempts in used.items():
        terminalreporter.line(f"{attempts}  {nodeid}")
    terminalreporter.line(
        f"{spent} extra attempts of {len(used)} tests; the budget is {EXTRA_MAX}",
        red=spent > EXTRA_MAX,
    )
    if spent > EXTRA_MAX:
        terminalreporter.line("The session fails. Look for a race, or for a quieter machine.")
