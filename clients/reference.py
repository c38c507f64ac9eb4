"""`python -m clients.reference …`: build the C reference generator if need be, and become it.

It is compiled once per source, compiler and user, into the cache folder. No logic of the load belongs here.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SOURCE = Path(__file__).with_name("reference.c")
_FLAGS = ("-O2", "-std=gnu11")


class CompilerError(Exception):
    """There is no compiler, or it failed; the message says what to do."""


def binary() -> Path:
    """Return the compiled generator, built on first use. Raise CompilerError."""
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        raise CompilerError("there is no C compiler: install one (apt-get install gcc), or name it in CC")
    key = hashlib.sha256(b"\0".join([SOURCE.read_bytes(), compiler.encode(), *map(str.encode, _FLAGS)])).hexdigest()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "echobench"
    built = cache / f"reference-generator-{key[:16]}"
    if not built.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            fresh = Path(scratch) / "reference"
            done = subprocess.run(
                [compiler, *_FLAGS, "-o", str(fresh), str(SOURCE)],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                raise CompilerError(f"{compiler} cannot build {SOURCE}:\n{done.stderr.strip()}")
            fresh.rename(built)  # atomic: two runs at once end with one whole file
    return built


def main() -> None:
    """Become the generator, with the arguments given; with none, only build it."""
    try:
        program = str(binary())
    except CompilerError as error:
        sys.exit(f"clients.reference: {error}")
    if sys.argv[1:]:
        os.execv(program, [program, *sys.argv[1:]])  # noqa: S606  # becoming it is the point


if __name__ == "__main__":
    main()
