"""Makes a frame of what was timed, estimates what each mechanism costs, and writes the one table. Starts nothing.

The unit of the statistics is a launch of Python, as elsewhere in this project: rounds that share a process are no
replicates. A launch gives the median over its rounds of the ratio to a plain call of the same round.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from micro.mechanisms import CALL, MECHANISMS

from bench import units
from bench.stats import Estimate, hodges_lehmann

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from micro.mechanisms import Mechanism

COLUMNS = {
    "python": "string",
    "launch": "Int64",
    "round": "Int64",
    "mechanism": "string",
    "row": "string",
    "depth": "Int64",
    "times": "Int64",
    "ns": "Float64",
}
LEVEL = 0.95
TEN = 10  # from here on, three digits of a ratio have one decimal


class Price(NamedTuple):
    """What a mechanism costs on a Python: its time in ns, and its ratio to a plain call. NaN if it was not timed."""

    mechanism: Mechanism
    python: str
    ns: Estimate
    ratio: Estimate

    @property
    def missing(self) -> bool:
        """Whether it was not timed."""
        return math.isnan(self.ratio.value)


def frame_of(files: Iterable[tuple[str, int, Path]], unmeasured: Sequence[str] = ()) -> pd.DataFrame:
    """Return a row for each turn, from files of pytest-benchmark given with their Python and launch.

    What was not timed has one row for each Python, whose launch, round, times and ns are NA.
    """
    rows: list[dict[str, Any]] = []
    pythons = list(unmeasured)
    for python, launch, file in files:
        pythons.append(python)
        for found in json.loads(file.read_text(encoding="utf-8"))["benchmarks"]:
            mechanism, times = found["extra_info"]["mechanism"], found["extra_info"]["times"]
            for number, taken_s in enumerate(found["stats"]["data"], start=1):
                row = {"python": python, "launch": launch, "round": number, "mechanism": mechanism, "times": times}
                rows.append(row | {"ns": taken_s / times * 1e9})
    timed = {(row["python"], row["mechanism"]) for row in rows}
    for python in dict.fromkeys(pythons):
        rows += [{"python": python, "mechanism": one.name} for one in MECHANISMS if (python, one.name) not in timed]
    listed = pd.DataFrame([{"mechanism": one.name, "row": one.row, "depth": one.depth} for one in MECHANISMS])
    merged = pd.DataFrame(rows, columns=[name for name in COLUMNS if name not in {"row", "depth"}]).merge(listed)
    return merged[list(COLUMNS)].astype(COLUMNS)


def prices(frame: pd.DataFrame) -> list[Price]:
    """Return what each mechanism costs on each Python: by its ratio on the first Python that has one, cheapest first.

    A time in ns is the ratio, with its bounds, times what a plain call takes on that Python. So times are in the order
    of the ratios.
    """
    timed = frame.dropna(subset="ns").astype({"ns": float})
    wide = np.log(timed.set_index(["python", "launch", "round", "mechanism"])["ns"]).unstack("mechanism")  # noqa: PD010 - a round has one turn of each
    calls = wide[[CALL]].groupby(["python", "launch"]).median()
    to_call = wide.sub(wide[CALL], axis="index").groupby(["python", "launch"]).median()
    found = []
    for one in MECHANISMS:
        for python in frame["python"].unique():
            call, ratio = _estimate(calls, python, CALL), _estimate(to_call, python, one.name)
            found.append(Price(one, python, ratio.map(lambda value, call=call: value * call.value), ratio))
    place: dict[str, float] = {}
    for price in found:
        if not price.missing:
            place.setdefault(price.mechanism.name, price.ratio.value)
    return sorted(found, key=lambda price: place.get(price.mechanism.name, math.inf))


def _estimate(logs: pd.DataFrame, python: str, mechanism: str) -> Estimate:
    """Return the estimate over the launches of one Python, whose logarithms are given; NaN if it was not timed."""
    if mechanism not in logs or python not in logs.index:
        return Estimate(math.nan, math.nan, math.nan, LEVEL)
    return hodges_lehmann(logs.loc[python, mechanism].dropna().to_numpy(), LEVEL).map(math.exp)


def table(found: Sequence[Price]) -> str:
    """Write every price once, in the order given, in lines of at most 100 columns."""
    pythons = list(dict.fromkeys(price.python for price in found))
    timed = {price.python for price in found if not price.missing}
    several = len(pythons) > 1
    words = max(len(price.mechanism.words) for price in found)
    names = {python: python.removeprefix("CPython ") if several else "" for python in pythons}
    width = max(map(len, names.values()))
    lines = [("once there and back", "Python" if several else "", "time", "times a plain call")]
    last = ""
    for price in (price for price in found if price.python in timed):
        said = price.mechanism.words if price.mechanism.words != last else ""
        last = price.mechanism.words
        time, ratio = ("NA", "NA") if price.missing else (units.duration(price.ns.value), _ratio(price.ratio))
        lines.append((said, names[price.python], time, ratio))
    left_out = [names[python] for python in pythons if python not in timed]
    lines += [("all of this, which was not timed", name, "NA", "NA") for name in left_out]
    return "\n".join(
        f"{said:{words}} {python:{width}}{time:>8} {ratio:>22}".rstrip() for said, python, time, ratio in lines
    )


def _ratio(found: Estimate) -> str:
    return units.estimate(found, lambda number: units.number(number) if number >= TEN else units.ratio(number))
