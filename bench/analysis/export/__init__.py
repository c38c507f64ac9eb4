"""A run in the formats that other tools read: one file per format, each a pure function from values to texts.

A format module defines `render(run: Run) -> dict[str, str]`: contents by file name. No format computes a number of its
own: each shows the same series (see `series.py`), one value per trial. A trial that was not measured gives no number
to anyone; only formats that can say so show it at all. The formats in CHARTS show one value and its interval per cell
(see `figures.py`), ratios to a baseline too: theirs are `render(run, baseline)` and `render_comparison(path)`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from bench.errors import UsageError, unknown_name

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    from bench.analysis.runs.run_folder import Run

FORMATS = {
    "asv": "results folder of airspeed velocity, for `asv compare` and `asv publish`",
    "bencher": "Bencher Metric Format, for `bencher run --adapter json`",
    "csv": "one row per trial, every column",
    "github-action-benchmark": "two files: for its tools customBiggerIsBetter and customSmallerIsBetter",
    "json": "one object per trial, with the meaning of every column",
    "junit": "JUnit XML: a test case per trial, failed where it could not be measured",
    "openmetrics": "text for Prometheus: rates and CPU as gauges, response times as histograms",
    "pyperf": "for `pyperf compare_to`, in seconds",
    "pytest-benchmark": "for `pytest-benchmark compare`, in seconds",
}

CHARTS = ("bencher", "github-action-benchmark")


def render(name: str, run: Run, baseline: str | None = None) -> dict[str, str]:
    """Return the contents of the files of a format by their names, which may hold folders.

    With `baseline`, a server of the run, a format in CHARTS also gets the others' ratios to it. Raises UsageError for
    a format or a server that is not known, or if the run has nothing that the format can show.
    """
    module = _module(name)
    if baseline is not None and name not in CHARTS:
        raise UsageError(f"{name} has no place for ratios: --baseline goes with {' and '.join(CHARTS)}")
    files: dict[str, str] = module.render(run, baseline) if name in CHARTS else module.render(run)
    return files


def render_comparison(name: str, path: Path) -> dict[str, str]:
    """Return the same for what `echobench regress --json` printed to a file. Raises UsageError or MeasurementError."""
    module = _module(name)
    if name not in CHARTS:
        raise UsageError(
            f"{path} is a comparison, which {' and '.join(CHARTS)} can show; {name} needs the folder of a run"
        )
    files: dict[str, str] = module.render_comparison(path)
    return files


def _module(name: str) -> ModuleType:
    if name not in FORMATS:
        raise unknown_name("format", name, FORMATS)
    return importlib.import_module(f"bench.analysis.export.{name.replace('-', '_')}")


def write(files: dict[str, str], folder: Path) -> list[Path]:
    """Write the files under a folder, made if need be; return their paths. Raises UsageError if that fails."""
    paths = []
    try:
        for name, text in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            paths.append(path)
    except OSError as error:
        raise UsageError(
            f"cannot write {error.filename}: {error.strerror}; choose another folder with --out"
        ) from error
    return paths
