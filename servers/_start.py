"""From a name or a file to a server that is ready to be started, and nothing else.

Servers of a block are launched together, and the measurement waits for what is imported here. So the catalog, which can
say why a server cannot run, is imported only when there is something to say: no file or several claim the name, the
module cannot be imported, or it states what may not hold on this machine.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import os
import sys
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from servers._errors import ServerError
from servers._names import FOLDER, Claim, claims, files, is_file

if TYPE_CHECKING:
    import asyncio
    import socket
    from collections.abc import Callable
    from types import ModuleType

    from servers._loops import EventLoop

_ASYNC = 0x80 | 0x200  # inspect.CO_COROUTINE and CO_ASYNC_GENERATOR, without inspect


class Server(NamedTuple):
    """A server whose module is imported. `new_loop` makes the event loop that stands in for asyncio's own."""

    name: str
    module: ModuleType
    new_loop: Callable[[], asyncio.AbstractEventLoop] | None

    @property
    def reads_in_python(self) -> bool:
        """Say whether its reads are those of Python's sockets: no library, loop or program reads in their place."""
        stated = (getattr(self.module, name, None) for name in ("LIBRARY", "PROGRAM"))
        return self.new_loop is None and not any(stated)

    def prepare(self) -> Callable[[socket.socket], None]:
        """Do what the module wants done before it serves, and return `serve`. Raise ServerError if that fails."""
        try:
            if hasattr(self.module, "prepare"):
                self.module.prepare()
        except (ImportError, OSError, RuntimeError) as error:
            raise ServerError(f"{self.name} cannot run here: {error}") from error
        if self.new_loop is None:
            serve: Callable[[socket.socket], None] = self.module.serve
            return serve
        return partial(self.module.serve, new_loop=self.new_loop)


def load(text: str) -> Server:
    """Import the server of a name or a file. Raise ServerError if there is none, or it cannot run here."""
    name, path, loop = _claim(text)
    try:
        module = _module(path)
        server = Server(name, module, None if loop is None else loop.load())
    except Exception as error:
        _ask_catalog(text)
        if isinstance(error, (ImportError, OSError, RuntimeError)):
            raise ServerError(f"{name} cannot run here: {error}") from error
        raise
    if not _surely_runs(module, loop):
        _ask_catalog(text)
    return server


def _claim(text: str) -> Claim:
    """Return the one claim to a name, or the first of a file."""
    if is_file(text):
        return claims(text)[0]
    found = [claim for path in files() for claim in claims(path) if claim.name == text]
    return found[0] if len(found) == 1 else _ask_catalog(text)


def _ask_catalog(text: str) -> Claim:
    """Return the claim that holds. Raise ServerError, with the reason, if there is none or the server cannot run."""
    from servers._catalog import find  # noqa: PLC0415 - a launch would wait for it

    entry = find(text)
    return Claim(entry.name, str(entry.path), entry.loop)


def _module(path: str) -> ModuleType:
    folder, file = os.path.split(path)
    if folder == FOLDER:
        return importlib.import_module(f"servers.{file.removesuffix('.py')}")
    name = f"server_{file.removesuffix('.py')}"
    spec = importlib.util.spec_from_file_location(name, path, loader=importlib.machinery.SourceFileLoader(name, path))
    assert spec is not None  # the loader is given
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.append(os.path.realpath(folder))  # last: its neighbours can be imported, but shadow nothing
    spec.loader.exec_module(module)
    return module


def _surely_runs(module: ModuleType, loop: EventLoop | None) -> bool:
    """Say whether all that the module states holds here. What is not sure, the catalog looks at more closely."""
    code = getattr(getattr(module, "serve", None), "__code__", None)
    if code is None or code.co_flags & _ASYNC:
        return False
    if loop is not None:
        return loop.fits and "new_loop" in code.co_varnames[: code.co_argcount]
    library, below, program = (getattr(module, name, None) for name in ("LIBRARY", "PYTHON_BELOW", "PROGRAM"))
    return (
        (library is None or library in sys.modules)
        and (below is None or sys.version_info < below)
        and (program is None or _is_on_the_path(program))
    )


def _is_on_the_path(program: str) -> bool:
    import shutil  # noqa: PLC0415 - most servers need no program

    return shutil.which(program) is not None
