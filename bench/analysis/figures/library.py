"""The plotting library of the page, uPlot: which version, from where, and its text. Knows no run, and draws nothing.

Why uPlot: it is 50 KB, needs nothing else, and opens from disk. It draws gaps, logarithmic scales and points whose
cursor several plots share, and tens of thousands of points do not slow it. Vega-Lite and Plotly weigh 20 times as much,
which every page would carry. Observable Plot draws SVG anew for each zoom, and needs D3 beside it.

The files in `vendor/` are those of the package, byte for byte. To take a newer version, change VERSION, run

    python -m bench.analysis.figures.library

which fetches it and prints the sums for SHA256, and open a page in a browser. A test holds the files to these sums.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path
from urllib.request import urlopen

VERSION = "1.6.32"
SOURCE = f"https://registry.npmjs.org/uplot/-/uplot-{VERSION}.tgz"
VENDOR = Path(__file__).parent / "vendor"
FILES = {
    "uPlot.iife.min.js": "package/dist/uPlot.iife.min.js",
    "uPlot.min.css": "package/dist/uPlot.min.css",
    "uPlot.LICENSE": "package/LICENSE",
}
"""The files of ours, and where each stands in the package."""

SHA256 = {
    "uPlot.iife.min.js": "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
    "uPlot.min.css": "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
    "uPlot.LICENSE": "8f989229699b4fe2f1a0432d0e9edc338a8a911e250e2d1b01ecd770a5f5b1bd",
}


def script() -> str:
    """Return the library as JavaScript, which defines `uPlot`, with its licence before it as a comment."""
    return f"/*! uPlot {VERSION}\n{_read('uPlot.LICENSE')}*/\n{_read('uPlot.iife.min.js')}"


def style() -> str:
    """Return the CSS of the library."""
    return _read("uPlot.min.css")


def _read(name: str) -> str:
    return (VENDOR / name).read_text(encoding="utf-8")


def fetch() -> dict[str, str]:
    """Fetch the package of VERSION, put its files in place, and return their sums. Raises OSError without a network."""
    with urlopen(SOURCE, timeout=60) as answer, tarfile.open(fileobj=io.BytesIO(answer.read())) as package:
        for name, member in FILES.items():
            file = package.extractfile(member)
            assert file is not None
            (VENDOR / name).write_bytes(file.read())
    return sums()


def sums() -> dict[str, str]:
    """Return the SHA-256 of each file in place."""
    return {name: hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() for name in FILES}


if __name__ == "__main__":
    for name, found in fetch().items():
        print(f'    "{name}": "{found}",')
