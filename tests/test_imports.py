"""The design's import directions, read from the source with `ast`, and what stays out of a process that measures.

A rule added here needs a line in VIOLATIONS too: a checker that catches nothing proves nothing.
"""

from __future__ import annotations

import ast
import functools
import graphlib
import re
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from helpers.checkout import CHECKOUT
from helpers.tracing import paused

if TYPE_CHECKING:
    from pathlib import Path

ROOMS = ("servers", "clients", "bench")
OURS = {*ROOMS, "tests"}
CLIENTS_LIBRARIES = {"numpy", "hdrh"}
FRAMES_AND_PLOTS = {"pandas", "matplotlib"}

# Asked for by name, and used in no process that loads; that they are not loaded without is a test below.
CLIENTS_AFTERWARDS = {
    ("clients.samples", "pyarrow"),
    ("clients.agents.engine", "dask"),
    ("clients.agents.engine", "distributed"),
    ("clients.agents.reach", "distributed"),
}

# What bench may know of the load generator: values that describe and hold a measurement, nothing that measures.
CLIENTS_VALUES = {
    "clients.workload",
    "clients.result",
    "clients.histogram",
    "clients.hlog",
    "clients.grammar",
    "clients.keys",
    "clients.thresholds",
}

# Within bench, a module imports from its own line or from those above it. docs/architecture.md draws this.
BENCH_ORDER = (
    {"bench.errors", "bench.units", "bench.text", "bench.junit", "bench.files", "bench.plain"},
    {"bench.interrupts", "bench.scratch"},
    {"bench.column_units", "bench.metrics", "bench.limits", "bench.steadiness", "bench.slices"},
    {"bench.stats"},
    {"bench.experiment"},
    {"bench.verdict"},
    {"bench.analysis"},
    {"bench.regress"},
    {"bench.cli"},
    {"bench.__main__", "bench.installed"},
)
EXPERIMENT_ORDER = (
    {"bench.experiment.doubts"},
    {"bench.experiment.model", "bench.experiment.schema"},
    {"bench.experiment.drive"},
    {"bench.experiment.host"},
    {"bench.experiment.planning"},
    {"bench.experiment.trial"},
    {"bench.experiment.conformance"},
    {"bench.experiment.instrument"},
    {"bench.experiment.inspection"},
    {"bench.experiment.records"},
    {"bench.experiment.store"},
    {"bench.experiment.precision", "bench.experiment.rounds", "bench.experiment.search"},
    {"bench.experiment.campaign"},
)
ANALYSIS_ORDER = (
    {"bench.analysis.runs"},
    {"bench.analysis.estimates"},
    {"bench.analysis.comparing", "bench.analysis.calibration"},
    {"bench.analysis.figures", "bench.analysis.export"},
    {"bench.analysis.report"},
)

# What lives beside a process that is being measured cannot use what reads frames.
BESIDE_A_MEASUREMENT = ("bench.experiment", "bench.stats", "bench.verdict", "bench.regress")


@dataclass(frozen=True)
class Module:
    """A source file: its dotted name, its place, the dotted names it imports with their lines, its LIBRARY.

    `typing_lines` are those under `if TYPE_CHECKING:`, which never run.
    """

    name: str
    path: Path
    imports: tuple[tuple[str, int], ...]
    library: str | None
    typing_lines: frozenset[int]


def read_module(root: Path, path: Path) -> Module:
    tree = ast.parse(path.read_bytes(), str(path))
    parts = path.relative_to(root).with_suffix("").parts
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    library = next(
        (
            ast.literal_eval(node.value)
            for node in tree.body
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "LIBRARY"
        ),
        None,
    )
    typing_lines = frozenset(
        line
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    )
    return Module(name, path.relative_to(root), tuple(imports_of(tree)), library, typing_lines)


def imports_of(tree: ast.Module) -> list[tuple[str, int]]:
    """List every import wherever it stands, `from a import b` as `a.b`; also import_module with a literal name."""
    found = []
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                found += [(alias.name, node.lineno) for alias in names]
            case ast.ImportFrom(module=module, names=names, level=level):
                found += [(f"{'.' * level}{module or ''}.{alias.name}", node.lineno) for alias in names]
            case ast.Call(func=func, args=[ast.Constant(value=str(name)), *_]) if ast.unparse(func).rpartition(".")[
                2
            ] in {"import_module", "__import__"}:
                found.append((name, node.lineno))
    return found


def modules(root: Path) -> list[Module]:
    return [read_module(root, path) for room in ROOMS for path in sorted((root / room).rglob("*.py"))]


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def rank(name: str, order: tuple[set[str], ...]) -> int | None:
    return next((i for i, line in enumerate(order) if any(within(name, package) for package in line)), None)


def why_not(module: Module, imported: str) -> str | None:
    """Say why this import may not be, or None if it may."""
    if imported.startswith("."):
        return "imports are absolute"
    room = module.name.partition(".")[0]
    rule = {"servers": why_not_servers, "clients": why_not_clients, "bench": why_not_bench}[room]
    return rule(module, imported)


def why_not_servers(module: Module, imported: str) -> str | None:
    top = imported.partition(".")[0]
    if top in sys.stdlib_module_names or top in {"servers", module.library}:
        return None
    return "servers may import the standard library and the one library the model is about (LIBRARY)"


def why_not_clients(module: Module, imported: str) -> str | None:
    top = imported.partition(".")[0]
    if (module.name, top) in CLIENTS_AFTERWARDS:
        return None
    if top == "clients" or top in CLIENTS_LIBRARIES or top in sys.stdlib_module_names:
        return None
    return "clients may import the standard library, numpy and hdrh"


def why_not_bench(module: Module, imported: str) -> str | None:
    top = imported.partition(".")[0]
    if top in {"servers", "tests"}:
        return "bench starts commands; it never imports what they run"
    if top == "clients" and not any(within(imported, value) for value in CLIENTS_VALUES):
        return f"bench takes only values from clients: {', '.join(sorted(CLIENTS_VALUES))}"
    if top in FRAMES_AND_PLOTS and not within(module.name, "bench.analysis"):
        return f"{top} is imported in bench.analysis only, never in a process that measures"
    if within(imported, "bench.analysis") and any(within(module.name, room) for room in BESIDE_A_MEASUREMENT):
        return "bench.analysis reads frames: what runs beside a measurement does not import it"
    for order in (BENCH_ORDER, EXPERIMENT_ORDER, ANALYSIS_ORDER):
        mine, theirs = rank(module.name, order), rank(imported, order)
        if mine is not None and theirs is not None and theirs > mine:
            return "imports go one way: see BENCH_ORDER and the orders within experiment and analysis"
    return None


def cycles(found: list[Module]) -> list[str]:
    """Return the modules of a circle of imports that run, if there is one."""
    names = {module.name for module in found}
    graph = {
        module.name: {owner(name, names) for name, line in module.imports if line not in module.typing_lines}
        - {module.name, None}
        for module in found
    }
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return [f"a circle of imports: {' <- '.join(error.args[1])}"]
    return []


def owner(imported: str, names: set[str]) -> str | None:
    """Return the module of ours that an imported name lives in: the longest prefix that is a module."""
    while imported and imported not in names:
        imported = imported.rpartition(".")[0]
    return imported or None


def violations(found: list[Module]) -> list[str]:
    wrong = [
        f"{module.path}:{line}: import of {imported}: {reason}"
        for module in found
        for imported, line in module.imports
        if (reason := why_not(module, imported)) is not None
    ]
    return wrong + cycles(found)


@functools.cache
@paused()
def ours() -> list[Module]:
    """Return the modules of the checkout, which takes seconds to read; do not change them."""
    return modules(CHECKOUT)


@paused()
def test_imports_go_one_way():
    assert violations(ours()) == []


def pictured(package: str) -> tuple[set[str], ...]:
    """Return the order that docs/architecture.md draws of a package: a set of modules for each line."""
    text = (CHECKOUT / "docs" / "architecture.md").read_text(encoding="utf-8")
    pictures = re.findall(r"^```text\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    orders = [[re.split(r"\s{2,}", line)[0] for line in picture.splitlines()] for picture in pictures]
    names = {"bench": orders[0], "bench.experiment": orders[1], "bench.analysis": orders[2]}[package]
    return tuple({f"{package}.{name}" for name in line.split(", ")} for line in names)


def test_the_pictures_in_the_documents_are_the_true_orders():
    assert pictured("bench") == BENCH_ORDER[:-1]  # the last line runs the one before it
    assert pictured("bench.experiment") == EXPERIMENT_ORDER
    assert pictured("bench.analysis") == ANALYSIS_ORDER


def test_every_module_has_its_place_in_an_order():
    orders = {"bench": BENCH_ORDER, "bench.experiment": EXPERIMENT_ORDER, "bench.analysis": ANALYSIS_ORDER}
    names = [module.name for module in ours()]
    for package, order in orders.items():
        inside = {name for name in names if name.startswith(f"{package}.")}
        assert {name for name in inside if rank(name, order) is None} == set()


def test_every_room_is_read():
    names = {module.name for module in ours()}
    assert {"servers.coroutines", "clients.workload", "bench.errors", "bench.stats"} <= names


VIOLATIONS = [
    ("servers/mine.py", "from clients.kernel import Kernel", "standard library and the one library"),
    ("servers/mine.py", "def serve(listener):\n    import clients", "standard library and the one library"),
    ("servers/mine.py", "LIBRARY = 'trio'\nimport anyio", "standard library and the one library"),
    ("servers/mine.py", "LIBRARY = 'trio'\nimport trio\nfrom servers import RECV_SIZE, threads", None),
    ("servers/__init__.py", "import bench", "standard library and the one library"),
    ("clients/load.py", "import bench.errors", "standard library, numpy and hdrh"),
    ("clients/agents/group.py", "import distributed", "standard library, numpy and hdrh"),
    ("clients/load.py", "import pandas as pd", "standard library, numpy and hdrh"),
    ("clients/load.py", "import importlib\nimportlib.import_module('pyarrow')", "standard library, numpy and hdrh"),
    ("clients/load.py", "from . import kernel", "absolute"),
    ("bench/cli/servers.py", "from servers import _catalog", "starts commands"),
    ("bench/experiment/drive.py", "from clients.kernel import Kernel", "only values"),
    ("bench/experiment/store.py", "import pandas", "bench.analysis only"),
    ("bench/experiment/store.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import matplotlib", "only"),
    ("bench/cli/report.py", "from matplotlib import pyplot", "bench.analysis only"),
    ("bench/experiment/drive.py", "from bench import verdict", "one way"),
    ("bench/stats.py", "from bench.experiment import model", "one way"),
    ("bench/experiment/drive.py", "import bench.experiment.campaign", "one way"),
    ("bench/experiment/planning/plan.py", "from bench.experiment.trial.process import start", "one way"),
    ("bench/experiment/host/machine.py", "from bench.experiment.planning import catalog", "one way"),
    ("bench/stats.py", "from bench.verdict.judge import judge", "one way"),
    ("bench/verdict/judge.py", "from bench.analysis.runs.run_folder import Run", "beside a measurement"),
    ("bench/regress/session.py", "from bench.analysis.estimates.cells import cells", "beside a measurement"),
    ("bench/analysis/runs/run_folder.py", "from bench.regress import ledger", "one way"),
    ("bench/analysis/runs/run_folder.py", "from bench.analysis.figures import canvas", "one way"),
    ("bench/analysis/export/csv.py", "from bench.cli import main", "one way"),
    ("bench/regress/engine.py", "from bench.cli import main", "one way"),
    ("bench/errors.py", "from bench.experiment import model", "one way"),
    ("bench/analysis/a.py", "import bench.analysis.a.b", None),
]


@pytest.mark.parametrize(("path", "source", "reason"), VIOLATIONS)
def test_the_checker_catches(tmp_path, path, source, reason):
    file = tmp_path / path
    file.parent.mkdir(parents=True)
    file.write_text(source)
    found = violations(modules(tmp_path))
    if reason is None:  # the control: an import that is right
        assert found == []
    else:
        assert len(found) == 1
        assert reason in found[0]
        assert found[0].startswith(f"{path}:")


def test_the_checker_catches_a_circle_unless_it_is_of_types(tmp_path):
    folder = tmp_path / "clients"
    folder.mkdir()
    (folder / "a.py").write_text("if TYPE_CHECKING:\n    from clients.b import x")
    (folder / "b.py").write_text("import clients.a")
    (folder / "c.py").write_text("import clients.a")
    assert violations(modules(tmp_path)) == []
    (folder / "a.py").write_text("def f():\n    from clients.b import x")
    assert violations(modules(tmp_path)) in (
        ["a circle of imports: clients.a <- clients.b <- clients.a"],
        ["a circle of imports: clients.b <- clients.a <- clients.b"],
    )


def loaded_by(script: str, *arguments: str) -> set[str]:
    """Run a script in a fresh interpreter and return the top-level modules that it left loaded."""
    report = "\nimport sys; print('loaded:', *{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", script + report, *arguments],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return set(done.stdout.rpartition("loaded:")[2].split())


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["regress", "--help"], ["servers"]], ids=" ".join)
def test_the_command_line_starts_without_frames_and_plots(arguments):
    script = """
import bench.cli
try:
    assert bench.cli.main() in (None, 0)
except SystemExit as end:
    assert end.code in (None, 0), end.code
"""
    loaded = loaded_by(script, *arguments)
    assert "click" in loaded
    assert not loaded & {"pandas", "matplotlib", "scipy", "pyarrow"}


def test_a_process_that_measures_loads_no_frames():
    loaded = loaded_by("import clients.__main__, clients.cli, clients.samples, clients.agents.keeper")
    assert "numpy" in loaded
    assert not loaded & {"pandas", "matplotlib", "scipy", "pyarrow", "dask", "distributed", "bench"}


def test_a_process_that_is_measured_loads_nothing_of_ours_but_servers():
    loaded = loaded_by("import servers.__main__, servers.coroutines")
    assert not loaded & {"numpy", "pandas", "hdrh", "bench", "clients"}


def sleeps_without_reason(path: Path) -> list[str]:
    """Return the calls of time.sleep whose line does not say, in a comment, why nothing better would do."""
    source = path.read_text()
    if "sleep" not in source:  # most files, which need not be parsed
        return []
    lines = source.splitlines()
    tree = ast.parse(source, str(path))
    bare = any(imported == "time.sleep" for imported, _ in imports_of(tree))
    return [
        f"{path.name}:{node.lineno}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in ({"time.sleep", "sleep"} if bare else {"time.sleep"})
        and not re.search(r"#\s*(?!noqa|type:)\S+ \S+", lines[node.lineno - 1])
    ]


@paused()
def test_no_test_sleeps_for_luck():
    found = [line for path in sorted((CHECKOUT / "tests").rglob("*.py")) for line in sleeps_without_reason(path)]
    assert found == [], "wait for an event, or state on the line why nothing better would do"


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import time\ntime.sleep(1)", ["test_x.py:2"]),
        ("from time import sleep\nsleep(1)", ["test_x.py:2"]),
        ("import time\ntime.sleep(1)  # noqa: X1", ["test_x.py:2"]),
        ("import time\ntime.sleep(1)  # the server under test is the one that is slow", []),
        ("import asyncio\nasyncio.sleep(1)", []),
        ("script = 'time.sleep(1)'", []),
    ],
)
def test_the_checker_finds_sleeps(tmp_path, source, found):
    file = tmp_path / "test_x.py"
    file.write_text(source)
    assert sleeps_without_reason(file) == found
