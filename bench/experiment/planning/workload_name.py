"""What a workload is called in tables, in plots and in the memory of `regress`. Pure.

Both styles are keys in files that people keep: PLAN in every run folder, CELL in the ledger of `regress`. So a template
that stands here is never changed; what is new is added behind the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.units import size
from clients.keys import texts_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clients.workload import Workload

Notation = tuple[str, "Mapping[str, str]"]
"""What stands between the parts, and a template for each part, in their order."""

PLAN: Notation = (
    "-",
    {
        "connections": "c{}",
        "size": "{}",
        "rate": "r{}",
        "arrivals": "{}",
        "pipeline": "pipeline{}",
        "churn": "churn{}",
        "think": "think{}",
    },
)
"""`c64-1KiB`, `c64-1KiB-r20000-poisson`, `c1,8,64-64:9,16KiB:1-pipeline4`."""

CELL: Notation = (
    "/",
    {
        "connections": "c{}",
        "bytes": "{}B",
        "pipeline": "p{}",
        "rate": "{}ps",
        "constant": "{}",
        "churn": "churn{}",
        "think": "think{}",
    },
)
"""`c16/1024B`, `c16/1024B/p8/2000ps`: a rate has Poisson arrivals there unless the name says `constant`."""


def workload_name(workload: Workload, notation: Notation = PLAN) -> str:
    """Return a short name that says how a workload differs from a plain closed loop."""
    separator, templates = notation
    parts = _parts(workload)
    return separator.join(template.format(parts[part]) for part, template in templates.items() if part in parts)


def _parts(workload: Workload) -> dict[str, str]:
    """Return the text of each part; a part that says nothing about this workload is absent."""
    texts = texts_of(workload)
    parts = {
        "connections": texts["connections"],
        "size": workload.message_sizes or size(workload.message_bytes).replace(" ", ""),
        "bytes": texts["message_bytes"],
        "rate": texts.get("rate_per_s"),
        "arrivals": texts.get("arrivals"),
        "constant": "constant" if workload.arrivals == "constant" else None,
        "pipeline": texts["pipeline"] if workload.pipeline > 1 else None,
        "churn": texts.get("requests_per_connection"),
        "think": texts["think_s"] if workload.think_s else None,
    }
    return {part: text for part, text in parts.items() if text is not None}
