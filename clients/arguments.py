"""The arguments of the command line, and the frozen values made of them. Raises WorkloadError for what cannot be.

The options of a workload are those of `keys.py`; what stands here is about the target, the processes and the output.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from importlib.util import find_spec
from pathlib import Path

from clients import reference
from clients.histogram import CAN_ENCODE
from clients.keys import KEYS, SEED, texts_of, workload_of
from clients.load import Shard
from clients.target import Target, TargetError, parse_target
from clients.thresholds import EXAMPLE
from clients.transport import require_tls
from clients.workload import RATE_MAX_PER_S, Workload, WorkloadError, parse_workload

_DEFAULTS = texts_of(Workload(connections=64, warmup_s=1.0))
"""What this command line means if it does not say."""
_SHOWN = {**_DEFAULTS, "arrivals": "constant"}
TAG = "load"
_SPARE_DESCRIPTORS = 32
_WORKERS_PER_CPU = 8
_PORT_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_EXAMPLES = """\
examples:
  as fast as it goes, which is a closed loop:
    python -m clients 127.0.0.1:5433 -c 64 -s 1024 -d 5s
  response times at an offered load, which is an open loop:
    python -m clients 127.0.0.1:5433 -c 64 --rate 20000 -d 10s
  a load that rises, as a ramp or in steps:
    python -m clients 127.0.0.1:5433 --rate 1000..50000 -d 60s
    python -m clients 127.0.0.1:5433 --rate 1000,5000,20000 -d 60s
  two sizes of message, and connections that are replaced:
    python -m clients [::1]:5433 -s 64:9,16KiB:1 --requests-per-connection 10
  a UNIX socket, and the result for programs:
    python -m clients unix:/run/echo.sock -c 8 --json
"""


def parser() -> argparse.ArgumentParser:
    """Return the parser of `python -m clients`."""
    made = argparse.ArgumentParser(
        prog="python -m clients",
        description="Put load on a TCP echo server, compare every echo, and say how fast it was.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = made.add_argument
    add("target", metavar="HOST:PORT", help="or [IPV6]:PORT or unix:PATH")
    for key in (*KEYS.values(), SEED):
        default = _SHOWN.get(key.name, "none")
        add(*key.flags, dest=key.name, metavar=key.metavar, help=f"{key.about} ({default})")
    add("--workload", metavar="JSON", help="all of the above at once, as `workload` in --json; @FILE reads a file")
    add("--workers", type=int, default=1, metavar="N", help="processes to share the load (1)")
    add("--agents", metavar="CLUSTER", help="share the load over a Dask cluster: local:N, tcp://HOST:PORT or tls://…")
    add("--insecure-cluster", action="store_true", help="with --agents: use a cluster elsewhere without TLS")
    add("--reference", action="store_true", help="make the load with the C generator: faster, for plain loads only")
    add("--tls", action="store_true", help="speak TLS")
    add("--cafile", metavar="FILE", help="certificates to trust, with --tls")
    add("--insecure", action="store_true", help="with --tls: trust any certificate")
    add("--json", action="store_true", help="print one JSON object")
    about = f"end with 1 if this is so, and with 3 if that cannot be told: '{EXAMPLE}'; may be repeated"
    add("--fail-if", action="append", default=[], metavar="RULE", help=about.replace("%", "%%"))
    add("--live", action="store_true", help="print a line a second on stderr")
    add("--hlog", type=Path, metavar="FILE", help="write an HDR interval log")
    add("--tag", metavar="TAG", help=f"with --hlog: tag of the log's lines ({TAG})")
    add("--samples", type=Path, metavar="FILE.parquet", help="write due, sent and done of every reply")
    add("--coordinated", action="store_true", help="print CONNECTED, wait on stdin for `GO start_ns` (monotonic clock)")
    add(
        "--share",
        type=_share,
        metavar="I/N",
        help="with --coordinated: carry share I of N, from 0, and print what adds up",
    )
    add("--parts", type=Path, help=argparse.SUPPRESS)
    add("--via", help=argparse.SUPPRESS)
    return made


def _share(text: str) -> Shard:
    worker, _, workers = text.partition("/")
    if not (worker.isdecimal() and workers.isdecimal() and int(worker) < int(workers)):
        raise argparse.ArgumentTypeError(f"{text!r} is no share: write I/N with I from 0 to N-1, as in 0/3")
    return Shard(worker=int(worker), workers=int(workers))


def workload_asked(options: argparse.Namespace) -> Workload:
    """Return the workload that the arguments describe. Raise WorkloadError."""
    given = {key.name: text for key in (*KEYS.values(), SEED) if (text := getattr(options, key.name)) is not None}
    if options.workload is None:
        return workload_of({**_DEFAULTS, **given})
    if given:
        raise WorkloadError("--workload says all of a workload: leave the other options of it out")
    return parse_workload(_text_of(options.workload))


def _text_of(given: str) -> str:
    """Return what was given, or what the file holds that it names with an @."""
    if not given.startswith("@"):
        return given
    try:
        return Path(given[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise WorkloadError(f"the workload file {given[1:]!r} cannot be read: {error}") from error


def worker_arguments(options: argparse.Namespace, workload: Workload, target: Target, parts: Path) -> list[str]:
    """Return the arguments of a worker process that carries a shard of this load, its files going to `parts`."""
    words = [options.target, "--workload", json.dumps(workload.to_json()), "--parts", str(parts)]
    words += ["--via", target.host] if target.is_tcp else []
    for name in ("coordinated", "json", "tls", "insecure"):
        words += [f"--{name}"] if getattr(options, name) else []
    for name in ("cafile", "hlog", "tag", "samples"):
        words += [f"--{name}", str(getattr(options, name))] if getattr(options, name) is not None else []
    return words


def agent_arguments(options: argparse.Namespace) -> list[str]:
    """Return what all agents are told beside the target and the workload: of our files and our printing, nothing."""
    return [f"--{name}" for name in ("tls", "insecure") if getattr(options, name)]


def check_agents(options: argparse.Namespace) -> None:
    """Raise WorkloadError for options that agents have no use for."""
    others = {"workers": options.workers > 1, "reference": options.reference, "live": options.live}
    others |= {name: getattr(options, name) is not None for name in ("samples", "cafile", "share")}
    if wrong := [f"--{name}" for name, is_given in others.items() if is_given]:
        raise WorkloadError(f"--agents makes the load on other machines: leave out {', '.join(wrong)}")


def target_of(options: argparse.Namespace, timeout_s: float) -> Target:
    """Return the target at the address to be used, each attempt taking `timeout_s` at most. Raise TargetError.

    A name with several addresses takes one connection to choose, and TLS one handshake that shows that it is spoken.
    """
    if (options.cafile or options.insecure) and not options.tls:
        raise TargetError("--cafile and --insecure are about TLS: give --tls too")
    if options.cafile and options.insecure:
        raise TargetError("--insecure trusts any certificate: leave --cafile out")
    trust = {"cafile": options.cafile, "insecure": options.insecure}
    named = parse_target(options.target, tls=options.tls, via=options.via, **trust)
    if options.share is not None:
        return named
    target = named.reached(timeout_s)
    if target.address != named.address:
        print(f"clients: {named.where} does not answer: using {target.where} for {target.text}", file=sys.stderr)
    if target.tls is not None:
        if options.insecure:
            print("clients: warning: --insecure trusts any certificate", file=sys.stderr)
        require_tls(target, timeout_s)
    return target


def check_reference(options: argparse.Namespace, workload: Workload, target: Target) -> None:
    """Raise WorkloadError if the reference generator is asked for what it cannot do."""
    plain = options.workers == 1 and options.samples is None and target.is_tcp and target.tls is None
    if not plain or not workload.is_plain:
        raise WorkloadError(f"{reference.LIMITS}, in one process without --samples: leave the other options out")


def preflight(options: argparse.Namespace, workload: Workload, target: Target, descriptors: int) -> None:
    """Raise WorkloadError if the machine cannot hold the load, or the share of it, before any connection is made."""
    if options.workers < 1:
        raise WorkloadError(f"--workers is {options.workers}, and must be 1 or more")
    workers = options.workers if options.share is None else options.share.workers
    if workers > workload.connections:
        raise WorkloadError(
            f"--workers is {workers}, and {workers} workers cannot share {workload.connections} connections:"
            " use fewer workers"
        )
    per_worker = -(-workload.connections // workers)
    if per_worker + _SPARE_DESCRIPTORS > descriptors:
        raise WorkloadError(
            f"{per_worker} connections in a process need {per_worker + _SPARE_DESCRIPTORS} descriptors, and the limit "
            f"is {descriptors}: raise it (ulimit -Hn), use more --workers, or lower --connections"
        )
    if (workload.rate_per_s or 0) > workers * RATE_MAX_PER_S:
        raise WorkloadError(
            f"--rate is {workload.rate_per_s:g}, which is more than {workers} process(es) can keep a schedule of "
            f"({RATE_MAX_PER_S:,}/s each): lower it, or use more --workers"
        )
    needed, there_are = workload.connections * workload.pipeline * workload.message_bytes, _memory_bytes()
    if needed > there_are // 2:
        option = "--pipeline" if workload.pipeline > 1 else "--message-bytes"
        raise WorkloadError(
            f"{option} is too large: messages of {workload.message_bytes:,} B on {workload.connections} connections, "
            f"{workload.pipeline} in flight on each, are {needed / 2**30:,.1f} GiB, and the machine has "
            f"{there_are / 2**30:,.1f} GiB of memory"
        )
    if target.is_tcp and _PORT_RANGE.exists():
        first, last = map(int, _PORT_RANGE.read_text().split())
        connections = workload.connections if options.share is None else per_worker
        if connections > last - first + 1:
            raise WorkloadError(
                f"{connections} connections to one address need as many local ports, and there are "
                f"{last - first + 1} ({_PORT_RANGE}): widen the range or lower --connections"
            )
    if options.workers > (most := _WORKERS_PER_CPU * _cpus()):
        raise WorkloadError(
            f"--workers is {options.workers}, and must be {most} or less: "
            f"each keeps a CPU busy, and there are {_cpus()}"
        )


def _cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def check_sharing(options: argparse.Namespace) -> None:
    """Raise WorkloadError if a share is asked for with what only a whole load has. A worker's is made by ourselves."""
    if options.insecure_cluster and options.agents is None:
        raise WorkloadError("--insecure-cluster is about a cluster of agents: give --agents too")
    whole = options.workers > 1 or options.hlog or options.samples or options.reference or not options.coordinated
    if options.share is not None and options.parts is None and whole:
        raise WorkloadError(
            "--share is a part of a load that others make too: give --coordinated, and leave out --workers, "
            "--reference, --hlog and --samples"
        )


def check_outputs(options: argparse.Namespace) -> None:
    """Raise WorkloadError if a file that was asked for cannot be written, before the load rather than after it."""
    if options.hlog is not None and not CAN_ENCODE:
        raise WorkloadError("--hlog writes HDR histograms, and needs hdrhistogram: python -m pip install hdrhistogram")
    if options.tag is not None:
        if options.hlog is None:
            raise WorkloadError("--tag names the lines of a log: give --hlog too")
        if "," in options.tag or " " in options.tag:
            raise WorkloadError(f"tag {options.tag!r} must have no comma and no space")
    if options.live and (options.workers > 1 or options.reference or options.samples is not None):
        raise WorkloadError("--live tells of one process: leave out --workers, --reference and --samples")
    for path in (options.hlog, options.samples):
        if path is not None:
            try:
                path.open("ab").close()
            except OSError as error:
                raise WorkloadError(f"file {str(path)!r} cannot be written: {error.strerror}") from error
    if options.samples is not None and find_spec("pyarrow") is None:
        raise WorkloadError("--samples writes parquet, and needs pyarrow: python -m pip install pyarrow")
