"""Proves, before anything is measured, that each arm of two revisions runs code of its own. Starts what `witness` does.

An arm that leads into the user's checkout or the other arm, or loads a file that both set-ups wrote, is refused. Arms
that differ as revisions, and load the same, are measured. But what is equal there says nothing of the difference.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
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

Prover: TypeAlias = Callable[[Prepared], Mapping[str, str]]
"""What looks at the arms: cells whose arms load the same although they differ, each with a sentence."""

_CURE = "let the set-up install each revision in its own tree or environment"
_NAMES_SHOWN = 3


def prove(arms: Prepared) -> dict[str, str]:
    """Look at the servers of both arms, and return the cells in which they load the same although they differ.

    Raises UsageError, with the name of the file, where an arm runs files of the checkout, of the other arm, or of
    another place that both set-ups wrote to. Two servers that are no revisions (--a and --b) are not looked at.
    """
    found = {}
    for cell in arms.cells if arms.built else ():
        if any(server.gap is not None for server in cell.servers.values()):
            continue
        homes = {arm: (where.home,) for arm, where in arms.built.items()}
        loaded = look(cell.servers, homes, cell.workload.message_bytes, together=cell.together)
        for arm, seen in loaded.items():
            _refuse_checkout(arms.built[arm], seen)
        if len(loaded) == len(Arm):
            _refuse_shared(arms.built, loaded)
            if arms.changed and _load_the_same(loaded):
                found[cell.name] = _sentence(arms.changed, loaded[Arm.BASELINE])
    return found


def believed(comparison: Comparison, unproven: Mapping[str, str]) -> Comparison:
    """Return a verdict in which no cell is fine whose arms were not shown to differ, and which says so of each."""
    return replace(comparison, cells=tuple(_believed(cell, unproven.get(cell.cell)) for cell in comparison.cells))


def _believed(cell: CellVerdict, unproven: str | None) -> CellVerdict:
    if unproven is None or cell.word in {Word.INVALID, Word.NO_BASELINE}:
        return cell
    if cell.word is Word.REGRESSED:  # by what no file shows, or by chance
        return replace(cell, reason=f"{cell.reason}; {unproven}")
    return replace(cell, word=Word.INCONCLUSIVE, reason=unproven)


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
        if path.suffix != ".pyc" and path.exists() and path.stat().st_ctime_ns >= began_ns:
            raise UsageError(
                f"both arms load {path}, which was written since the first set-up began, so the second arm's took the"
                " place of the first's: write it below the folder that the set-up runs in"
            )


def _load_the_same(loaded: Mapping[Arm, Loaded]) -> bool:
    one, other = loaded.values()
    return one.is_whole and other.is_whole and (one.own, one.others) == (other.own, other.others)


def _sentence(changed: tuple[str, ...], seen: Loaded) -> str:
    more = ", …" if len(changed) > _NAMES_SHOWN else ""
    files = f"{plural(len(changed), 'file')} ({', '.join(changed[:_NAMES_SHOWN])}{more})"
    own = sum(name.startswith("tree/") for name, _ in seen.own)
    same = (
        f"each arm loaded {plural(own, 'file')} of its own, equal in both" if own else "no arm loaded a file of its own"
    )
    return f"the revisions differ in {files}, but {same}: the difference was not measured"
