"""Text for Prometheus: rates and CPU as gauges, response times as histograms.

Written to OpenMetrics 1.0: a family's name ends in its unit, buckets are cumulative and end with `+Inf`, and the last
line is `# EOF`. Durations are seconds, as the convention asks. Every sample of a run made in git has its `commit`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench import metrics
from bench.analysis.export._series import series
from bench.analysis.runs.spectrum import merged

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bench.analysis.runs.run_folder import Run
    from bench.analysis.runs.spectrum import Counts
    from bench.metrics import Metric

BOUNDS_S = tuple(float(f"{digit}e{power}") for power in range(-5, 1) for digit in (1, 2, 5))
"""Upper bounds of the histogram's buckets: 10 us to 5 s, three to a decade."""


@dataclass(frozen=True, slots=True)
class Family:
    """A name with its unit and its help. `factor` leads to the base unit; `unit` is empty if the name ends in none."""

    name: str
    unit: str
    factor: float
    help: str


_BASE_UNITS = ("seconds", "bytes")
RESPONSE = Family("echobench_response_seconds", "seconds", 1e-9, "Response time over all trials of a cell.")


def family_of(metric: Metric) -> Family:
    """Return the family of a metric; its name says the unit, as the standard asks, where there is a base unit."""
    exported = metric.exported
    assert exported is not None
    unit = next((unit for unit in _BASE_UNITS if exported.family.endswith(f"_{unit}")), "")
    return Family(exported.family, unit, metric.unit.seconds or 1.0, exported.help)


def render(run: Run) -> dict[str, str]:
    """Return one file."""
    revision = run.commit
    own = {} if revision is None else {"commit": revision}
    lines = [*_gauges(run, own), *_trials(run, own), *_histograms(run, own), "# EOF", ""]
    return {"openmetrics.txt": "\n".join(lines)}


def _gauges(run: Run, own: Mapping[str, str]) -> Iterator[str]:
    found = series(run)
    for metric in metrics.EXPORTED:
        family = family_of(metric)
        yield from _head(family, "gauge")
        for one in found:
            if one.metric is metric:
                for trial, value in zip(one.trials, one.values, strict=True):
                    labels = _labels(server=one.server, workload=one.workload, trial=str(trial), **own)
                    yield f"{family.name}{labels} {value * family.factor!r}"


def _trials(run: Run, own: Mapping[str, str]) -> Iterator[str]:
    yield from _head(Family("echobench_trials", "", 1.0, "Trials by the way they ended."), "gauge")
    for (server, workload, status), rows in run.trials.groupby(["server", "workload", "status"], sort=True):
        yield f"echobench_trials{_labels(server=server, workload=workload, status=status, **own)} {len(rows)}"


def _histograms(run: Run, own: Mapping[str, str]) -> Iterator[str]:
    """Yield one histogram per cell; a run without a latency log has none."""
    columns = (run.measured[name].tolist() for name in ("trial", "server", "workload"))
    cells = {trial: (server, workload) for trial, server, workload in zip(*columns, strict=True)}
    yield from _head(RESPONSE, "histogram")
    for (server, workload), (values_ns, counts) in merged(run.latency_log, cells).items():
        yield from _histogram({"server": server, "workload": workload, **own}, values_ns, counts)


def _histogram(cell: Mapping[str, str], values_ns: Counts, counts: Counts) -> Iterator[str]:
    seconds = values_ns * RESPONSE.factor
    cumulative = [(repr(bound), int(counts[seconds <= bound].sum())) for bound in BOUNDS_S]
    total = int(counts.sum())
    for bound, count in [*cumulative, ("+Inf", total)]:
        yield f"{RESPONSE.name}_bucket{_labels(**cell, le=bound)} {count}"
    labels = _labels(**cell)
    yield f"{RESPONSE.name}_count{labels} {total}"
    yield f"{RESPONSE.name}_sum{labels} {float(seconds @ counts)!r}"


def _head(family: Family, kind: str) -> Iterator[str]:
    yield f"# TYPE {family.name} {kind}"
    if family.unit:
        yield f"# UNIT {family.name} {family.unit}"
    yield f"# HELP {family.name} {family.help}"


def _labels(**labels: object) -> str:
    return "{" + ",".join(f'{name}="{_escaped(str(text))}"' for name, text in labels.items()) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
