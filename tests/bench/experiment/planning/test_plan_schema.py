"""The schema that editors read says what a plan may hold, and no more."""

from __future__ import annotations

import json
import tomllib

import msgspec
import pytest

from bench.cli.schema import schema
from bench.errors import UsageError
from bench.experiment.planning.plan_file import PRESETS, PlanFile, plan_of
from bench.experiment.planning.plan_schema import plan_schema

TABLES = ("server", "threshold", "workload")


def properties_of(found, table=None):
    """Return the properties of the whole or of a table, whose reference is followed."""
    part = found if table is None else found["properties"][table]["items"]
    return (found["$defs"][part["$ref"].rpartition("/")[2]] if "$ref" in part else part)["properties"]


def test_every_key_of_every_preset_and_struct_is_in_it():
    found = plan_schema()
    assert set(properties_of(found)) == {field.name for field in msgspec.structs.fields(PlanFile)}
    for path in PRESETS.glob("*.toml"):
        plan = tomllib.loads(path.read_text(encoding="utf-8"))
        assert set(plan) <= set(properties_of(found))
        for table in TABLES:
            assert {key for one in plan.get(table, []) for key in one} <= set(properties_of(found, table))


@pytest.mark.parametrize("table", [None, *TABLES])
def test_every_key_of_it_is_read_and_described(table):
    """A plan with a key of the schema is never answered with `unknown key`."""
    for name, said in properties_of(plan_schema(), table).items():
        if table is None and name in TABLES:
            continue
        assert "description" in json.dumps(said)
        plan = {name: object()} if table is None else {table: [{name: object()}]}
        with pytest.raises(UsageError) as caught:
            plan_of(plan, "here")
        assert "unknown key" not in str(caught.value)


NUMBER, WHOLE = {"type": "number"}, {"type": "integer"}
ABOVE_0, FROM_0 = {"exclusiveMinimum": 0}, {"minimum": 0}


@pytest.mark.parametrize(
    ("key", "one"),
    [
        ("connections", [WHOLE | ABOVE_0, {"type": "string"}]),
        ("rate_per_s", [NUMBER | ABOVE_0, {"type": "string"}]),
        ("think_s", [NUMBER | FROM_0, {"type": "string"}]),
        ("duration_s", [NUMBER | ABOVE_0, {"type": "string"}]),
        ("arrivals", [{"enum": ["constant", "poisson"]}]),
    ],
)
def test_a_setting_of_a_workload_takes_what_is_read(key, one):
    *alone, many = properties_of(plan_schema(), "workload")[key]["anyOf"]
    assert alone == one
    assert many == {"type": "array", "items": {"anyOf": one}, "minItems": 1}


def test_metrics_are_listed_and_a_server_begins_in_one_way():
    found = plan_schema()
    threshold = properties_of(found, "threshold")
    assert {"p99", "cpu", "errors", "replies_per_s"} < set(threshold["metric"]["enum"])
    assert threshold["value"]["minimum"] == 0
    assert found["$defs"]["ServerTable"]["oneOf"] == [{"required": [key]} for key in ("command", "file", "target")]


def test_the_command_prints_it(capsys):
    schema.main([], standalone_mode=False)
    assert json.loads(capsys.readouterr().out) == plan_schema()
