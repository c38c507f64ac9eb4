"""What a server is: the same as the servers' own catalog says, for each that came with us; nothing of any other."""

from __future__ import annotations

from bench.analysis.runs.kinds import kinds
from servers._catalog import entries


def started(name, argument):
    return {"name": name, "command": ["python", "-P", "-m", "servers", argument, "--port", "{port}"]}


def test_each_server_is_what_the_catalog_says_it_is():
    found = kinds({"servers": [started(f"my {name}", name) for name in entries()]})
    for name, entry in entries().items():
        kind = found[f"my {name}"]
        assert (kind.summary, kind.teaching, kind.library) == (entry.summary, entry.teaching, entry.library)
        assert kind.code == entry.path.read_text()
    assert {"my generators", "my sequential"} <= {name for name, kind in found.items() if kind.teaching}
    assert not found["my uvloop-protocol"].teaching


def test_nothing_is_known_of_a_program_that_shares_our_name():
    (kind,) = kinds({"servers": [{"name": "generators", "command": ["./mine"], "connections_max": 5}]}).values()
    assert (kind.summary, kind.teaching, kind.code, kind.connections_max) == ("", False, "", 5)


def test_a_run_of_no_server_table_has_no_kinds():
    assert kinds({}) == {}
