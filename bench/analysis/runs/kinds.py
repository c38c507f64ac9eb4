"""What each server of a run is: its description, whether it teaches, its limit of connections, its code.

A server that came with us is known by the command that started it. Its file is parsed as it is now, and never imported.
Of any other program nothing is known but what the run kept. No number, and no sentence, belongs here.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bench

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FOLDER = Path(bench.__file__).resolve().parent.parent / "servers"
_ASYNCIO = "asyncio-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What a server is. `summary` is one line without a full stop, and empty if unknown, as `docstring` and `code` are.

    `teaching` says that it shows a model or a limit, and that nobody would choose it for a service. `connections_max`
    is how many connections it serves at a time; None if there is no limit. `library` is the distribution it is about.
    """

    name: str
    summary: str = ""
    teaching: bool = False
    connections_max: int | None = None
    library: str | None = None
    docstring: str = ""
    code: str = ""


def kinds(info: Mapping[str, Any]) -> dict[str, Kind]:
    """Return what each server is that run.json names, by its name."""
    return {server["name"]: _kind(server) for server in info.get("servers", ())}


def _kind(server: Mapping[str, Any]) -> Kind:
    name, most = server["name"], server.get("connections_max")
    argument = _argument(server.get("command", ()))
    path, loop = _file(argument)
    if path is None:
        return Kind(name=name, connections_max=most)
    code = path.read_text(encoding="utf-8")
    tree = ast.parse(code)
    docstring = ast.get_docstring(tree) or ""
    summary = docstring.partition("\n")[0].rstrip(".")
    return Kind(
        name=name,
        summary=f"{summary}, on {loop}'s event loop" if loop else summary,
        teaching=_stated(tree, "TEACHING") is True,
        connections_max=most,
        library=loop or _stated(tree, "LIBRARY"),
        docstring=docstring,
        code=code,
    )


def _argument(command: Sequence[str]) -> str:
    """Return what `python -m servers` was told to start; empty if the command is another."""
    words = list(command)
    pairs = zip(words, words[1:], words[2:], strict=False)
    return next((argument for option, room, argument in pairs if (option, room) == ("-m", "servers")), "")


def _file(argument: str) -> tuple[Path | None, str]:
    """Return the file of a server of ours, with the event loop that stands in for asyncio's; None if it has none."""
    named = {
        path.stem.rstrip("_").replace("_", "-"): path for path in FOLDER.glob("*.py") if not path.stem.startswith("_")
    }
    if argument in named:
        return named[argument], ""
    loop, _, rest = argument.partition("-")
    return named.get(_ASYNCIO + rest), loop


def _stated(tree: ast.Module, name: str) -> Any:
    """Return the literal that a file states under a name; None if it does not."""
    found = (
        node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.targets[0], ast.Name)
        and node.targets[0].id == name
    )
    return next(found, None)
