"""A plan file as a JSON Schema, by which editors complete keys and mark wrong values. Made of what reads a plan. Pure.

The keys of a workload are those of `clients.keys`, and the others those of the structs. So nothing is said twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from bench.experiment.planning.plan_file import PlanFile
from bench.experiment.planning.server_table import STARTS, ServerTable
from bench.experiment.planning.workload_table import BLOCKS_PER_ROUND_MAX, OTHER_KEYS
from clients.keys import KEYS, workload_from
from clients.workload import FieldError

if TYPE_CHECKING:
    from clients.keys import Key

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_WORKLOAD = "workload"


def plan_schema() -> dict[str, Any]:
    """Return the schema of a plan file, as JSON types."""
    fields = {field.name: field.type for field in msgspec.structs.fields(PlanFile) if field.name != _WORKLOAD}
    found, parts = msgspec.json.schema_components(fields.values(), ref_template="#/$defs/{name}")
    parts[ServerTable.__name__]["oneOf"] = [{"required": [key]} for key in STARTS]
    properties = dict(zip(fields, found, strict=True)) | {_WORKLOAD: {"type": "array", "items": _workload_schema()}}
    return {
        "$schema": DIALECT,
        "title": "A plan of echobench",
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        "$defs": parts,
    }


def _workload_schema() -> dict[str, Any]:
    ones = {name: _one(key) for name, key in KEYS.items()}
    keys = {
        name: {
            "description": f"{key.about}: {key.accepted}; or a list of such",
            "anyOf": [*ones[name], {"type": "array", "items": {"anyOf": ones[name]}, "minItems": 1}],
        }
        for name, key in KEYS.items()
    }
    text = {"type": "string"}
    whole = {"type": "integer", "minimum": 1, "maximum": BLOCKS_PER_ROUND_MAX}
    types: dict[str, dict[str, Any]] = {"name": text, "servers": _list_of(text), "blocks_per_round": whole}
    others = {key: {**types[key], "description": accepted} for key, accepted in OTHER_KEYS.items()}
    return {"type": "object", "properties": {**others, **keys}, "additionalProperties": False}


def _one(key: Key) -> list[dict[str, Any]]:
    """Return what one value of a setting may be. What reads a plan is asked, so no rule about numbers is said here."""
    if key.metavar.startswith("["):  # a choice of words
        return [{"enum": key.metavar.strip("[]").split("|")}]
    least = {"minimum": 0} if _is_read(key, "0") else {"exclusiveMinimum": 0}
    return [{"type": "number" if _is_read(key, "1.5") else "integer", **least}, {"type": "string"}]


def _is_read(key: Key, text: str) -> bool:
    try:
        workload_from([key.read(text)])
    except FieldError:
        return False
    return True


def _list_of(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}
