"""A plan as people write it, in TOML: read, checked, and changed by the command line. Starts nothing.

A wrong key is answered with the nearest right one, a wrong value with file, key and what is accepted.
"""

from __future__ import annotations

import re
import secrets
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from bench.errors import UsageError, unknown_name
from bench.experiment.model import LoadGenerator  # noqa: TC001 - msgspec looks at it
from bench.experiment.planning import server_table
from bench.experiment.planning.plan import SEED_BITS
from bench.experiment.planning.server_table import Name, Positive, ServerTable, split_servers
from bench.experiment.planning.workload_table import expand

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

T = TypeVar("T", bound=msgspec.Struct)
PRESETS = Path(__file__).parent / "presets"

ACCEPTED = {
    "name": server_table.ACCEPTED["name"],
    "description": "text",
    "servers": 'a list of names, such as ["threads", "asyncio-streams"]',
    "optional_servers": 'a list of names, such as ["uvloop-protocol"]',
    "pythons": 'a list of interpreters, such as ["python3.13", "pypy3"]',
    "trials": "a whole number, 1 or more",
    "seed": "a whole number, 0 or more",
    "workers": "a whole number, 1 or more",
    "generator": '"python" or "reference"',
    "server": "tables: write [[server]]",
    "workload": "tables: write [[workload]]",
}


class PlanFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A plan file, checked; `trials` are those of each cell, `workers` processes of the load `generator`.

    `optional_servers` are measured where they can run, and are a gap in the results elsewhere.
    """

    name: Name = "plan"
    description: str = ""
    servers: list[str] = []
    optional_servers: list[str] = []
    pythons: list[str] = []
    trials: Positive = 3
    seed: Annotated[int, Meta(ge=0)] | None = None
    workers: Positive = 1
    generator: LoadGenerator = "python"
    server: list[ServerTable] = []
    workload: list[dict[str, Any]] = []

    def to_json(self) -> dict[str, Any]:
        """Return the plan as plain JSON types, which `check_plan` reads."""
        fields: dict[str, Any] = msgspec.to_builtins(self)
        return fields


def preset_names() -> list[str]:
    """Return the names of the plans that come with us."""
    return sorted(path.stem for path in PRESETS.glob("*.toml"))


def find_plan(text: str) -> Path:
    """Return the file of a preset by its name, or of a plan by its path. Raise UsageError for an unknown preset."""
    if text.endswith(".toml") or "/" in text:
        return Path(text)
    if text not in preset_names():
        raise unknown_name("preset", text, preset_names())
    return PRESETS / f"{text}.toml"


def read_plan(path: Path) -> PlanFile:
    """Read and check a plan file; paths in it are seen from its own folder. Raise UsageError."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read the plan {path}: {error.strerror}") from error
    except ValueError as error:  # no TOML, or no UTF-8
        raise UsageError(f"{path} is not TOML: {error}") from error
    plan = check_plan({"name": path.stem, **raw}, str(path))
    return msgspec.structs.replace(plan, server=[table.placed(path.resolve().parent) for table in plan.server])


def check_plan(raw: Mapping[str, Any], where: str) -> PlanFile:
    """Return the plan that plain values describe. Raise UsageError naming `where`, the key and what is accepted."""
    _check_keys(raw, PlanFile, where)
    servers, workloads = _tables(raw, "server", where), _tables(raw, "workload", where)
    for place, table in servers.items():
        _check_keys(table, ServerTable, place)
        _converted(table, ServerTable, server_table.ACCEPTED, place).checked(place)
    for place, table in workloads.items():
        expand(table, place)
    return _converted(raw, PlanFile, ACCEPTED, where)


def _tables(raw: Mapping[str, Any], key: str, where: str) -> dict[str, Mapping[str, Any]]:
    """Return the tables of an array, each with the words for where it stands."""
    value = raw.get(key, [])
    if not isinstance(value, list) or not all(isinstance(table, dict) for table in value):
        raise UsageError(f"{where}: {key} must be {ACCEPTED[key]}")
    return {f"{where}: [[{key}]] {number}": table for number, table in enumerate(value, start=1)}


def _check_keys(table: Mapping[str, Any], struct: type[msgspec.Struct], where: str) -> None:
    for key in table:
        if key not in struct.__struct_fields__:
            raise UsageError(f"{where}: {unknown_name('key', key, struct.__struct_fields__)}")


def _converted(raw: Mapping[str, Any], struct: type[T], accepted: Mapping[str, str], where: str) -> T:
    try:
        return msgspec.convert(raw, struct)
    except msgspec.ValidationError as error:
        found = re.search(r" - at `\$\.([a-z_]+)", str(error))
        if found is None:  # the table itself: something is missing
            raise UsageError(f"{where}: {error}") from error
        key = found[1]
        raise UsageError(f"{where}: {key} is {raw[key]!r}, and must be {accepted[key]}") from error


def overridden(
    plan: PlanFile,
    *,
    servers: Sequence[str] = (),
    target: str | None = None,
    pid: int | None = None,
    workload: Mapping[str, Any] | None = None,
    **fields: Any,
) -> PlanFile:
    """Return the plan as the command line changes it, with a seed in any case.

    `servers` and `target` take the place of all servers of the plan; a name may be that of a `[[server]]` in it. The
    keys in `workload` take the place of those of every workload. A field that is None stays. Raises UsageError.
    """
    changes = {name: value for name, value in fields.items() if value is not None}
    if servers or target is not None:
        names, tables = split_servers(servers, plan.server)
        if target is not None:
            tables.append(ServerTable(name="target", target=target, pid=pid).checked("--target"))
        changes |= {"servers": names, "optional_servers": [], "server": tables}
    elif pid is not None:
        raise UsageError("--pid belongs to a server that runs already: give --target too")
    if workload:
        expand(workload, "the command line")
        changes["workload"] = [{**table, **workload} for table in plan.workload or [{}]]
    changes.setdefault("seed", secrets.randbits(SEED_BITS) if plan.seed is None else plan.seed)
    return msgspec.structs.replace(plan, **changes)
