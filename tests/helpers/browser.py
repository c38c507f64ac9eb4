"""A headless Chromium that is installed opens a page with a driver in it, and returns what the driver left as JSON."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

TIMEOUT_S = 60

LISTEN = "<script>window.faults = []; addEventListener('error', (event) => faults.push(event.message));</script>"
ANSWER = """
<script>
function answer(found) {
  const there = document.body.appendChild(document.createElement("pre"));
  there.id = "found";
  there.textContent = JSON.stringify(found);
}
</script>
"""


def browse(folder: Path, content: str, fragment: str = "") -> Any:
    """Open a file in Chromium and return what its driver left. Skip where there is no Chromium."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("there is no Chromium on the PATH: apt-get install chromium")
    file = folder / "page.html"
    file.write_text(content, encoding="utf-8")
    profile = f"--user-data-dir={folder / 'profile'}"
    quiet = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        profile,
    ]
    command = [program, *quiet, "--virtual-time-budget=10000", "--dump-dom", f"{file.as_uri()}{fragment}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=True)
    left = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.DOTALL)
    assert left is not None, done.stderr
    return json.loads(html.unescape(left[1]))
