"""Two revisions of a git repository, checked out side by side. Only git is run here.

The user's checkout, index and stash are never touched. The working tree is written as a commit that no branch holds,
through an index of its own, and both arms are checked out elsewhere.
"""

from __future__ import annotations

import contextlib
import fcntl
import glob
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import BenchError, NoBaselineError, UsageError
from bench.experiment.trial import lifeline
from bench.interrupts import put_off
from bench.scratch import cleared, scratch
from bench.text import TEMPORARY
from bench.verdict.pairs import Arm

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FOLDERS = {Arm.BASELINE: "base", Arm.CANDIDATE: "head"}
"""Names of equal length, because the length of a path moves memory, which alone can change a speed."""

TREE = "tree"
WORKING_TREE = "working tree"
_GITLINK = "160000"
_ALONE = ("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "advice.detachedHead=false")
"""Git runs no hook of the user's, starts no daemon for an arm, and looks at the files instead of asking either."""

_POINTING_ELSEWHERE = frozenset(
    f"GIT_{name}"
    for name in (
        *("DIR", "WORK_TREE", "COMMON_DIR", "INDEX_FILE", "OBJECT_DIRECTORY", "ALTERNATE_OBJECT_DIRECTORIES"),
        *("PREFIX", "NAMESPACE", "IMPLICIT_WORK_TREE", "SHALLOW_FILE", "GRAFT_FILE", "REPLACE_REF_BASE"),
    )
)
"""Variables that a hook or an alias of git sets for its own repository. All others are the user's, and reach git."""
_NO_COMMIT = re.compile(r"\s*|0{7,}")
_IDENTITY = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "echobench"), ("EMAIL", "echobench@localhost"), ("DATE", "2000-01-01T00:00:00+0000"))
}


class GitError(UsageError):
    """Git refused. The message has its own sentence, which says what to do better than we could."""


@dataclass(frozen=True, slots=True)
class Repository:
    """A git repository, and where in it the user stands."""

    root: Path
    prefix: Path

    def records_of_worktrees(self) -> Path:
        """Return the folder in which git keeps a record of each worktree; it may not be there."""
        return self.root / _git(self.root, "rev-parse", "--git-path", "worktrees")[:-1]


@dataclass(frozen=True, slots=True)
class Revision:
    """A commit by its full hash, the hash of its files, and what people call it."""

    commit: str
    tree: str
    label: str


def repository(here: Path) -> Repository:
    """Find the repository around a folder. Raise UsageError if there is none, or git does not open it."""
    if shutil.which("git") is None:
        raise UsageError("git is not on the PATH: it is needed to compare revisions; --a and --b do without it")
    try:
        root, prefix = (_git(here, "rev-parse", asked)[:-1] for asked in ("--show-toplevel", "--show-prefix"))
    except GitError as error:
        if "not a git repository" in str(error):
            led = " (GIT_DIR is not followed here)" if "GIT_DIR" in os.environ else ""
            raise UsageError(f"{here} is in no git repository{led}: go to one, or compare with --a and --b") from error
        if "must be run in a work tree" in str(error):
            raise UsageError(
                f"{here} has no working tree, as a bare repository: go to a clone or worktree of it"
            ) from error
        raise
    where = Repository(Path(root), Path(prefix))
    if not (where.root / ".git").exists():  # git itself finds it by GIT_DIR alone
        raise UsageError(f"the files of this repository are in {root} (core.worktree), from where git does not find it")
    records = where.records_of_worktrees()
    if not os.access(records if records.exists() else records.parent, os.W_OK):
        raise UsageError(
            f"{records.parent} cannot be written, where git keeps a record of each worktree: clone the repository to a"
            f" folder that can be (git clone {shlex.quote(root)} FOLDER), and go there"
        )
    return where


def refuse_placeholder(option: str, name: str) -> None:
    """Raise UsageError for a name that stands for no commit: an empty variable, or the zeros of a new branch."""
    if _NO_COMMIT.fullmatch(name):
        given = f"is {name}, which stands for no commit" if name.strip() else "is empty"
        raise UsageError(
            f"{option} {given}. Pass what the event of your CI names: in a merge queue of GitHub "
            "github.event.merge_group.base_sha, for a pull request HEAD^1 of its merge commit, after a push "
            "github.event.before; for the first push of a branch, where that is zeros, pass origin/main"
        )


def resolve(where: Repository, name: str, error: type[BenchError]) -> Revision:
    """Find a commit by any name git understands. Raise `error` if it is not here, and UsageError if it is not one."""
    asked = ("-c", "core.warnAmbiguousRefs=true", "rev-parse", "--verify", "--end-of-options")
    try:
        found, warned = _answer(where.root, *asked, name)  # ":/text" takes all that follows, so it is peeled after
        commit = _git(where.root, *asked, f"{found.strip()}^{{commit}}").strip()
    except GitError as failed:
        _refuse_no_commit(where, name)
        is_shallow = _git(where.root, "rev-parse", "--is-shallow-repository").strip() == "true"
        cure = "in this shallow clone: check out with fetch-depth: 0" if is_shallow else f"in {where.root}: fetch it"
        raise error(f"there is no revision {name!r} {cure}") from failed
    if " is ambiguous" in warned:
        raise UsageError(f"{name!r} names more than one: say refs/heads/… for the branch, or refs/tags/… for the tag")
    label = commit[:8] if commit.startswith(name) else f"{name} ({commit[:8]})"
    return Revision(commit, _git(where.root, "rev-parse", f"{commit}^{{tree}}").strip(), label)


def _refuse_no_commit(where: Repository, name: str) -> None:
    """Raise UsageError for a range, the name of a file or folder in git, and for a repository without any commit."""
    with contextlib.suppress(GitError):
        if _git(where.root, "rev-parse", "--revs-only", "--end-of-options", name).count("\n") > 1:
            raise UsageError(f"{name!r} is a range of revisions: name one commit")
    with contextlib.suppress(GitError):
        kind = _git(where.root, "cat-file", "-t", "--end-of-options", name).strip()
        raise UsageError(f"{name!r} is a {kind} of git: name a commit, or a branch or tag of one")
    if not _git(where.root, "rev-list", "--all", "--max-count=1"):
        raise UsageError(f"{where.root} has no commit yet: commit first, so that there is something to compare with")


def require_folder(where: Repository, revision: Revision, error: type[BenchError]) -> None:
    """Raise `error` if a revision does not have the folder where the user stands: commands run in that folder."""
    folder = where.prefix.as_posix()
    if where.prefix != Path() and not _git(where.root, "ls-tree", "-d", revision.commit, "--", folder):
        raise error(
            f"{revision.label} has no folder {folder}, where this command was given: it was moved, renamed or is new, "
            f"or git does not hold it. Go to a folder that both revisions have, such as {where.root}"
        )


def working_tree(where: Repository) -> Revision:
    """Write the working tree, untracked files that are not ignored included, as a commit, and return that.

    Raises UsageError for a submodule with changes of its own, which no commit of this repository can hold, and in the
    middle of a merge with conflicts.
    """
    status = _status(where)
    unmerged = [line.split(" ", 10)[-1] for line in status if line.startswith("u ")]
    if unmerged:
        raise UsageError(f"{unmerged[0]} has a conflict that is not resolved: finish the merge, or give --head REV")
    dirty = [line.split(" ", 8)[-1] for line in status if _is_dirty_submodule(line)]
    if dirty:
        raise UsageError(f"submodule {dirty[0]} has changes that are not committed: commit or discard them there first")
    head = resolve(where, "HEAD", UsageError)
    with scratch() as folder:
        index = folder / "index"
        ours = where.root / _git(where.root, "rev-parse", "--git-path", "index").strip()
        if ours.exists():
            shutil.copyfile(ours, index)
        env = {"GIT_INDEX_FILE": str(index), **_IDENTITY}
        try:
            _git(where.root, "add", "--all", "--", *_but_ours(where.root), env=env)
        except GitError as failed:
            raise UsageError(f"the working tree of {where.root} cannot be read: {failed}") from failed
        tree = _git(where.root, "write-tree", env=env).strip()
        if tree == head.tree:
            return Revision(head.commit, tree, f"{WORKING_TREE} ({head.commit[:8]})")
        commit = _git(where.root, "commit-tree", tree, "-p", head.commit, "-m", WORKING_TREE, env=env).strip()
    return Revision(commit, tree, f"{WORKING_TREE} ({head.commit[:8]} with changes)")


def _but_ours(root: Path) -> list[str]:
    """Return the pathspec that leaves out our own folders where TMPDIR is a folder of the working tree."""
    folder, root = Path(tempfile.gettempdir()).resolve(), root.resolve()
    ours = [folder.relative_to(root) / TEMPORARY] if folder.is_relative_to(root) else []
    return [f":(top,exclude){glob.escape(str(path))}*" for path in ours]


def changed(where: Repository, revisions: Mapping[Arm, Revision]) -> tuple[str, ...]:
    """Return the names of the files in which the revisions differ."""
    trees = (revisions[Arm.BASELINE].tree, revisions[Arm.CANDIDATE].tree)
    names = _git(where.root, "diff-tree", "-r", "-z", "--name-only", *trees)
    return tuple(filter(None, names.split("\0")))


@contextlib.contextmanager
def checked_out(where: Repository, revisions: Mapping[Arm, Revision], workspace: Path) -> Iterator[dict[Arm, Path]]:
    """Check both arms out under `workspace`, submodules included, and remove them afterwards.

    Raises NoBaselineError, or UsageError for the candidate, if git cannot.
    """
    records = where.records_of_worktrees()
    with _alone(records):
        _forget_left(where, records)
    folders = {arm: workspace / FOLDERS[arm] / TREE for arm in revisions}
    try:
        for arm, revision in revisions.items():
            error = NoBaselineError if arm is Arm.BASELINE else UsageError
            try:
                with _alone(records):
                    _git(where.root, "worktree", "add", "--detach", str(folders[arm]), revision.commit)
            except GitError as failed:
                raise error(f"{revision.label} cannot be checked out: {failed}") from failed
            _fill_submodules(where.root, revision.commit, folders[arm], error)
        yield folders
    finally:
        with put_off(), _alone(records):
            for arm in revisions:
                lifeline.remove(workspace / FOLDERS[arm], worktrees=records)


@contextlib.contextmanager
def _alone(records: Path) -> Iterator[None]:
    """Hold a lock on git's folder. Git reads the records of all worktrees, and fails at one that is half written."""
    folder = os.open(records.parent, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _forget_left(where: Repository, records: Path) -> None:
    """Remove the worktrees of comparisons that were killed, with the folders that hold them, and git's records."""
    for line in _git(where.root, "worktree", "list", "--porcelain").splitlines():
        tree = Path(line.removeprefix("worktree "))
        home = tree.parent.parent
        is_ours = tree.name == TREE and tree.parent.name in FOLDERS.values() and home.name.startswith(TEMPORARY)
        if line.startswith("worktree ") and is_ours and cleared(home):
            lifeline.remove(home, worktrees=records)


def _fill_submodules(root: Path, commit: str, tree: Path, error: type[BenchError]) -> None:
    """Put the files of each submodule in place from its local clone. A submodule without a local clone stays empty."""
    for line in _git(root, "ls-tree", "-r", "-z", commit).split("\0"):
        facts, _, path = line.partition("\t")
        local = root / path
        if not facts.startswith(_GITLINK) or not (local / ".git").exists():
            continue
        wanted = facts.split()[2]
        try:
            _git(local, "cat-file", "-e", f"{wanted}^{{commit}}")
        except GitError as failed:
            raise error(f"submodule {path} has no commit {wanted[:8]} here: run git -C {path} fetch") from failed
        with scratch() as folder:
            env = {"GIT_INDEX_FILE": str(folder / "index")}
            _git(local, f"--work-tree={tree / path}", "read-tree", "--reset", "-u", wanted, env=env)
        _fill_submodules(local, wanted, tree / path, error)


def _status(where: Repository) -> list[str]:
    return _git(where.root, "status", "--porcelain=v2", "--ignore-submodules=none").splitlines()


def _is_dirty_submodule(line: str) -> bool:
    """Read the submodule field of porcelain v2, `S<commit><modified><untracked>`; a new commit alone is fine."""
    fields = line.split(" ")
    return fields[0] in {"1", "2"} and fields[2].startswith("S") and fields[2][2:] != ".."


def _git(where: Path, *arguments: str, env: Mapping[str, str] | None = None) -> str:
    """Run git and return its output. Raise GitError if it fails."""
    return _answer(where, *arguments, env=env)[0]


def _answer(where: Path, *arguments: str, env: Mapping[str, str] | None = None) -> tuple[str, str]:
    """Run git with the user's variables, but for those that point to another repository.

    Return its output and what it said beside. Raise GitError if it fails.
    """
    ours = {name: value for name, value in os.environ.items() if name not in _POINTING_ELSEWHERE}
    done = subprocess.run(
        ["git", *_ALONE, *arguments],  # noqa: S607 - the user's own git, as found on the PATH
        cwd=where,
        env={**ours, "LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", **(env or {})},
        capture_output=True,
        check=False,
    )
    if done.returncode:
        raise GitError(f"git failed in {where}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout.decode(errors="surrogateescape"), done.stderr.decode(errors="replace")
