"""A run in the formats that other tools read: one file for each format, each a pure function from values to texts.

A new format is a file in this folder and nothing else. An underscore in the name of the file is a hyphen in that of the
format. The first line of its docstring is what `--help` says of it. The file defines one function:

- `render(run)`, if it shows the trials of a run.
- `render_values(values)`, if it shows one value and its interval for each cell (see `_values.py`). Then it can show
  a comparison too, and ratios to a baseline.

Either returns contents by file name. No format computes a number of its own: each shows the same series (see
`_series.py`), one value per trial. A trial that was not measured gives no number, and is shown only by formats that can
say so. Files whose names begin with an underscore hold what formats share.
"""

from __future__ import annotations

import ast
import importlib
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import UsageError, unknown_name, unwritable
from bench.files import UNDECODED

if TYPE_CHECKING:
    from types import ModuleType

    from bench.analysis.runs.run_folder import Run


def formats() -> dict[str, str]:
    """Return a line about every format, by its name. The files are read and not imported."""
    files = (path for folder in __path__ for path in Path(folder).glob("*.py") if not path.name.startswith("_"))
    return {path.stem.replace("_", "-"): _summary(path) for path in sorted(files, key=lambda path: path.stem)}


def _summary(path: Path) -> str:
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return docstring.partition("\n")[0].rstrip(".")


def render(name: str, run: Run, baseline: str | None = None) -> dict[str, str]:
    """Return the contents of the files of a format by their names, which may hold folders.

    With `baseline`, a server of the run, a format of values also gets the others' ratios to it. Raises UsageError for
    a format or a server that is not known, or if the run has nothing that the format can show.
    """
    module = _module(name)
    if _shows_values(module):
        from bench.analysis.export._values import of_run  # noqa: PLC0415 - only what this format needs

        files: dict[str, str] = module.render_values(of_run(run, baseline))
        return files
    if baseline is not None:
        raise UsageError(f"{name} has no place for ratios: --baseline goes with {_listed()}")
    shown: dict[str, str] = module.render(run)
    return shown


def render_comparison(name: str, path: Path) -> dict[str, str]:
    """Return the same for what `echobench regress --json` printed to a file. Raises UsageError or MeasurementError."""
    from bench.analysis.export._values import of_comparison  # noqa: PLC0415 - only what this format needs

    module = _module(name)
    if not _shows_values(module):
        raise UsageError(f"{path} is a comparison, which {_listed()} can show; {name} needs the folder of a run")
    files: dict[str, str] = module.render_values(of_comparison(path))
    return files


def formats_of_values() -> tuple[str, ...]:
    """Return the names of the formats that show values with intervals, and so ratios."""
    return tuple(name for name in formats() if _shows_values(_module(name)))


def _listed() -> str:
    return " and ".join(formats_of_values())


def _module(name: str) -> ModuleType:
    known = formats()
    if name not in known:
        told = [one for one, words in known.items() if name.lower() in words.lower()]
        if len(told) == 1:  # as `prometheus`, which reads openmetrics
            raise UsageError(f"unknown format {name!r}: did you mean {told[0]!r}? {known[told[0]]}")
        raise unknown_name("format", name, known)
    return importlib.import_module(f"{__name__}.{name.replace('-', '_')}")


def _shows_values(module: ModuleType) -> bool:
    return hasattr(module, "render_values")


def write(files: dict[str, str], folder: Path) -> list[Path]:
    """Write the files under a folder, made if need be; return their paths. Raises what `unwritable` returns."""
    paths = []
    try:
        for name, text in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", errors=UNDECODED)
            paths.append(path)
    except OSError as error:
        raise unwritable(error.filename or folder, error, "choose another folder with --out") from error
    return paths
