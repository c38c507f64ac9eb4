"""Values as JSON can hold them: a number that is not known is null. Nothing else is converted here."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.units import Bounded


def plain(value: Any) -> Any:
    """Return a tree of dicts, lists and scalars with None in place of every number that is not finite."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def flat(name: str, found: Bounded | None) -> dict[str, Any]:
    """Return an estimate as three keys, `name`, `name_low` and `name_high`, so that `name` stays a number."""
    value, low, high = (None, None, None) if found is None else (found.value, found.low, found.high)
    return {name: plain(value), f"{name}_low": plain(low), f"{name}_high": plain(high)}
