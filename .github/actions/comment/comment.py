"""Write the verdict of a comparison into one comment under its pull request, and keep that comment up to date.

The folder comes from a job that ran the code of the pull request, so nothing in it is trusted. The number of the pull
request counts only if that pull request is at the commit that was compared. The text is shown and never run. Needs the
standard library only, and imports nothing of ours.
"""

from __future__ import annotations

import json
import os
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

CHARACTERS_MAX = 60_000
"""GitHub refuses a comment of more than 65,536."""

PAGE = 100
"""Comments that GitHub gives at once, at most."""

TIMEOUT_S = 30


@dataclass(frozen=True)
class Repository:
    """A repository as GitHub's REST API has it."""

    url: str
    token: str

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Return the answer to one request. Raises HTTPError and URLError."""
        request = urllib.request.Request(  # noqa: S310 - the address is the runner's, not the pull request's
            f"{self.url}/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.token}", "Accept": "application/vnd.github+json"},
        )
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310 - as above
            return json.load(answer)

    def comment_with(self, number: int, mark: str) -> int | None:
        """Return the id of the comment of a bot that begins with a mark, or None."""
        page = 1
        while found := self.call("GET", f"issues/{number}/comments?per_page={PAGE}&page={page}"):
            for comment in found:
                if comment["user"]["type"] == "Bot" and comment["body"].startswith(mark):
                    return int(comment["id"])
            page += 1
        return None


def main(folder: Path, environ: Mapping[str, str]) -> str:
    """Write the comment, and return what was done. Raises ValueError for a folder that holds no number."""
    said, numbered = folder / "regress.md", folder / "pull-request"
    if not (said.is_file() and numbered.is_file()):
        return f"{folder} has no verdict of a pull request: no comment is written"
    number = int(numbered.read_text(encoding="ascii"))
    repository = Repository(
        url=f"{environ['GITHUB_API_URL']}/repos/{environ['GITHUB_REPOSITORY']}", token=environ["GITHUB_TOKEN"]
    )
    if repository.call("GET", f"pulls/{number}")["head"]["sha"] != environ["HEAD_SHA"]:
        return f"pull request {number} is not at the commit that was compared: no comment is written"
    mark = f"<!-- {environ['NAME']} -->"
    body = {"body": f"{mark}\n{said.read_text(encoding='utf-8', errors='replace')[:CHARACTERS_MAX]}"}
    there = repository.comment_with(number, mark)
    if there is None:
        repository.call("POST", f"issues/{number}/comments", body)
        return f"a comment is written under pull request {number}"
    repository.call("PATCH", f"issues/comments/{there}", body)
    return f"the comment under pull request {number} is up to date"


if __name__ == "__main__":
    try:
        print(main(Path(sys.argv[1]), os.environ))
    except (OSError, ValueError) as error:  # HTTPError is an OSError
        sys.exit(f"the comment could not be written: {error}")
