"""What a person asked for becomes what can be measured: two arms, their servers, and the cells that they make.

Everything that is built here is removed when the comparison ends.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shlex
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from bench.errors import BenchError, MeasurementError, NoBaselineError, UsageError
from bench.experiment.host.machine import cores, facts
from bench.experiment.model import Server
from bench.experiment.planning.catalog import catalog
from bench.experiment.planning.preflight import check_load, check_server
from bench.experiment.planning.selection import require_own_name, require_runnable
from bench.experiment.planning.server_table import parse_server
from bench.experiment.planning.workload_name import CELL, workload_name
from bench.experiment.trial import lifeline
from bench.files import as_text
from bench.regress import arms
from bench.regress.folders import told_apart
from bench.regress.planner import PairedCell
from bench.regress.revisions import (
    Repository,
    Revision,
    changed,
    checked_out,
    refuse_placeholder,
    repository,
    require_folder,
    resolve,
    working_tree,
)
from bench.scratch import scratch
from bench.verdict.pairs import Arm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from clients.workload import Workload

T = TypeVar("T")

GATE_SERVERS = ("asyncio-protocol", "threads", "coroutines")
"""The servers of this project that are compared by default: one for each way to wait, the most important first."""

STEADY_ALLOCATOR = {"MALLOC_TRIM_THRESHOLD_": "33554432", "MALLOC_MMAP_THRESHOLD_": "33554432"}
"""Variables for both arms, unless the user's environment has them: glibc then keeps freed memory below 32 MiB.

By default glibc returns the top of the heap as soon as enough of it is free. asyncio frees a buffer of 256 KiB after
every read. Whether that is enough depends on the layout of the launch, so the same server needs 4.6 or 20 us per reply
(CPython 3.11) without any change of code.
"""

Ready = Literal["line", "port", "either"]

_LABELLED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]*=")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a person asked for: either `base`, perhaps with `head`, or both `a` and `b`."""

    here: Path
    workload: Workload
    base: str | None = None
    head: str | None = None
    a: str | None = None
    b: str | None = None
    command: str | None = None
    setup: str | None = None
    ready: Ready | None = None
    servers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """The cells that will be measured, the names of the arms, and whether both arms are the same code.

    `may_leave_out` says that cells may be dropped for lack of time. `options` are the command-line options that ask for
    one cell alone, by the cell's name. Arms that were `built` of revisions, or lie in two folders, differ in the files
    that `changed`, which nobody asks of the servers of this project. The files in its `homes` are an arm's own.
    """

    cells: tuple[PairedCell, ...]
    baseline: str
    candidate: str
    same: bool
    same_interpreter: bool
    may_leave_out: bool = False
    built: Mapping[Arm, arms.Environment] = field(default_factory=dict)
    homes: Mapping[Arm, tuple[Path, ...]] = field(default_factory=dict)
    changed: tuple[str, ...] = ()
    options: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@contextlib.contextmanager
def prepared(request: Request) -> Iterator[Prepared]:
    """Build both arms for as long as the comparison runs.

    Raises UsageError for wrong use, NoBaselineError for a baseline that cannot be built, and MeasurementError for a
    candidate that cannot be built.
    """
    check_load(1, request.workload)  # before anything is set up
    if request.a is not None and request.b is not None:
        yield _specs(request, request.a, request.b)
        return
    if request.base is None:
        raise UsageError("say what to compare with: --base REV, or any two servers with --a and --b")
    where = repository(request.here)
    if not arms.is_ours(where.root) and not request.command:
        raise UsageError("say how to start the server: --command 'python -m myserver --port {port}'")
    if request.command:
        _require_port("--command", request.command, request.ready)
    elif request.ready is not None:
        raise UsageError("--ready is about a command: give --command, or leave it out for servers of this project")
    revisions = _resolved(request.base, request.head, where)
    with scratch() as workspace:
        lifeline.leave_nothing(workspace, worktrees=where.records_of_worktrees())
        with checked_out(where, revisions, workspace) as trees, lifeline.marking() as mark:
            yield _revisions(request, where, revisions, trees, mark)


def _require_port(option: str, command: str, ready: Ready | None) -> None:
    """Raise UsageError for a command that is not told its port, unless it will say which one it has.

    Nobody would know where it listens, so each launch would wait for it in vain.
    """
    if "{port}" not in command and ready != "line":
        raise UsageError(
            f"{option} {command}: it is not told its port: put {{port}} into the command. If it chooses one and prints"
            " READY HOST PORT, say --ready line"
        )


def _resolved(base: str, head: str | None, where: Repository) -> dict[Arm, Revision]:
    """Find both revisions, each with the folder in which the user stands."""
    for option, name in (("--base", base), ("--head", head)):
        if name is not None:
            refuse_placeholder(option, name)
    found = {
        Arm.BASELINE: resolve(where, base, NoBaselineError),
        Arm.CANDIDATE: working_tree(where) if head is None else resolve(where, head, UsageError),
    }
    require_folder(where, found[Arm.CANDIDATE], UsageError)
    require_folder(where, found[Arm.BASELINE], NoBaselineError)
    return found


def _each(make: Callable[[Arm], T], cure: str) -> dict[Arm, T]:
    """Make something for each arm. Raise UsageError with the cure if it fails in both, else the arm's own error."""
    made, failed = dict[Arm, T](), dict[Arm, BenchError]()
    for arm in Arm:
        try:
            made[arm] = make(arm)
        except (NoBaselineError, MeasurementError) as error:
            failed[arm] = error
    if len(failed) == len(Arm):
        raise UsageError(f"it fails in both arms alike: {cure}\n{failed[Arm.CANDIDATE]}") from failed[Arm.CANDIDATE]
    for of_one in failed.values():
        raise of_one
    return made


def _require_files(command: str, built: Mapping[Arm, arms.Environment]) -> None:
    """Raise NoBaselineError for a word of the command that is a file of the candidate, and not of the baseline."""
    for word in shlex.split(command):
        here = {arm: environment.here / word for arm, environment in built.items()}
        if here[Arm.CANDIDATE].is_file() and not here[Arm.BASELINE].exists():
            label = built[Arm.BASELINE].label
            raise NoBaselineError(f"{label} has no file {word}, which --command names: it was moved, renamed or is new")


def _revisions(
    request: Request,
    where: Repository,
    revisions: dict[Arm, Revision],
    trees: dict[Arm, Path],
    mark: Mapping[str, str],
) -> Prepared:
    setups = arms.setups(request.setup, trees, where.prefix)
    python = arms.needs_python(trees.values(), request.setup, request.command)
    built = _each(
        lambda arm: arms.build(arm, revisions[arm].label, trees[arm], where, setups[arm], python=python, mark=mark),
        cure="say with --setup how to install it, or with --setup '' that nothing is to be installed",
    )
    if command := request.command:
        name, ready = as_text(where.root.name), request.ready or "either"
        pair = _each(
            lambda arm: arms.command_server(built[arm], name, command, ready),
            cure="correct --command, or install the program with --setup",
        )
        servers = {name: pair}
        _require_files(command, built)
    else:
        servers = {
            name: {arm: _ours_or_gap(environment, name) for arm, environment in built.items()}
            for name in request.servers or GATE_SERVERS
        }
    source = (str(where.root), str(where.prefix), request.command or "")
    cells = {name: _cell(name, pair, request.workload, source) for name, pair in servers.items()}
    files = tuple(map(as_text, changed(where, revisions)))
    return Prepared(
        cells=tuple(cells.values()),
        baseline=as_text(revisions[Arm.BASELINE].label),
        candidate=as_text(revisions[Arm.CANDIDATE].label),
        same=revisions[Arm.BASELINE].tree == revisions[Arm.CANDIDATE].tree,
        same_interpreter=True,
        may_leave_out=not request.servers,
        built=built,
        homes={arm: (environment.home,) for arm, environment in built.items()},
        changed=files if request.command else (),  # ours import their own folder, and prove that
        options={} if request.command else {cell.name: ("--server", name) for name, cell in cells.items()},
    )


def _ours_or_gap(environment: arms.Environment, name: str) -> Server:
    """Return one of our servers. If it cannot be had, return one with a gap, so that other cells are still compared."""
    try:
        return arms.our_server(environment, name)
    except BenchError as error:
        return Server(name=name, gap=str(error))


def _specs(request: Request, a: str, b: str) -> Prepared:
    servers = {Arm.BASELINE: spec(a, "a", request.ready), Arm.CANDIDATE: spec(b, "b", request.ready)}
    a, b = as_text(a), as_text(b)
    name = f"{a} / {b}" if a != b else a
    apart = told_apart(servers)
    changed = () if apart is None else apart.changed
    homes = apart.homes if apart is not None and changed else {}
    return Prepared(
        cells=(_cell(name, servers, request.workload, _source(servers)),),
        baseline=a,
        candidate=b,
        same=a == b or (apart is not None and not changed),
        same_interpreter=False,
        homes={arm: (home, *(one for one in homes.values() if one != home)) for arm, home in homes.items()},
        changed=changed,
    )


def spec(text: str, arm: str, ready: Ready | None = None) -> Server:
    """Read `NAME` or `FILE.py`, either with `@PYTHON`, or `LABEL=COMMAND`, or a command of several words.

    The server's name ends in the arm's letter, so that both names are equally long where the specs are. Raises
    UsageError, which names the option.
    """
    bare, option = text.strip(), f"--{arm}"
    if not bare:
        raise UsageError(f"{option} is empty: give a server of this project, FILE.py, or a command with {{port}}")
    if not _LABELLED.match(bare) and len(bare.split()) > 1:
        bare = f"{Path(bare.split()[0]).name}={bare}"
    source, _, python = bare.partition("@") if len(bare.split()) == 1 and "=" not in bare else (bare, "", "")
    listing = catalog(python) if python else catalog()
    table = parse_server(source, option)
    if isinstance(table, str):
        server = listing.server(table, label=f"{table}@{arm}")
    else:
        require_own_name(table.name, listing.entries)
        if table.file is not None:
            server = listing.file(Path(table.file), label=f"{table.name}@{arm}")
        else:
            _require_port(option, text, ready)
            server = table.server()
            server = replace(server, name=f"{table.name}@{arm}", ready=ready or server.ready)
    require_runnable(text, server)
    check_server(server)
    return server


def _source(servers: dict[Arm, Server]) -> tuple[str, ...]:
    return tuple(word for arm in Arm for word in (*servers[arm].command, servers[arm].cwd or ""))


def _cell(name: str, servers: dict[Arm, Server], workload: Workload, source: tuple[str, ...]) -> PairedCell:
    shape = workload_name(workload, CELL)
    ours = {variable: value for variable, value in STEADY_ALLOCATOR.items() if variable not in os.environ}
    calm = {arm: replace(server, env={**ours, **server.env}) for arm, server in servers.items()}
    cell = PairedCell(name=f"{name}/{shape}", servers=calm, workload_name=shape, workload=workload, source=source)
    check_load(len(Arm) if cell.together else 1, workload)
    return cell


def machine_key() -> str:
    """Return a short name for this kind of machine, so that the ledger does not mix the noise of two."""
    known = facts(cores())
    kind = [known[name] for name in ("cpu_model", "usable_cpus", "cgroup_cpu_quota", "system")]
    return hashlib.sha256(repr(kind).encode()).hexdigest()[:12]
