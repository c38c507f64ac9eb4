"""What is torn or missing in a run folder, in sentences: a person is told before its numbers are believed.

Finds what a latency log lacks, and words what others found. Mends nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench import units
from bench.analysis.runs import spectrum
from bench.experiment.records import TRIALS_FOLDER, file_name

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

NAMED = 5
"""So many files or trials are named, and the others are counted."""


def of_records(
    wanted: Collection[int], whole: Collection[int], torn: Mapping[str, str], shown: Collection[int]
) -> list[str]:
    """Say how many of the `wanted` trials have a record that is `whole`, and of each other what becomes of it.

    `torn` has the reasons by the name of the file. `shown` are the trials that have numbers all the same.
    """
    lost = {file_name(number): number for number in sorted(set(wanted) - set(whole))}
    if not lost and not torn:
        return []
    said = [f"{len(set(whole) & set(wanted))} of {units.plural(len(wanted), 'trial')} have a record that is whole"]
    names = list(dict.fromkeys([*lost, *torn]))
    for name in names[:NAMED]:
        fate = "its trial is taken from trials.parquet" if lost.get(name) in shown else "it is left out"
        said.append(f"{TRIALS_FOLDER}/{name}: {torn.get(name, 'it is missing')}; {fate}")
    if len(names) > NAMED:
        said.append(f"and so are {len(names) - NAMED:,} more files of {TRIALS_FOLDER}/, torn or missing")
    return said


def of_latency(log: Path, measured: Collection[int]) -> list[str]:
    """Say which lines of a latency log are torn, and which measured trials have none that is whole."""
    if not measured:
        return []
    if not log.is_file():
        return [f"{log.name} is missing: there is no latency spectrum and no histogram"]
    torn, trials = spectrum.survey(log)
    said = [f"{log.name}, line {number}: not an HDR histogram; it is left out" for number in torn[:NAMED]]
    if len(torn) > NAMED:
        said.append(f"and so are {len(torn) - NAMED:,} more lines of {log.name}")
    if without := sorted(set(measured) - trials):
        names = units.listed([f"{number}" for number in without[:NAMED]])
        more = f" and {len(without) - NAMED:,} more" if len(without) > NAMED else ""
        said.append(f"{log.name} has no whole line of trial {names}{more}: spectra and histograms are without it")
    return said
