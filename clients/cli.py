"""The command line of the load generator: arguments in, a frozen workload inward, text or JSON out. No load logic.

Exit status: 0 if something was measured, the load was made and every reply was right; 1 if a threshold was passed; 2
for wrong use; 3 if a threshold cannot be told; 4 otherwise.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from clients import hlog, judging, memory, samples, summary
from clients.arguments import (
    TAG,
    check_outputs,
    check_reference,
    check_sharing,
    parser,
    preflight,
    target_of,
    worker_arguments,
    workload_asked,
)
from clients.coordination import coordinated, interruptible
from clients.limits import raise_descriptors
from clients.live import LiveRecorder
from clients.load import Load, Shard, soon
from clients.recorder import RawRecorder, Recorder
from clients.reference import LoadError, ReferenceLoad
from clients.thresholds import Finding
from clients.transport import require_plain
from clients.workers import WorkerGroup
from clients.workload import Workload, WorkloadError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from clients.agents.session import Carried
    from clients.judging import Judged
    from clients.result import Result
    from clients.target import Target

FINE, FAILED, WRONG_USE, CANNOT_TELL, INVALID = 0, 1, 2, 3, 4


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    options = parser().parse_args(argv)
    memory.keep_freed()
    descriptors = raise_descriptors()
    try:
        workload, thresholds = workload_asked(options), judging.thresholds_of(options.fail_if)
        target = target_of(options, workload.timeout_s)
        if options.agents is None:
            preflight(options, workload, target, descriptors)
        check_outputs(options)
        check_sharing(options)
        if options.reference:
            check_reference(options, workload, target)
        if options.share is not None:
            return _child(options, target, workload)
        carried: Carried | None = None
        if options.agents is None:
            result = _measured(options, target, workload)
        else:
            from clients.agents.run import by_agents  # noqa: PLC0415 - a worker has no use for it

            carried = by_agents(options, target, workload)
            result = carried.result
        if not result.replies and result.connections_established and not options.coordinated:
            require_plain(target)
    except WorkloadError as error:
        print(f"clients: {error}", file=sys.stderr)
        return WRONG_USE
    except LoadError as error:
        print(f"clients: {error}", file=sys.stderr)
        return INVALID
    judged = judging.judge(result, thresholds)
    _show(options, target, result, judged, carried)
    return _status(result, judged)


def _show(
    options: argparse.Namespace, target: Target, result: Result, judged: Sequence[Judged], carried: Carried | None
) -> None:
    blank = summary.why_blank(result, target.text)
    if options.json or options.coordinated:
        said = {"thresholds": [one.to_json() for one in judged]} if judged else {}
        said |= carried.to_json() if carried else {}
        print(json.dumps({"address": target.where, **result.to_json(), **said}), flush=True)
    elif blank:
        print(f"clients: {blank}", file=sys.stderr)
    else:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        where = target.text if target.text == target.where else f"{target.text} at {target.where}"
        print(summary.text(result, where, width))
        if carried:
            print(summary.folded(["", *carried.text().splitlines()], width))
        if judged:
            print(summary.folded(["", *(f"  {one.sentence}" for one in judged)], width))
    if result.workers_lost:
        print(f"clients: {result.workers_lost} of {options.workers} workers died", file=sys.stderr)


def _status(result: Result, judged: Sequence[Judged]) -> int:
    """Return the exit status. A load that a slow server keeps from being made fails its threshold first."""
    findings = {one.finding for one in judged}
    if result.replies and Finding.FAILED in findings:
        return FAILED
    if not result.is_right:
        return INVALID
    return CANNOT_TELL if Finding.CANNOT_TELL in findings else FINE


def _measured(options: argparse.Namespace, target: Target, workload: Workload) -> Result:
    """Return the result of a load by this machine."""
    if options.workers == 1 and options.samples is None:
        return _run(options, target, workload, options.hlog, None)  # which leaves nothing, whatever ends it
    with TemporaryDirectory(prefix="echobench-") as scratch:
        take = _several if options.workers > 1 else _sampled
        return take(options, target, workload, Path(scratch))


def _sampled(options: argparse.Namespace, target: Target, workload: Workload, scratch: Path) -> Result:
    part = scratch / "samples.npy"
    result = _run(options, target, workload, options.hlog, part)
    samples.write_parquet([part], options.samples)
    return result


def _several(options: argparse.Namespace, target: Target, workload: Workload, scratch: Path) -> Result:
    began_s = time.time()
    group = WorkerGroup(worker_arguments(options, workload, target, scratch), options.workers)
    with interruptible(group.interrupt) as interrupts, group:
        announce = partial(coordinated, interrupts) if options.coordinated else _soon_for_all
        result = group.run(workload, announce)
    if options.hlog is not None:
        with options.hlog.open("w") as stream:
            stream.write(hlog.header(began_s))
            hlog.merge(sorted(scratch.glob("*.hlog")), stream)
    if options.samples is not None:
        samples.write_parquet(sorted(scratch.glob("*.npy")), options.samples)
    return result


def _child(options: argparse.Namespace, target: Target, workload: Workload) -> int:
    base = None if options.parts is None else options.parts / f"{options.share.worker:04}"
    log = base.with_suffix(".hlog") if base and options.hlog else None
    part = base.with_suffix(".npy") if base and options.samples else None
    result = _run(options, target, workload, log, part)
    print(json.dumps(result.to_wire()), flush=True)
    return FINE


def _run(
    options: argparse.Namespace, target: Target, workload: Workload, log: Path | None, part: Path | None
) -> Result:
    shard: Shard = options.share or Shard()
    kind = RawRecorder if part is not None else LiveRecorder if options.live else Recorder
    recorder = kind(open_loop=workload.is_open_loop)
    with nullcontext() if log is None else log.open("w") as stream:
        if stream is not None and options.share is None:
            stream.write(hlog.header(time.time()))
        interval_log = None if stream is None else hlog.IntervalLog(stream, options.tag or TAG)
        if options.reference:
            load: Load | ReferenceLoad = ReferenceLoad(target, workload, log=interval_log)
        else:
            load = Load(
                target,
                workload,
                shard=shard,
                recorder=recorder,
                log=interval_log,
                gives_up=not (options.coordinated or options.json),  # programs get the window that they asked for
            )
        with interruptible(load.interrupt) as interrupts:
            is_told = options.coordinated or options.share is not None
            result = load.run(partial(coordinated, interrupts) if is_told else soon)
    if part is not None and isinstance(recorder, RawRecorder):
        samples.save_part(recorder, (result.window_start_ns, result.window_end_ns), part)
    return result


def _soon_for_all(_established: int, _requested: int) -> int:
    """Start late enough for every worker to have read its line."""
    return time.monotonic_ns() + 50_000_000
