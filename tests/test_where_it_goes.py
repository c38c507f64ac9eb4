"""What CONTRIBUTING promises of a new conformance case and a new setting, and that its table leads to what is there.

The pieces are read from CONTRIBUTING, added to a copy of the source, and used by the commands that a user types. Tests
of the other recipes stand beside what they add to; the table names them.
"""

from __future__ import annotations

import json
import re
import textwrap

import pytest
from helpers.checkout import CHECKOUT
from helpers.source_copy import SourceCopy

CONTRIBUTING = (CHECKOUT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def section(heading):
    """Return the text below a heading of CONTRIBUTING, up to the next."""
    return re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", CONTRIBUTING, re.MULTILINE | re.DOTALL)[1]


def code_of(heading):
    """Return the blocks of Python in a section, each as it would be typed."""
    blocks = re.findall(r"^ *```python\n(.*?)^ *```", section(heading), re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(block) for block in blocks]


def rows_of_the_table():
    return re.findall(r"^\| \[.*?\]\(#([\w-]+)\).*? \| (.*) \| (.*) \|$", section("Where does it go?"), re.MULTILINE)


@pytest.fixture
def copy(tmp_path):
    return SourceCopy(tmp_path / "checkout", packages=("bench", "clients", "servers", "tests/known_bad"))


def test_the_table_names_files_that_there_are():
    named = {name for row in rows_of_the_table() for cell in row[1:] for name in re.findall(r"`([\w./-]+)`", cell)}
    files = {name for name in named if "/" in name and "NAME" not in name}
    assert len(files) > len(rows_of_the_table())
    assert {name for name in files if not (CHECKOUT / name).exists()} == set()


def test_every_recipe_has_a_row_and_a_test():
    headings = re.findall(r"^## (An? .*)", CONTRIBUTING, re.MULTILINE)
    anchors = {heading.lower().replace(" ", "-") for heading in headings}
    assert {anchor for anchor, _, _ in rows_of_the_table()} == anchors
    assert all(re.fullmatch(r"`tests/[\w/]+\.py`", test) for _, _, test in rows_of_the_table())


def check(copy, server, status):
    """Return what `bench check` says of the two cases that are asked for."""
    printed = copy.run("-m", "bench", "check", server, "--case", "echo", "--case", "zeros", "--json", status=status)
    (found,) = json.loads(printed)["servers"]
    return {result["case"]: (result["outcome"], result["detail"]) for result in found["results"]}


def test_a_conformance_case_is_a_function_that_a_bad_server_fails(copy):
    function, server = code_of("A conformance case")
    copy.add({"bench/experiment/conformance/echoes.py": [('@case("half-close"', f"{function}\n\n")]})
    (copy.folder / "tests" / "known_bad" / "eats_zeros.py").write_text(server)
    assert "zeros           standard  Echo a message of nothing but zero bytes." in copy.run(
        "-m", "bench", "check", "--list"
    )
    assert check(copy, "threads", status=0)["zeros"] == ("passed", "")
    bad = check(copy, "tests/known_bad/eats_zeros.py", status=4)
    assert bad["echo"] == ("passed", "")
    assert bad["zeros"][0] == "failed"
    assert "after 0 of 1,000 bytes" in bad["zeros"][1]


@pytest.fixture(scope="module")
def with_a_setting(tmp_path_factory):
    """Return a copy with the setting of CONTRIBUTING in the two files that it names; do not change its packages."""
    copy = SourceCopy(tmp_path_factory.mktemp("copy") / "checkout", packages=("bench", "clients", "servers"))
    field, rule, row = code_of("A setting of a workload")
    workload = [("    warmup_s: float", f"    {field}"), ('    "warmup_s": ', f"    {rule}")]
    copy.add({"clients/workload.py": workload, "clients/keys.py": [('    _time("warmup_s"', f"    {row.rstrip()},\n")]})
    return copy


@pytest.mark.parametrize(
    "command", [("bench", "run"), ("bench", "regress"), ("bench", "search"), ("clients",)], ids=" ".join
)
def test_a_setting_is_an_option_of_every_command_that_makes_load(with_a_setting, command):
    said = " ".join(with_a_setting.run("-m", *command, "--help").split())
    assert re.search(r"--hold-open TIME.*? time that a connection stays open after its last reply", said, re.IGNORECASE)


def test_a_setting_is_a_key_of_a_plan(with_a_setting):
    plan = 'servers = ["threads"]\n[[workload]]\nhold_open_s = "{}"\n'
    (with_a_setting.folder / "mine.toml").write_text(plan.format("20ms"))
    dry_run = ("-m", "bench", "run", "mine.toml", "--dry-run")
    assert "threads" in with_a_setting.run(*dry_run)
    with_a_setting.run(*dry_run, "--hold-open", "1s")
    (with_a_setting.folder / "mine.toml").write_text(plan.format("soon"))
    with_a_setting.run(*dry_run, status=2)


def test_a_setting_reaches_the_load_generator_and_is_absent_from_earlier_runs(with_a_setting):
    found = with_a_setting.answer("""
        import json
        from clients.keys import texts_of, workload_of
        from clients.workload import Workload, parse_workload

        workload = workload_of({"hold_open_s": "20ms"})
        sent = json.dumps(workload.to_json())
        earlier = {name: value for name, value in Workload().to_json().items() if name != "hold_open_s"}
        print(json.dumps({
            "arrived": parse_workload(sent).hold_open_s,
            "text": texts_of(workload)["hold_open_s"],
            "earlier": Workload.from_json(earlier).hold_open_s,
        }))
    """)
    assert found == {"arrived": 0.02, "text": "0.02s", "earlier": 0.0}
