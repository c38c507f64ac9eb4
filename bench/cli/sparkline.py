"""A row of numbers as a row of bars in a line of text. What the numbers are, and how many, is not known here."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

BARS = "▁▂▃▄▅▆▇█"
LEAST = 0.1
"""A change by this fraction fills the height of a sparkline. If less filled it, noise would look like a change."""


def sparkline(values: Sequence[float]) -> str:
    """Draw values above zero as bars on a logarithmic scale, whose height is their range, or LEAST if that is less."""
    logs = [math.log(value) for value in values]
    low = min(logs, default=0.0)
    span = max(max(logs, default=0.0) - low, math.log1p(LEAST))
    return "".join(BARS[round((one - low) / span * (len(BARS) - 1))] for one in logs)
