"""Which servers there are, and whether each can run here.

A listing must not fail because one library is missing, and it must not load all the others. So a server is found by
listing this folder, and described by parsing its file; nothing is imported. `_start.py` imports one, to run it.
"""

from __future__ import annotations

import ast
import difflib
import importlib.metadata
import importlib.util
import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from servers._errors import ServerError
from servers._names import claims, files, is_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers._loops import EventLoop

PACKAGES = {"cc": "gcc"}  # what Debian calls the package of a program


@dataclass(frozen=True)
class Entry:
    """One row of the listing.

    `loop` is the event loop that stands in for asyncio's own. `imports` are the modules without which the file cannot
    be loaded.
    """

    name: str
    path: Path
    summary: str = ""
    library: str | None = None
    python_below: tuple[int, int] | None = None
    program: str | None = None
    loop: EventLoop | None = None
    connections_max: int | None = None
    refuses_beyond: bool = False
    teaching: bool = False
    imports: tuple[str, ...] = ()
    fault: str | None = None

    @property
    def reason(self) -> str | None:
        """Why it cannot run here; None if it can."""
        return self._lack[0]

    @property
    def install(self) -> str | None:
        """The command that makes it run here; None if there is none, or no need of one."""
        return self._lack[1]

    @property
    def _lack(self) -> tuple[str | None, str | None]:
        never = self.fault or self._unfit
        if never is not None:
            return never, None
        module = self.library if self.loop is None else self.loop.module
        if module is not None and importlib.util.find_spec(module) is None:
            return f"{self.library} is not installed", f"{shlex.quote(sys.executable)} -m pip install {self.library}"
        if self.program is not None and shutil.which(self.program) is None:
            package = PACKAGES.get(self.program, self.program)
            return f"the program {self.program} is not on the PATH", f"apt-get install {package}"
        missing = next((name for name in self.imports if not _can_import(name, self.path.parent)), None)
        if missing is not None:
            return f"it imports {missing}, which is not there: install it for {sys.executable}", None
        return None, None

    @property
    def _unfit(self) -> str | None:
        """Why this interpreter cannot run it, whatever is installed; None if it can."""
        if self.python_below is not None and sys.version_info >= self.python_below:
            return "its library does not run on Python {}.{} or later".format(*self.python_below)
        if self.loop is not None and not self.loop.fits:
            return f"{self.library} runs on {self.loop.implementation} only"
        return None

    @property
    def _version(self) -> str | None:
        """The installed version of the library; None for one that pip did not install, as of the standard library."""
        if self.library is None or self.reason is not None:
            return None
        try:
            return importlib.metadata.version(self.library)
        except importlib.metadata.PackageNotFoundError:
            return None

    @property
    def gap(self) -> str | None:
        """Say in a sentence why it cannot run here, and what would help; None if it can."""
        if self.reason is None:
            return None
        return f"{self.name} cannot run here: {self.reason}" + (f"; run: {self.install}" if self.install else "")

    def to_json(self) -> dict[str, Any]:
        """Return the row as plain JSON types; null is not known, or not the case."""
        return {
            "name": self.name,
            "summary": self.summary,
            "runnable": self.reason is None,
            "reason": self.reason,
            "install": self.install,
            "connections_max": self.connections_max,
            "refuses_beyond": self.refuses_beyond,
            "teaching": self.teaching,
            "library": self.library,
            "version": self._version,
            "file": str(self.path),
        }


def entries() -> dict[str, Entry]:
    """Return every server of this folder by its name. Raise ServerError if two files claim one name."""
    found: dict[str, Entry] = {}
    for path in files():
        for entry in describe(Path(path)):
            if entry.name in found:
                first = found[entry.name].path.name
                raise ServerError(f"{entry.path.name} and {first} both make a server named {entry.name!r}: rename one")
            found[entry.name] = entry
    return found


def describe(path: Path) -> list[Entry]:
    """Parse a server file into its entry, and one more for every event loop it also runs on."""
    (name, _, _), *on_loops = claims(str(path))
    try:
        tree = ast.parse(path.read_bytes(), str(path))
    except SyntaxError as error:
        return [Entry(name, path, fault=f"{path} line {error.lineno} is not Python: {error.msg}")]
    stated = _literals(tree)
    if not _defines(tree, "serve"):
        return [Entry(name, path, fault=f"{path} defines no serve(listener): add that function")]
    entry = Entry(
        name=name,
        path=path,
        summary=(ast.get_docstring(tree) or "").partition("\n")[0].rstrip("."),
        library=stated.get("LIBRARY"),
        python_below=stated.get("PYTHON_BELOW"),
        program=stated.get("PROGRAM"),
        connections_max=stated.get("CONNECTIONS_MAX"),
        refuses_beyond=stated.get("REFUSES_BEYOND", False),
        teaching=stated.get("TEACHING", False),
        imports=tuple(dict.fromkeys(_imports(tree))),
    )
    if not _takes_a_loop(tree):
        return [entry]
    return [entry, *(_on_loop(entry, name, loop) for name, _, loop in on_loops if loop is not None)]


def _on_loop(entry: Entry, name: str, loop: EventLoop) -> Entry:
    return Entry(
        name=name,
        path=entry.path,
        summary=f"{entry.summary}, on {loop.name}'s event loop",
        library=loop.name,
        loop=loop,
        connections_max=entry.connections_max,
        refuses_beyond=entry.refuses_beyond,
        teaching=entry.teaching,
        imports=entry.imports,
    )


def _imports(tree: ast.Module) -> Iterator[str]:
    """Yield the top modules that the file imports come what may: not those under an `if` or a `try`."""
    for node in tree.body:
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None and not node.level:
            yield node.module.partition(".")[0]


def _can_import(name: str, folder: Path) -> bool:
    """Say whether a module is installed, or a neighbour of the file that imports it."""
    neighbours = (folder / f"{name}.py", folder / name)
    return importlib.util.find_spec(name) is not None or any(path.exists() for path in neighbours)


def _literals(tree: ast.Module) -> dict[str, Any]:
    found = {}
    for node in tree.body:
        if not isinstance(node, (ast.Assign, ast.AnnAssign)) or node.value is None:
            continue
        target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
        if isinstance(target, ast.Name) and target.id.isupper():
            try:
                found[target.id] = ast.literal_eval(node.value)
            except ValueError:
                continue  # an expression: the server's own business
    return found


def _defines(tree: ast.Module, name: str) -> bool:
    """Say whether the module binds the name: by def, by assignment or by import."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return True
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in node.targets):
            return True
        if isinstance(node, ast.ImportFrom) and any((alias.asname or alias.name) == name for alias in node.names):
            return True
    return False


def _takes_a_loop(tree: ast.Module) -> bool:
    """Say whether the file defines serve(listener, new_loop)."""
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "serve"]
    return any(argument.arg == "new_loop" for function in functions for argument in function.args.args)


def known(text: str) -> Entry:
    """Return the entry of a name or of a file, whether it can run here or not. Raise ServerError if there is none."""
    if is_file(text):
        return _of_file(Path(text))
    ours = entries()
    if text not in ours:
        family = [name for name in ours if name.startswith(f"{text}-")]
        near = difflib.get_close_matches(text, ours, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(ours)}"
        hint = f"choose one of {', '.join(family)}" if len(family) > 1 else hint
        raise ServerError(f"unknown server {text!r}: {hint}")
    return ours[text]


def find(text: str) -> Entry:
    """Return the entry of a name or of a file. Raise ServerError if there is none, or it cannot run here."""
    entry = known(text)
    if entry.gap is not None:
        raise ServerError(entry.gap)
    return entry


def _of_file(path: Path) -> Entry:
    try:
        return describe(path)[0]
    except OSError as error:
        raise ServerError(f"cannot read {path}: {error.strerror}") from error
