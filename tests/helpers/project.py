"""A repository of somebody else, for what compares two commits. Only git runs here; servers belong to the tests."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

SERVER = """
import socket, sys
BURN = {burn}
listener = socket.create_server(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])))
while True:
    connection, _ = listener.accept()
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        while data := connection.recv(65536):
            for _ in range(BURN):
                pass
            connection.sendall(data)
    except OSError:
        pass
    connection.close()
"""


class Project:
    """A small git repository of somebody else: a package `myserver` that echoes, and burns time before it answers."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir()
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *arguments: str) -> str:
        identity = ["-c", "user.name=somebody", "-c", "user.email=some@body", "-c", "commit.gpgsign=false"]
        files = ["-c", "protocol.file.allow=always"]
        done = subprocess.run(
            ["git", *identity, *files, *arguments], cwd=self.root, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def write(self, burn: int) -> None:
        (self.root / "myserver").mkdir(exist_ok=True)
        (self.root / "myserver" / "__init__.py").write_text(f"BURN = {burn}\n")
        (self.root / "myserver" / "__main__.py").write_text(SERVER.format(burn=burn))

    def commit(self, burn: int | None = None) -> str:
        if burn is not None:
            self.write(burn)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message=a change")
        return self.git("rev-parse", "HEAD")
