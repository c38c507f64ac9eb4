"""Workloads as people describe them: a `[[workload]]` of a plan, whose lists are crossed. Pure."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.errors import UsageError, unknown_name
from bench.experiment.planning.plan import NamedWorkload, workload_name
from clients.sizes import largest_size, parse_profile, parse_sizes
from clients.workload import Workload, WorkloadError, parse_duration_s

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Key(NamedTuple):
    """How a value becomes fields of a Workload (raising ValueError or WorkloadError), and what is accepted."""

    parse: Callable[[str], Mapping[str, Any]]
    accepted: str


def _connections(text: str) -> dict[str, Any]:
    level, profile = parse_profile(text, lambda part: float(int(part)))
    most = max([end for _, *ends in profile for end in ends], default=level)
    return {"connections": int(most), "connections_profile": profile}


def _message_bytes(text: str) -> dict[str, Any]:
    sizes = "" if isinstance(parse_sizes(text), int) else text
    return {"message_bytes": largest_size(text), "message_sizes": sizes}


def _rate(text: str) -> dict[str, Any]:
    level, profile = parse_profile(text)
    return {"rate_per_s": level, "rate_profile": profile}


def _whole(field: str) -> Key:
    return Key(lambda text: {field: int(text)}, "a whole number, 1 or more")


def _seconds(field: str) -> Key:
    return Key(lambda text: {field: parse_duration_s(text)}, 'a number of seconds, or text such as "500ms"')


KEYS: dict[str, Key] = {
    "connections": Key(_connections, 'a whole number, 1 or more; a ramp "1..64" or steps "1,8,64"'),
    "message_bytes": Key(_message_bytes, 'a whole number, or text: "1KiB", "64..4096" (uniform), "64:9,16KiB:1"'),
    "rate_per_s": Key(_rate, 'a number above 0; a ramp "1000..20000" or steps "1000,5000"'),
    "arrivals": Key(lambda text: {"arrivals": text}, '"constant" or "poisson", with a rate_per_s'),
    "pipeline": _whole("pipeline"),
    "requests_per_connection": _whole("requests_per_connection"),
    "think_s": _seconds("think_s"),
    "warmup_s": _seconds("warmup_s"),
    "duration_s": _seconds("duration_s"),
    "timeout_s": _seconds("timeout_s"),
}
OTHER_KEYS = {"name": "text", "servers": "a list of names of servers"}


def expand(table: Mapping[str, Any], where: str) -> list[NamedWorkload]:
    """Return the workloads of a table: every combination of the values in its lists.

    `servers` in it restricts them to some; `name` replaces their names, or comes before them if there are several.
    Raises UsageError naming `where`, the key and what is accepted.
    """
    for key in table:
        if key not in KEYS and key not in OTHER_KEYS:
            raise UsageError(f"{where}: {unknown_name('key', key, [*OTHER_KEYS, *KEYS])}")
    label, only = table.get("name"), table.get("servers")
    if not isinstance(label, str | None):
        raise _wrong(where, "name", label, OTHER_KEYS["name"])
    if only is not None and not (isinstance(only, list) and all(isinstance(name, str) for name in only)):
        raise _wrong(where, "servers", only, OTHER_KEYS["servers"])
    axes = [_axis(key, value, where) for key, value in table.items() if key in KEYS]
    made = [_workload(combination, where) for combination in itertools.product(*axes)]
    return [
        NamedWorkload(name=_name(label, workload, alone=len(made) == 1), workload=workload, only=only)
        for workload in made
    ]


def _axis(key: str, value: object, where: str) -> list[Mapping[str, Any]]:
    """Return the fields of a Workload that each value of one key stands for."""
    values = value if isinstance(value, list) else [value]
    if not values:
        raise _wrong(where, key, value, f"{KEYS[key].accepted}, or a list of such")
    return [_parsed(key, one, where) for one in values]


def _parsed(key: str, value: object, where: str) -> Mapping[str, Any]:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise _wrong(where, key, value, KEYS[key].accepted)
    try:
        return KEYS[key].parse(str(value))
    except ValueError as error:  # a WorkloadError is one
        raise _wrong(where, key, value, KEYS[key].accepted) from error


def _workload(fields: tuple[Mapping[str, Any], ...], where: str) -> Workload:
    merged = {name: value for part in fields for name, value in part.items()}
    if "rate_per_s" in merged:
        merged.setdefault("arrivals", "constant")
    try:
        return Workload(**merged)
    except WorkloadError as error:
        raise UsageError(f"{where}: {error}") from error


def _name(label: str | None, workload: Workload, *, alone: bool) -> str:
    if label is None:
        return workload_name(workload)
    return label if alone else f"{label}-{workload_name(workload)}"


def _wrong(where: str, key: str, value: object, accepted: str) -> UsageError:
    return UsageError(f"{where}: {key} is {value!r}, and must be {accepted}")
