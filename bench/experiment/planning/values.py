"""A table of plain values becomes a checked struct. What is accepted stands at each field, as its description. Pure.

A wrong key is answered with the nearest right one, a wrong value with its place, its key and what is accepted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from bench.errors import UsageError, unknown_name

if TYPE_CHECKING:
    from collections.abc import Mapping

T = TypeVar("T", bound=msgspec.Struct)


def convert(raw: Mapping[str, Any], struct: type[T], where: str, **read: Any) -> T:
    """Return the struct of a table that stands at `where`; `read` are fields of it that were read before.

    Raises UsageError.
    """
    fields = {field.name: field for field in msgspec.structs.fields(struct)}
    for key in raw:
        if key not in fields:
            raise UsageError(f"{where}: {unknown_name('key', key, fields)}")
    values = dict(read)
    for name, field in fields.items():
        if name in raw and name not in read:
            values[name] = _value(raw[name], field, where)
        elif field.required and name not in read:
            raise UsageError(f"{where}: {name} is missing, and must be {accepted(field)}")
    return struct(**values)


def tables(raw: Mapping[str, Any], key: str, where: str) -> dict[str, Mapping[str, Any]]:
    """Return the tables of an array by the place of each, such as `mine.toml: [[server]] 2`. Raise UsageError."""
    found = raw.get(key, [])
    if not isinstance(found, list) or not all(isinstance(table, dict) for table in found):
        raise UsageError(f"{where}: {key} must be tables: write [[{key}]]")
    return {f"{where}: [[{key}]] {number}": table for number, table in enumerate(found, start=1)}


def accepted(field: msgspec.structs.FieldInfo) -> str:
    """Return what a field accepts, in words: the description at its type."""
    metas: tuple[msgspec.Meta, ...] = field.type.__metadata__
    return next(meta.description for meta in metas if meta.description is not None)


def _value(value: object, field: msgspec.structs.FieldInfo, where: str) -> object:
    try:
        return msgspec.convert(value, field.type)
    except msgspec.ValidationError as error:
        raise UsageError(f"{where}: {field.name} is {value!r}, and must be {accepted(field)}") from error
