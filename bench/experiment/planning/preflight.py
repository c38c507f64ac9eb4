"""What would make a plan fail later, found before its first trial and said in one sentence. Leaves nothing behind.

The one thing it changes is this process's own soft limit of descriptors, which its children inherit.
"""

from __future__ import annotations

import os
import resource
import shutil
import socket
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from bench import units
from bench.errors import UsageError, unwritable
from bench.experiment.host import network
from bench.experiment.planning.address import UNIX_PREFIX
from clients.workload import PLAIN, RATE_MAX_PER_S

if TYPE_CHECKING:
    from bench.experiment.model import AgentsReached, Server
    from bench.experiment.planning.plan import Plan
    from clients.workload import Workload

SPARE_DESCRIPTORS = 100
SERVER_LEAST_BYTES = 4 << 20
"""Resident memory of a small server without a connection. A Python process that has imported `socket` has more."""

CONNECTION_LEAST_BYTES = 4 << 10
"""Both ends of a connection in the kernel: two sockets, with their files. Buffers are not in it."""

WORKERS_PER_CPU = 8
CONNECT_TIMEOUT_S = 5.0
_PORT_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def check(plan: Plan, out: Path | None, agents: AgentsReached | None = None) -> None:
    """Raise UsageError for the first thing that stands in the way of a plan; its results go to the folder `out`.

    `agents` are those that make its load, if any do.
    """
    if out is not None:
        check_folder(out)
    processes = plan.workers if plan.agents is None else None
    for servers, named in plan.groups:
        check_load(len(servers), named.workload, processes=processes)
    check_generator(plan)
    for server in plan.servers:
        if server.gap is None:
            check_server(server)
    if agents is not None:
        check_agents(plan, agents)


def check_load(servers: int, workload: Workload, *, processes: int | None = 1) -> None:
    """Raise UsageError for a load that this machine cannot make on so many servers that are alive at one time.

    `processes` make it; if that is None, others do, who know their own limits.
    """
    check_connections(servers * workload.connections, a_server=workload.connections)
    check_memory(servers, workload)
    asked = workload.rate_per_s or 0.0
    if processes is not None and asked > processes * RATE_MAX_PER_S:
        raise UsageError(
            f"--rate is {asked:g}, and must be {processes * RATE_MAX_PER_S} or less: a process of the load generator"
            f" can keep a schedule of {RATE_MAX_PER_S} requests per second"
        )


def check_folder(out: Path) -> None:
    """Raise UsageError if nothing can be written to the folder; it is made if it is not there."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise unwritable(out, error, "choose another folder with --out") from error


def check_connections(connections: int, *, a_server: int | None = None) -> None:
    """Raise UsageError if the machine has too few descriptors or ports for so many connections at once.

    `a_server` is how many of them go to one server, if not all do. The soft limit of descriptors is raised as far as is
    needed, because one process holds all connections: the load generator.
    """
    needed = connections + SPARE_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise UsageError(
            f"{units.plural(connections, 'connection')} need{'s' * (connections == 1)} {needed} descriptors, "
            f"and the limit is {hard}: "
            f"raise it with `ulimit -Hn {needed}` (as root), or ask for fewer connections (--connections)"
        )
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    if _PORT_RANGE.exists():
        first, last = map(int, _PORT_RANGE.read_text().split())
        to_one = connections if a_server is None else a_server
        if to_one > last - first + 1:
            raise UsageError(
                f"{to_one} connections to one address need as many local ports, and there are "
                f"{last - first + 1}: widen {_PORT_RANGE}, or ask for fewer connections (--connections)"
            )


def check_memory(servers: int, workload: Workload) -> None:
    """Raise UsageError if servers that are alive at one time, with their connections, cannot fit the free memory.

    What they need is not known beforehand. The estimate is a lower bound, so what is refused would not fit.
    """
    connections = servers * workload.connections
    least = servers * SERVER_LEAST_BYTES + connections * CONNECTION_LEAST_BYTES
    least += workload.connections * workload.message_bytes  # in flight: only one of the servers has load at a time
    free = psutil.virtual_memory().available
    if least > free:
        raise UsageError(
            f"{units.plural(servers, 'server')} with {units.count(workload.connections)} connections each and"
            f" messages of {units.size(workload.message_bytes)} need {units.size(least)} of memory at least, and"
            f" {units.size(free)} is free: measure fewer at a time (--server, --design solo),"
            " or lower --connections or --message-bytes"
        )


def check_generator(plan: Plan) -> None:
    """Raise UsageError for too many workers, and for a load that the reference generator does not know."""
    most = WORKERS_PER_CPU * (psutil.cpu_count() or 1)
    if plan.workers > most:
        raise UsageError(
            f"--workers is {plan.workers}, and must be {most} or less: each keeps a CPU of this machine busy"
        )
    if plan.generator != "reference":
        return
    if plan.workers > 1:
        raise UsageError("the reference generator is one process: leave workers out")
    for named in plan.workloads:
        if not named.workload.is_plain:
            raise UsageError(
                f"{named.name}: the reference generator makes {PLAIN}: change the workload, or leave generator out"
            )


def check_agents(plan: Plan, agents: AgentsReached) -> None:
    """Raise UsageError for more agents than connections, and for servers that agents elsewhere do not reach."""
    for named in plan.workloads:
        if named.workload.connections < agents.number:
            raise UsageError(
                f"{units.plural(agents.number, 'agent')} cannot share "
                f"{units.plural(named.workload.connections, 'connection')}, as {named.name} has: "
                "use more connections, or fewer agents"
            )
    if not agents.is_networked:
        return
    for server in plan.servers:
        host = server.host
        if host.startswith(UNIX_PREFIX) or network.is_loopback(host):
            cure = "have it listen at an address of this machine that they reach (--host ADDRESS)"
            if server.target is not None:
                cure = "give --target an address that they reach"
            raise UsageError(f"agents are on other machines, where {host} is not this one: {server.name}: {cure}")


def check_server(server: Server) -> None:
    """Raise UsageError if its command, its folder, its port or its target is not there."""
    if server.cwd is not None and not os.path.isdir(server.cwd):  # noqa: PTH112 - false too for what cannot be seen
        raise UsageError(f"{server.name}: there is no folder {server.cwd}: correct its cwd")
    if server.target is None:
        check_command(server)
        check_port(server)
    else:
        check_target(server)


def check_command(server: Server) -> None:
    """Raise UsageError if the first word of the command is no program."""
    program = server.command[0]
    path = Path(server.cwd or ".") / program if os.sep in program else program
    if shutil.which(path) is None:
        hint = (
            "it is not executable: chmod +x it"
            if os.path.isfile(path)  # noqa: PTH113 - as above
            else "there is no such program: install it, or give its path"
        )
        raise UsageError(f"{server.name}: cannot run {program!r}: {hint}")


def check_port(server: Server) -> None:
    """Raise UsageError if its address is not one of this machine, or if something listens on the port that it uses."""
    family = socket.AF_INET6 if ":" in server.host else socket.AF_INET
    with closing(socket.socket(family)) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((server.host, server.port or 0))
            sock.listen(1)
        except (OSError, UnicodeError) as error:
            what, cure = f"port {server.port} on {server.host}", "stop what listens there, or choose another port"
            if server.port is None:
                what, cure = f"the address {server.host}", "give one of this machine"
            raise UsageError(f"{server.name}: {what} cannot be used: {_why(error)}; {cure}") from error


def check_target(server: Server) -> None:
    """Raise UsageError if nothing answers at the target, or its process is not there."""
    assert server.target is not None
    assert server.port is not None
    if server.pid is not None and not psutil.pid_exists(server.pid):
        raise UsageError(f"there is no process {server.pid}: --pid is that of the server at {server.target}")
    is_unix = server.host.startswith(UNIX_PREFIX)
    if server.pid is not None:
        path = server.host.removeprefix(UNIX_PREFIX) if is_unix else None
        check_owner(server.target, server.pid, server.port if path is None else path)
    try:
        if is_unix:
            with closing(socket.socket(socket.AF_UNIX)) as sock:
                sock.settimeout(CONNECT_TIMEOUT_S)
                sock.connect(server.host.removeprefix(UNIX_PREFIX))
        else:
            socket.create_connection((server.host, server.port), timeout=CONNECT_TIMEOUT_S).close()
    except (OSError, UnicodeError) as error:
        raise UsageError(f"nothing answers at {server.target}: {_why(error)}; start the server first") from error


def _why(error: OSError | UnicodeError) -> str:
    """Return the reason in words; Python says of a host that can be no name that it cannot be encoded."""
    return "no host can have that name" if isinstance(error, UnicodeError) else error.strerror or str(error)


def check_owner(target: str, pid: int, place: int | str) -> None:
    """Raise UsageError if a process has not started whoever listens here, or has started this command too.

    It listens at a `place`: a port, or the path of a UNIX socket. Where the kernel does not let us see who listens, or
    nobody here does, nothing is said.
    """
    try:
        kind = "unix" if isinstance(place, str) else "tcp"
        tree = {process.pid for process in psutil.Process(pid).children(recursive=True)} | {pid}
        owners = {one.pid for one in psutil.net_connections(kind) if _is_at(one, place)}
    except psutil.Error:
        return
    if os.getpid() in tree - {pid}:
        raise UsageError(f"--pid {pid} has started this command too: give that of the server at {target}")
    known = sorted(owner for owner in owners if owner is not None)
    if known and None not in owners and not tree.intersection(known):
        named = ", ".join(map(str, known))
        raise UsageError(f"process {pid} does not listen at {target}, process {named} does: give that to --pid")


def _is_at(connection: Any, place: int | str) -> bool:
    if isinstance(place, str):
        return bool(connection.laddr) and Path(connection.laddr).resolve() == Path(place).resolve()
    return bool(connection.status == psutil.CONN_LISTEN and connection.laddr.port == place)
