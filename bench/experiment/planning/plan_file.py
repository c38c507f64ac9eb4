"""A plan as people ask for it: a file and the options of a command line become one value. Starts nothing.

Whether the values of a workload go together is known here. What its names stand for is found by `selection.py`.
"""

from __future__ import annotations

import re
import secrets
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta

from bench.errors import UsageError, unknown_name
from bench.experiment.model import Design, LoadGenerator  # noqa: TC001 - msgspec looks at it
from bench.experiment.planning.plan import ROUNDS_WITHOUT_END, SEED_BITS
from bench.experiment.planning.server_table import NAME_CHARS_MAX, Name, ServerTable, split_servers
from bench.experiment.planning.threshold_table import ThresholdTable, read_rule
from bench.experiment.planning.values import convert
from bench.experiment.planning.workload_table import WorkloadTable, crossed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PRESETS = Path(__file__).parent / "presets"

_Percent = Annotated[str, Meta(pattern=r"^\s*[0-9]*\.?[0-9]+\s*%$")]
TRIALS_MAX = ROUNDS_WITHOUT_END - 1
MINUTES_MAX = 525_600
"""A year."""
_TRIALS = Meta(description=f"a whole number from 1 to {TRIALS_MAX}")
_MINUTES = Meta(description=f"a number of minutes above 0, and {MINUTES_MAX} at most")
_Positive = Annotated[int, Meta(ge=1, description="a whole number, 1 or more")]
_Seed = Annotated[Annotated[int, Meta(ge=0)] | None, Meta(description="a whole number, 0 or more")]


def _names(example: str) -> Meta:
    return Meta(description=f"a list of names, such as {example}")


class PlanFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A plan file whose values are read; `trials` are those of each cell, `workers` processes of the load `generator`.

    `optional_servers` are measured where they can run, and are a gap in the results elsewhere. `until` is a percentage
    as a text, `2%`. `agents` is the cluster that makes the load, and `host` the address that servers of ours listen at.
    """

    name: Name = "plan"
    description: Annotated[str, Meta(description="text")] = ""
    servers: Annotated[list[str], _names('["threads", "asyncio-streams"]')] = []
    optional_servers: Annotated[list[str], _names('["uvloop-protocol"]')] = []
    pythons: Annotated[list[str], Meta(description='a list of interpreters, such as ["python3.13", "pypy3"]')] = []
    trials: Annotated[Annotated[int, Meta(ge=1, le=TRIALS_MAX)] | None, _TRIALS] = None
    minutes: Annotated[Annotated[float, Meta(gt=0, le=MINUTES_MAX)] | None, _MINUTES] = None
    until: Annotated[_Percent | None, Meta(description='a percentage, such as "2%"')] = None
    design: Annotated[Design | None, Meta(description='"blocks" or "solo"')] = None
    baseline: Annotated[str | None, Meta(description="the name of a server of the plan")] = None
    seed: _Seed = None
    workers: _Positive = 1
    generator: Annotated[LoadGenerator, Meta(description='"python" or "reference"')] = "python"
    agents: Annotated[str | None, Meta(description='"local:N", or the "tcp://HOST:PORT" of a Dask scheduler')] = None
    insecure_cluster: Annotated[bool, Meta(description="true or false")] = False
    host: Annotated[str | None, Meta(description="an address of this machine")] = None
    server: list[ServerTable] = []
    workload: list[WorkloadTable] = []
    threshold: list[ThresholdTable] = []

    @property
    def source(self) -> dict[str, Any]:
        """The plan as plain JSON types, which `plan_of` reads."""
        fields: dict[str, Any] = msgspec.to_builtins(msgspec.structs.replace(self, workload=[]))
        return fields | ({"workload": [dict(table.raw) for table in self.workload]} if self.workload else {})


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


def asked_for(preset_or_path: str, **options: Any) -> PlanFile:
    """Return the plan of a preset or a file as the command line changes it; `plan_of` has the options.

    Paths in a file are seen from its own folder. Raises UsageError.
    """
    path = find_plan(preset_or_path)
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UsageError(f"cannot read the plan {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not TOML: it is not in UTF-8: save it in that encoding") from error
    except RecursionError as error:
        raise UsageError(f"{path} has too many brackets within each other") from error
    except ValueError as error:
        raise UsageError(f"{path} is not TOML: {error}") from error
    return plan_of({"name": _name_of(path), **raw}, str(path), folder=path.resolve().parent, **options)


def _name_of(path: Path) -> str:
    """Return the name of a plan that gives itself none: its file's, with a hyphen for what names do not have."""
    return re.sub(r"[^A-Za-z0-9._@+-]+", "-", path.stem).lstrip("._@+-")[:NAME_CHARS_MAX] or "plan"


def plan_of(
    raw: Mapping[str, Any],
    where: str,
    *,
    folder: Path | None = None,
    servers: Sequence[str] = (),
    target: str | None = None,
    pid: int | None = None,
    workload: Mapping[str, Any] | None = None,
    fail_if: Sequence[str] = (),
    **fields: Any,
) -> PlanFile:
    """Return the plan that plain values describe, as the options of a command line change it. It has a seed.

    Paths are seen from `folder`, unless they are absolute. `servers` and `target` take the place of all servers of the
    plan; a name may be that of a `[[server]]` in it. The keys in `workload` take the place of those of every workload,
    and the rules in `fail_if` that of its thresholds. A field that is None or empty stays. Raises UsageError naming
    `where` or the option, the key and what is accepted, also for values of a workload that do not go together.
    """
    plan = convert(raw, PlanFile, where)
    names, optional, tables = plan.servers, plan.optional_servers, plan.server
    if folder is not None:
        tables = [table.placed(folder) for table in tables]
    if servers or target is not None:
        optional = []
        names, tables = split_servers(servers, tables)
    if target is not None:
        tables.append(ServerTable(name="target", target=target, pid=pid).checked("--target"))
    elif pid is not None:
        raise UsageError("--pid belongs to a server that runs already: give --target too")
    workloads = crossed(plan.workload, workload or {})
    fields["threshold"] = [read_rule(text) for text in fail_if]
    given = {name: value for name, value in fields.items() if value not in (None, (), [])}
    seed = secrets.randbits(SEED_BITS) if plan.seed is None else plan.seed
    changes = {"servers": names, "optional_servers": optional, "server": tables, "workload": workloads, "seed": seed}
    return msgspec.structs.replace(plan, **{**changes, **given})
