"""A table of plain values becomes a checked struct. What is accepted stands at each field, as its description. Pure.

A field may be a list of tables, whose type then has a class method `read(raw, where)`. A wrong key is answered with the
nearest right one, a wrong value with its place, its key and what is accepted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, get_args

import msgspec

from bench.errors import UsageError, unknown_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T", bound=msgspec.Struct)


def convert(raw: Mapping[str, Any], struct: type[T], where: str) -> T:
    """Return the struct of a table that stands at `where`. Raises UsageError."""
    fields = {field.name: field for field in msgspec.structs.fields(struct)}
    for key in raw:
        if key not in fields:
            raise UsageError(f"{where}: {unknown_name('key', key, fields)}")
    values: dict[str, Any] = {}
    for name, field in fields.items():
        if name in raw:
            values[name] = _value(raw[name], field, where)
        elif field.required:
            raise UsageError(f"{where}: {name} is missing, and must be {accepted(field)}")
    return struct(**values)


def accepted(field: msgspec.structs.FieldInfo) -> str:
    """Return what a field accepts, in words: the description at its type."""
    metas: tuple[msgspec.Meta, ...] = field.type.__metadata__
    return next(meta.description for meta in metas if meta.description is not None)


def _value(value: object, field: msgspec.structs.FieldInfo, where: str) -> object:
    read = next((one.read for one in get_args(field.type) if hasattr(one, "read")), None)
    if read is not None:
        return _tables(value, read, f"{where}: [[{field.name}]]")
    try:
        return msgspec.convert(value, field.type)
    except msgspec.ValidationError as error:
        raise UsageError(f"{where}: {field.name} is {value!r}, and must be {accepted(field)}") from error


def _tables(found: object, read: Callable[[Mapping[str, Any], str], object], where: str) -> list[object]:
    """Return what is read of each table of an array; its place is such as `mine.toml: [[server]] 2`."""
    if not isinstance(found, list) or not all(isinstance(table, dict) for table in found):
        place, _, brackets = where.rpartition(": ")
        raise UsageError(f"{place}: {brackets.strip('[]')} must be tables: write {brackets}")
    return [read(table, f"{where} {number}") for number, table in enumerate(found, start=1)]
