"""The arguments of the command line, and the frozen values made of them. Raises WorkloadError for what cannot be."""

from __future__ import annotations

import argparse
import os
import sys
from importlib.util import find_spec
from pathlib import Path

from clients import reference
from clients.load import Share
from clients.sizes import largest_size, parse_profile, parse_sizes
from clients.target import Target, TargetError, parse_target
from clients.transport import require_tls
from clients.workload import Workload, WorkloadError, parse_duration_s

_SPARE_DESCRIPTORS = 32
_RATE_MAX_PER_S = 1_000_000
_PORT_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_EXAMPLES = """\
examples:
  python -m clients 127.0.0.1:5433 -c 64 -s 1024 -d 5s             closed loop: as fast as it goes
  python -m clients 127.0.0.1:5433 -c 64 --rate 20000 -d 10s       open loop: latency at an offered load
  python -m clients 127.0.0.1:5433 --rate 1000..50000 -d 60s       a ramp; 1000,5000,20000 for steps
  python -m clients [::1]:5433 -s 64:9,16KiB:1 --requests-per-connection 10
  python -m clients unix:/run/echo.sock -c 8 --json
"""


def parser() -> argparse.ArgumentParser:
    """Return the parser of `python -m clients`."""
    made = argparse.ArgumentParser(
        prog="python -m clients",
        description="Put load on a TCP echo server, compare every echo byte for byte, and say how fast it was.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = made.add_argument
    add("target", metavar="HOST:PORT", help="or [IPV6]:PORT or unix:PATH")
    add("-c", "--connections", default="64", metavar="N", help="how many; 1..64 ramps, 1,8,64 steps (64)")
    add("-s", "--message-bytes", default="1024", metavar="SIZE", help="64, 1KiB, 64..4096 or 64:9,16KiB:1 (1024)")
    add("-d", "--duration", default="5s", metavar="TIME", help="length of the measured window (5s)")
    add("--warmup", default="1s", metavar="TIME", help="load before the window, not counted (1s)")
    add("--rate", metavar="PER_S", help="open loop: requests due per second over all connections; ramps, steps as -c")
    add("--arrivals", choices=("constant", "poisson"), help="how an open loop spaces them (constant)")
    add("--pipeline", type=int, default=1, metavar="K", help="requests in flight per connection (1)")
    add("--requests-per-connection", type=int, metavar="N", help="replace a connection after N requests (never)")
    add("--think", default="0s", metavar="TIME", help="closed loop: pause between a reply and the next request (0s)")
    add("--timeout", default="5s", metavar="TIME", help="a request without its whole reply by then has failed (5s)")
    add("--workers", type=int, default=1, metavar="N", help="processes to share the load (1)")
    add("--reference", action="store_true", help="make the load with the C generator: faster, and can less")
    add("--seed", type=int, default=0, metavar="S", help="of arrivals and sizes (0)")
    add("--tls", action="store_true", help="speak TLS")
    add("--cafile", metavar="FILE", help="certificates to trust, with --tls")
    add("--insecure", action="store_true", help="with --tls: trust any certificate")
    add("--json", action="store_true", help="print one JSON object")
    add("--hlog", type=Path, metavar="FILE", help="write an HDR interval log")
    add("--tag", default="load", metavar="TAG", help="tag of the log's lines (load)")
    add("--samples", type=Path, metavar="FILE.parquet", help="write due, sent and done of every reply")
    add("--coordinated", action="store_true", help="print CONNECTED, then wait for `GO start_ns` on standard input")
    add("--share", type=_share, help=argparse.SUPPRESS)
    add("--parts", type=Path, help=argparse.SUPPRESS)
    add("--via", help=argparse.SUPPRESS)
    return made


def _share(text: str) -> Share:
    worker, _, workers = text.partition("/")
    return Share(worker=int(worker), workers=int(workers))


def workload_of(options: argparse.Namespace) -> Workload:
    """Return the workload that the arguments describe. Raise WorkloadError."""
    _, connections_profile = parse_profile(options.connections, _whole)
    levels = [level for _, *ends in connections_profile for level in ends]
    if levels != sorted(levels):
        raise WorkloadError(f"connections {options.connections!r}: they can only become more, as in 1..64 or 1,8,64")
    rate, rate_profile = parse_profile(options.rate) if options.rate is not None else (None, ())
    if options.arrivals and rate is None:
        raise WorkloadError("--arrivals spaces the requests of an open loop: give --rate too")
    if rate is not None and parse_duration_s(options.think):
        raise WorkloadError("--think is a pause of a closed loop: leave --rate or --think out")
    if rate_profile and min(level for _, *levels in rate_profile for level in levels) < 0:
        raise WorkloadError(f"rate {options.rate!r}: no part of it can be below 0")
    if "," in options.tag or " " in options.tag:
        raise WorkloadError(f"tag {options.tag!r} must have no comma and no space")
    if options.workers < 1:
        raise WorkloadError(f"workers is {options.workers}, and must be 1 or more")
    fixed = isinstance(parse_sizes(options.message_bytes), int)
    return Workload(
        connections=round(levels[-1] if levels else _whole(options.connections)),
        connections_profile=connections_profile,
        message_bytes=largest_size(options.message_bytes),
        message_sizes="" if fixed else options.message_bytes,
        rate_per_s=rate,
        rate_profile=rate_profile,
        arrivals="closed" if rate is None else options.arrivals or "constant",
        pipeline=options.pipeline,
        requests_per_connection=options.requests_per_connection,
        think_s=parse_duration_s(options.think),
        warmup_s=parse_duration_s(options.warmup),
        duration_s=parse_duration_s(options.duration),
        timeout_s=parse_duration_s(options.timeout),
        seed=options.seed,
    )


def _whole(text: str) -> float:
    if not (text.isascii() and text.isdigit()):
        raise WorkloadError(f"connections {text!r} is not a whole number: write 64, 1..64 or 1,8,64")
    return float(text)


def target_of(options: argparse.Namespace) -> Target:
    """Return the target at the address to be used. Raise TargetError.

    A name with several addresses takes one connection to choose, and TLS one handshake that shows that it is spoken.
    """
    if (options.cafile or options.insecure) and not options.tls:
        raise TargetError("--cafile and --insecure are about TLS: give --tls too")
    trust = {"cafile": options.cafile, "insecure": options.insecure}
    named = parse_target(options.target, tls=options.tls, via=options.via, **trust)
    if options.share is not None:
        return named
    timeout_s = parse_duration_s(options.timeout)
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


def preflight(workload: Workload, target: Target, workers: int, descriptors: int) -> None:
    """Raise WorkloadError if the machine cannot hold the load, before any connection is made."""
    if workers > workload.connections:
        raise WorkloadError(f"{workers} workers cannot share {workload.connections} connections: use fewer workers")
    per_worker = -(-workload.connections // workers)
    if per_worker + _SPARE_DESCRIPTORS > descriptors:
        raise WorkloadError(
            f"{per_worker} connections in a process need {per_worker + _SPARE_DESCRIPTORS} descriptors, and the limit "
            f"is {descriptors}: raise it (ulimit -Hn), or use more --workers"
        )
    if (workload.rate_per_s or 0) > workers * _RATE_MAX_PER_S:
        raise WorkloadError(
            f"a rate of {workload.rate_per_s:,.0f}/s is more than {workers} process(es) can keep a schedule of "
            f"({_RATE_MAX_PER_S:,}/s each): lower it, or use more --workers"
        )
    needed, there_are = workload.connections * workload.pipeline * workload.message_bytes, _memory_bytes()
    if needed > there_are // 2:
        raise WorkloadError(
            f"messages of {workload.message_bytes:,} B on {workload.connections} connections, {workload.pipeline} in "
            f"flight on each, are {needed / 2**30:,.1f} GiB, and the machine has {there_are / 2**30:,.1f} GiB of memory"
        )
    if target.is_tcp and _PORT_RANGE.exists():
        first, last = map(int, _PORT_RANGE.read_text().split())
        if workload.connections > last - first + 1:
            raise WorkloadError(
                f"{workload.connections} connections to one address need as many local ports, and there are "
                f"{last - first + 1} ({_PORT_RANGE}): widen the range or use fewer connections"
            )


def _memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def check_outputs(options: argparse.Namespace) -> None:
    """Raise WorkloadError if a file that was asked for cannot be written, before the load rather than after it."""
    for path in (options.hlog, options.samples):
        if path is not None:
            try:
                path.open("ab").close()
            except OSError as error:
                raise WorkloadError(f"file {str(path)!r} cannot be written: {error.strerror}") from error
    if options.samples is not None and find_spec("pyarrow") is None:
        raise WorkloadError("--samples writes parquet, and needs pyarrow: python -m pip install pyarrow")
