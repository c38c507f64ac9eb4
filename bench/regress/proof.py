"""Proves, before anything is measured, that each arm runs code of its own. Starts what `witness` does.

An arm of a revision that leads into the user's checkout or the other arm, or loads a file that both set-ups wrote, is
refused. Arms that differ, and load the same, are measured. But what is equal there says nothing of the difference.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from bench.errors import UsageError
from bench.regress.request import Prepared
from bench.regress.witness import Loaded, look
from bench.units import plural
from bench.verdict.pairs import Arm
from bench.verdict.words import Word

if TYPE_CHECKING:
    from pathlib import Path

    from bench.regress.arms import Environment
    from bench.verdict.values import CellVerdict, Comparison

Prover: TypeAlias = Callable[[Prepared], "Mapping[str, Remark]"]
"""What looks at the arms: cells whose arms load the same, each with what is to be said of that."""

_CURE = "let the set-up install each revision in its own tree or environment"
_NAMES_SHOWN = 3
_NAMED_BY_CONTENT = re.compile(r"[0-9a-f]{32}")
"""In the name of a file of a cache (Go, ccache): another content has another name, so no arm replaces the other's."""

_DOCUMENT = re.compile(
    r"(^|/)(docs?|\.github)/|\.(md|rst|adoc)$"
    r"|(^|/)(README|LICEN[CS]E|COPYING|NOTICE|AUTHORS|CHANGELOG|CHANGES|NEWS)(\.txt)?$",
    re.IGNORECASE,
)
"""The names of files that no server is made of."""


@dataclass(frozen=True, slots=True)
class Remark:
    """What was found of the arms of a cell, as a sentence; if it `may_be_fine`, a verdict of OK can stand beside it."""

    text: str
    may_be_fine: bool = False


SAME = Remark("both arms are the same code", may_be_fine=True)


def prove(arms: Prepared) -> dict[str, Remark]:
    """Look at the servers of both arms, and return what is to be said of the cells in which they load the same.

    Raises UsageError, with the name of the file, where an arm of a revision runs files of the checkout, of the other
    arm, or of another place that both set-ups wrote to. Of two servers (--a and --b), those are looked at that nothing
    but their folders tells apart.
    """
    found = {cell.name: SAME for cell in arms.cells} if arms.same else {}
    for cell in arms.cells if arms.homes else ():
        if any(server.gap is not None for server in cell.servers.values()):
            continue
        together = cell.together and bool(arms.built)  # else both would seem to open what one opens in the other's
        loaded = look(cell.servers, arms.homes, cell.workload.message_bytes, together=together)
        for arm in loaded if arms.built else ():
            _refuse_checkout(arms.built[arm], loaded[arm])
        if len(loaded) < len(Arm):
            continue
        if arms.built:
            _refuse_shared(arms.built, loaded)
        if arms.changed and _load_the_same(loaded):
            found[cell.name] = _remark(arms, loaded[Arm.BASELINE])
    return found


def believed(comparison: Comparison, remarks: Mapping[str, Remark]) -> Comparison:
    """Return a verdict in which no cell is fine whose arms were not shown to differ, and which says so of each."""
    return replace(comparison, cells=tuple(_believed(cell, remarks.get(cell.cell)) for cell in comparison.cells))


def _believed(cell: CellVerdict, remark: Remark | None) -> CellVerdict:
    if remark is None or cell.word in {Word.INVALID, Word.NO_BASELINE}:
        return cell
    if remark.may_be_fine or cell.word is Word.REGRESSED:  # by what no file shows, or by chance
        return replace(cell, note=remark.text)
    return replace(cell, word=Word.INCONCLUSIVE, reason=remark.text)


def _refuse_checkout(where: Environment, seen: Loaded) -> None:
    checkout, workspace = where.checkout, where.home.parent.resolve()
    ways = [(pth, place) for pth in seen.pths for place in checkout.added_by(pth)]
    ways = [(pth, place) for pth, place in ways if not (checkout.root / place).resolve().is_relative_to(workspace)]
    for path in sorted(seen.others):
        if path.is_relative_to(workspace):
            raise UsageError(f"{where.label} loads {path}, which belongs to the other arm: {_CURE}")
        if checkout.code(path) is not None:
            pth = next((pth for pth, place in ways if path.is_relative_to(checkout.root / place)), None)
            by = f" ({pth} leads there)" if pth else ""
            raise UsageError(
                f"{where.label} loads {path} of your checkout{by}, so both arms would run the same code: {_CURE}"
            )
    for pth, place in ways:
        if not _has_own(seen, place):
            raise UsageError(
                f"{pth} lets {where.label} import from {checkout.root / place} of your checkout, which is the same for"
                f" both arms: {_CURE}"
            )


def _has_own(seen: Loaded, place: Path) -> bool:
    """Say whether an arm loaded files of its own from the place that a .pth names in the checkout: then they win."""
    name = "tree" if str(place) == "." else f"tree/{place}"
    return any(own == name or own.startswith(f"{name}/") for own, _ in seen.own)


def _refuse_shared(built: Mapping[Arm, Environment], loaded: Mapping[Arm, Loaded]) -> None:
    began_ns = min(where.began_ns for where in built.values())
    for path in sorted(loaded[Arm.BASELINE].others & loaded[Arm.CANDIDATE].others):
        if path.suffix == ".pyc" or _NAMED_BY_CONTENT.search(path.name):
            continue
        if path.exists() and path.stat().st_ctime_ns >= began_ns:
            raise UsageError(
                f"both arms load {path}, which was written since the first set-up began, so the second arm's took the"
                " place of the first's: write it below the folder that the set-up runs in"
            )


def _load_the_same(loaded: Mapping[Arm, Loaded]) -> bool:
    one, other = loaded.values()
    return one.is_whole and other.is_whole and (one.own, one.others) == (other.own, other.others)


def _remark(arms: Prepared, seen: Loaded) -> Remark:
    """Return what is said of arms that differ, and load the same.

    Documents alone change no server. But code that changed, and was not loaded, may be what should have been measured:
    a copy of it, installed or compiled before, may have been loaded in its place.
    """
    changed = arms.changed
    more = ", …" if len(changed) > _NAMES_SHOWN else ""
    files = f"{plural(len(changed), 'file')} ({', '.join(changed[:_NAMES_SHOWN])}{more})"
    own = sum(name.startswith("tree/") or not arms.built for name, _ in seen.own)
    if own and all(map(_DOCUMENT.search, changed)):
        return Remark(f"the server loads nothing of what changed: {files}", may_be_fine=True)
    same = (
        f"each arm loaded {plural(own, 'file')} of its own, equal in both" if own else "no arm loaded a file of its own"
    )
    what = "revisions" if arms.built else "folders"
    return Remark(f"the {what} differ in {files}, but {same}, so the difference was not measured")
