"""The one package that an installation brings: it holds the rooms, and puts them first on the path of its own programs.

Inside, the rooms are called `bench`, `servers` and `clients`, as in the checkout. Beside other people's packages such
names would overwrite theirs, so a wheel has the rooms in `_rooms`, a folder that is on nobody's path. The programs put
it there, before the working directory; what they start gets it by PYTHONPATH, as from a checkout. `import echobench`
changes nothing. Only how a program finds the rooms belongs here.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

_HERE = Path(__file__).resolve().parent
_MARK = Path("bench", "installed", "echobench")
"""Where this package lies in a checkout."""


def find_rooms() -> None:
    """Put the folder that holds the rooms first on the path.

    It is that of the wheel, or the checkout that an editable install has on the path.
    """
    checkouts = (folder for folder in sys.path if (Path(folder) / _MARK).is_dir())
    inside = _HERE / "_rooms"
    sys.path.insert(0, str(inside) if inside.is_dir() else next(checkouts))


def run(room: str) -> None:
    """Do what `python -m ROOM` does in the checkout."""
    find_rooms()
    runpy.run_module(room, run_name="__main__", alter_sys=True)
