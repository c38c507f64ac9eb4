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
    from collections.abc import Mapping, Sequence

    from clients.workload import Workload

BLOCKS_PER_ROUND_MAX = 100
NAME_CHARS_MAX = 100
OTHER_KEYS = {
    "name": f"text of 1 to {NAME_CHARS_MAX} characters that can be printed",
    "servers": "a list of names of servers, one or more",
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
    `blocks_per_round` says how often a round measures each. The `workloads` are there once it was `crossed`.
    """

    raw: Mapping[str, Any]
    where: str = field(compare=False, default="[[workload]]")
    choices: Mapping[str, Choices] = field(compare=False, default_factory=dict)
    workloads: tuple[NamedWorkload, ...] = field(compare=False, default=())

    @classmethod
    def read(cls, raw: Mapping[str, Any], where: str) -> WorkloadTable:
        """Read the values of a plan's table. Raises UsageError naming `where`, the key and what is accepted."""
        for key in raw:
            if key not in KEYS and key not in OTHER_KEYS:
                raise UsageError(f"{where}: {unknown_name('key', key, [*OTHER_KEYS, *KEYS])}")
        label, only = raw.get("name"), raw.get("servers")
        if label is not None and not _is_name(label):
            raise UsageError(str(FieldError(f"{where}: name", label, OTHER_KEYS["name"])))
        if only is not None and not _are_texts(only):
            raise UsageError(str(FieldError(f"{where}: servers", only, OTHER_KEYS["servers"])))
        often = raw.get("blocks_per_round", 1)
        if type(often) is not int or not 1 <= often <= BLOCKS_PER_ROUND_MAX:
            raise UsageError(str(FieldError(f"{where}: blocks_per_round", often, OTHER_KEYS["blocks_per_round"])))
        return cls(raw, where, {key: _choices(key, raw[key], f"{where}: {key}") for key in raw if key in KEYS})

    def overridden(self, options: WorkloadTable) -> WorkloadTable:
        """Return it with the keys that the command line gave in the place of its own."""
        return WorkloadTable({**self.raw, **options.raw}, self.where, {**self.choices, **options.choices})

    @property
    def longest_s(self) -> float:
        """The window of its longest workload."""
        return max(named.workload.duration_s for named in self.workloads)

    def crossed(self) -> WorkloadTable:
        """Return it with a workload for every combination of the values.

        Raises UsageError naming the key or option, and what is accepted.
        """
        made = [
            self._workload(parts) for parts in itertools.product(*(choice.values for choice in self.choices.values()))
        ]
        label, only = self.raw.get("name"), self.raw.get("servers")
        names = [workload_name(workload) for workload in made]
        if label is not None:
            names = [label] if len(made) == 1 else [f"{label}-{name}" for name in names]
        often = self.raw.get("blocks_per_round", 1)
        workloads = (
            NamedWorkload(name=name, workload=workload, only=only, blocks_per_round=often)
            for name, workload in zip(names, made, strict=True)
        )
        return replace(self, workloads=tuple(workloads))

    def _workload(self, parts: tuple[Mapping[str, Any], ...]) -> Workload:
        """Return the workload of one value of each key. Raise UsageError naming the one that cannot be."""
        try:
            return workload_from(parts)
        except FieldError as error:
            key = key_of(error.field).name
            name = self.choices[key].where if key in self.choices else f"{self.where}: {key}"
            raise UsageError(str(error.named(name))) from error


def _is_name(label: object) -> bool:
    return isinstance(label, str) and label.isprintable() and bool(label.strip()) and len(label) <= NAME_CHARS_MAX


def _are_texts(only: object) -> bool:
    return isinstance(only, list) and bool(only) and all(isinstance(name, str) for name in only)


def crossed(tables: Sequence[WorkloadTable], options: Mapping[str, Any]) -> list[WorkloadTable]:
    """Return the tables of a plan as the options of a command line change them, with their workloads.

    Without a table there is one workload. `--connections 64` makes one workload of tables that differed in their
    connections only. Their windows may still differ, and the longest suits every number of connections. Raises
    UsageError for values that do not go together.
    """
    choices = {key: _choices(key, value, KEYS[key].option) for key, value in options.items()}
    given = WorkloadTable(options, "the command line", choices)
    whole = [table.overridden(given).crossed() for table in tables or [WorkloadTable({})]]
    if not options:
        return whole
    kept: dict[object, WorkloadTable] = {}
    for table in whole:
        alike = (tuple(named.name for named in table.workloads), tuple(table.raw.get("servers") or ()))
        if alike not in kept or table.longest_s > kept[alike].longest_s:
            kept[alike] = table
    return list(kept.values())


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
