"""What people write for one value of a workload, and what it means: numbers, times, sizes and mixtures of sizes.

| text | meaning |
| --- | --- |
| `64`, `2.5`, `1e3` | a number; some values must be whole |
| `5s`, `500ms`, `2min`, `0.5` | a time; a bare number counts seconds |
| `64`, `1KiB`, `10kB`, `16MiB` | a size; a bare number counts bytes |
| `64..4096` | sizes, uniform, both ends included |
| `64:9,16KiB:1` | a mixture of sizes with these weights |

Plan files and all command lines use this grammar. A level that changes over the window (`1..64`) is a shape, and
`shapes.py` reads it. Which option has which of these values stands in `keys.py`. Nothing here knows a field of a
workload, draws a size or opens a file.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal

Sizes = int | range | tuple[list[int], list[float]]
"""One size in bytes, a range of sizes (uniform), or sizes and the probability of each."""

_TIME_UNITS_S = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "": 1.0}
_SIZE_UNITS_BYTES = {"": 1, "b": 1, "kb": 1000, "kib": 1024, "k": 1024, "mb": 10**6, "mib": 2**20, "m": 2**20}
_DIGITS_MAX = 18
_QUANTITY = re.compile(r"\s*([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*([a-zA-Z]*)\s*")


class GrammarError(ValueError):
    """A text that means nothing here: says which, and what may be written."""


def parse_number(text: str) -> float:
    """Read a finite number, of either sign. Raise GrammarError."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise GrammarError(f"{text!r} is not a number")
    return number


def parse_whole(text: str) -> int:
    """Read a whole number, 0 or more, in digits. Raise GrammarError."""
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX):
        raise GrammarError(f"{text!r} is not a whole number of {_DIGITS_MAX} digits or fewer")
    return int(text)


def parse_duration_s(text: str) -> float:
    """Read `500ms`, `5s`, `2min` or a bare number of seconds. Raise GrammarError."""
    return _parse_quantity(text, _TIME_UNITS_S, "duration", "5s, 500ms or 2min")


def parse_size_bytes(text: str) -> int:
    """Read `64`, `1KiB`, `16MiB` or `10kB`: 1 byte or more. Raise GrammarError."""
    size = _parse_quantity(text, _SIZE_UNITS_BYTES, "size", "64, 1KiB or 16MiB")
    if size != int(size):
        raise GrammarError(f"size {text!r} is not a whole number of bytes")
    if size < 1:
        raise GrammarError(f"size {text!r} must be 1 byte or more")
    return int(size)


def parse_sizes(text: str) -> Sizes:
    """Read one size, a range or a mixture. Raise GrammarError."""
    if ".." in text:
        low, high = (parse_size_bytes(end) for end in text.split("..", 1))
        if low > high:
            raise GrammarError(f"sizes {text!r}: write LOW..HIGH with LOW <= HIGH")
        return range(low, high + 1)
    if ":" in text:
        pairs = [part.partition(":") for part in text.split(",")]
        sizes = [parse_size_bytes(size) for size, _, _ in pairs]
        weights = [parse_number(weight) for _, _, weight in pairs]
        if min(weights) <= 0:
            raise GrammarError(f"sizes {text!r}: write SIZE:WEIGHT,… with weights above 0")
        return sizes, [weight / sum(weights) for weight in weights]
    return parse_size_bytes(text)


def largest(sizes: Sizes) -> int:
    """Return the largest size in bytes that can be drawn."""
    if isinstance(sizes, int):
        return sizes
    return sizes[-1] if isinstance(sizes, range) else max(sizes[0])


def write_number(number: float) -> str:
    """Write a number so that `parse_number`, and `parse_whole` if it is whole, reads the same one."""
    return str(int(number)) if float(number).is_integer() else repr(float(number))


def write_duration_s(seconds: float) -> str:
    """Write a time so that `parse_duration_s` reads the same one; `0.5s`, never `1e-07s`."""
    return f"{Decimal(write_number(seconds)):f}s"


def _parse_quantity(text: str, units: dict[str, float] | dict[str, int], kind: str, examples: str) -> float:
    match = _QUANTITY.fullmatch(text)
    if match is None or match[2].lower() not in units:
        raise GrammarError(f"{kind} {text!r} is not understood: write {examples}")
    if not math.isfinite(quantity := float(match[1]) * units[match[2].lower()]):
        raise GrammarError(f"{kind} {text!r} is too large")
    return quantity
