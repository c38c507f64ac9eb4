"""Workloads as people describe them: a `[[workload]]` of a plan, or options of `echobench run`. Pure.

Lists in it are crossed. Which keys there are, and what their texts mean, stands in `clients.keys`.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from bench.errors import UsageError, unknown_name
from bench.experiment.planning.plan import NamedWorkload
from bench.experiment.planning.workload_name import workload_name
from clients.keys import KEYS, key_of, workload_from
from clients.workload import FieldError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from clients.workload import Workload

BLOCKS_PER_ROUND_MAX = 100
OTHER_KEYS = {
    "name": "text",
    "servers": "a list of names of servers",
    "blocks_per_round": f"a whole number from 1 to {BLOCKS_PER_ROUND_MAX}",
}


@dataclass(frozen=True, slots=True)
class Choices:
    """The values of one key, each as fields of a Workload; `where` is what a person knows the key by."""

    where: str
    values: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class WorkloadTable:
    """A table whose values are read. `raw` is what a person wrote, by which two tables are equal, and which is stored.

    `servers` restricts the workloads to some; `name` replaces their names, or comes before them if there are several.
    `blocks_per_round` says how often a round measures each.
    """

    raw: Mapping[str, Any]
    where: str = field(compare=False, default="[[workload]]")
    choices: Mapping[str, Choices] = field(compare=False, default_factory=dict)

    @classmethod
    def read(cls, raw: Mapping[str, Any], where: str) -> WorkloadTable:
        """Read the values of a plan's table. Raises UsageError naming `where`, the key and what is accepted."""
        for key in raw:
            if key not in KEYS and key not in OTHER_KEYS:
                raise UsageError(f"{where}: {unknown_name('key', key, [*OTHER_KEYS, *KEYS])}")
        label, only = raw.get("name"), raw.get("servers")
        if not isinstance(label, str | None):
            raise UsageError(str(FieldError(f"{where}: name", label, OTHER_KEYS["name"])))
        if only is not None and not (isinstance(only, list) and all(isinstance(name, str) for name in only)):
            raise UsageError(str(FieldError(f"{where}: servers", only, OTHER_KEYS["servers"])))
        often = raw.get("blocks_per_round", 1)
        if type(often) is not int or not 1 <= often <= BLOCKS_PER_ROUND_MAX:
            raise UsageError(str(FieldError(f"{where}: blocks_per_round", often, OTHER_KEYS["blocks_per_round"])))
        return cls(raw, where, {key: _choices(key, raw[key], f"{where}: {key}") for key in raw if key in KEYS})

    def overridden(self, options: WorkloadTable) -> WorkloadTable:
        """Return it with the keys that the command line gave in the place of its own."""
        return WorkloadTable({**self.raw, **options.raw}, self.where, {**self.choices, **options.choices})

    def workloads(self) -> list[NamedWorkload]:
        """Return a workload for every combination of the values.

        Raises UsageError naming the key or option, and what is accepted.
        """
        made = [
            self._workload(parts) for parts in itertools.product(*(choice.values for choice in self.choices.values()))
        ]
        label, only = self.raw.get("name"), self.raw.get("servers")
        names = [workload_name(workload) for workload in made]
        if label is not None:
            names = [label] if len(made) == 1 else [f"{label}-{name}" for name in names]
        return [
            NamedWorkload(name=name, workload=workload, only=only, blocks_per_round=self.raw.get("blocks_per_round", 1))
            for name, workload in zip(names, made, strict=True)
        ]

    def _workload(self, parts: tuple[Mapping[str, Any], ...]) -> Workload:
        """Return the workload of one value of each key. Raise UsageError naming the one that cannot be."""
        try:
            return workload_from(parts)
        except FieldError as error:
            key = key_of(error.field).name
            name = self.choices[key].where if key in self.choices else f"{self.where}: {key}"
            raise UsageError(str(error.named(name))) from error


def read_options(raw: Mapping[str, Any]) -> WorkloadTable:
    """Read what a command line gives in place of a table's keys. Raise UsageError naming the option."""
    choices = {key: _choices(key, value, KEYS[key].option) for key, value in raw.items()}
    return WorkloadTable(raw, "the command line", choices)


def overridden(tables: Sequence[WorkloadTable], options: WorkloadTable) -> list[WorkloadTable]:
    """Return the tables as the command line changes them, each once.

    `--connections 64` makes one workload of tables that differed in their connections only. Their windows may still
    differ, and the longest suits every number of connections. Raises UsageError for values that do not go together.
    """
    kept: dict[object, tuple[float, WorkloadTable]] = {}
    for table in tables or [WorkloadTable({})]:
        changed = table.overridden(options)
        made = changed.workloads()
        alike = (tuple(named.name for named in made), tuple(changed.raw.get("servers") or ()))
        longest = max(named.workload.duration_s for named in made)
        if alike not in kept or longest > kept[alike][0]:
            kept[alike] = (longest, changed)
    return [table for _, table in kept.values()]


def workloads_of(tables: Sequence[WorkloadTable], names: Mapping[str, Collection[str]]) -> tuple[NamedWorkload, ...]:
    """Return the workloads of the tables of a plan, each once. Without a table there is one workload.

    A table names servers as the plan does, and `names` has what each of them is called in the run. Raises UsageError
    for values that do not go together, for an unknown server, and if a name stands for two workloads.
    """
    found: dict[str, NamedWorkload] = {}
    for named in itertools.chain.from_iterable(table.workloads() for table in tables or [WorkloadTable({})]):
        only = None if named.only is None else _called(named.only, names)
        first = found.setdefault(named.name, replace(named, only=only))
        if first.workload != named.workload:
            raise UsageError(
                f"two workloads are named {named.name!r}: give each a [[workload]] table of its own, with its name"
            )
        both = None if first.only is None or only is None else frozenset({*first.only, *only})
        often = max(first.blocks_per_round, named.blocks_per_round)
        found[named.name] = replace(first, only=both, blocks_per_round=often)
    return tuple(found.values())


def _called(only: Collection[str], names: Mapping[str, Collection[str]]) -> frozenset[str]:
    """Return what servers that a table names are called in the run. Raise UsageError for an unknown one."""
    for name in only:
        if name not in names:
            raise unknown_name("server", name, names)
    return frozenset(called for name in only for called in names[name])


def _choices(key: str, value: object, where: str) -> Choices:
    values = value if isinstance(value, list) else [value]
    if not values:
        raise UsageError(str(FieldError(where, value, f"{KEYS[key].accepted}, or a list of such")))
    return Choices(where, tuple(_fields(key, one, where) for one in values))


def _fields(key: str, value: object, where: str) -> Mapping[str, Any]:
    """Return the fields of a Workload that one value of a key stands for."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise UsageError(str(FieldError(where, value, KEYS[key].accepted)))
    try:
        return KEYS[key].read(str(value))
    except FieldError as error:
        raise UsageError(str(FieldError(where, value, error.accepted))) from error
