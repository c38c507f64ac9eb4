"""The report of a run: one HTML file that needs nothing else, with the plots and tables beside it.

Everything in it is made again from the records. If a published run has no records, it is made from the tables. The same
run gives the same bytes. No number is computed here.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from bench import metrics, units
from bench.analysis.estimates import rebase, remarks
from bench.analysis.estimates.cells import LEVEL
from bench.analysis.estimates.ranking import rank
from bench.analysis.estimates.thresholds import judge
from bench.analysis.estimates.wander import wander
from bench.analysis.figures import gallery, heat
from bench.analysis.figures.svg import inline
from bench.analysis.report.choosing import breaking, choices
from bench.analysis.report.closer import closer
from bench.analysis.report.raw import of_run
from bench.analysis.report.servers import servers
from bench.analysis.report.tables import commands, doubts, facts, failures, leads, load_tables, plan_text
from bench.analysis.report.template import filled
from bench.analysis.report.words import alone, answer, limits, scope, undrawn
from bench.analysis.runs import run_folder
from bench.errors import unwritable
from bench.experiment.model import Status
from bench.experiment.store import State
from bench.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.analysis.estimates.ranking import Ranking
    from bench.analysis.runs.run_folder import Run

REPORT_FILE = "report.html"
PLOTS_FOLDER = "plots"
OF_RATIOS = ("forest", "ratio")
"""The figures of ratios. The first that was drawn opens the page, and its baseline can be switched."""
_HERE = Path(__file__).parent


def build(run_dir: Path, out: Path | None = None) -> Path:
    """Rebuild tables, plots and report of a run, in its folder or in `out`; return the path of the report.

    With `out` nothing is written to the run's own folder. Raises UsageError if this is no run or `out` cannot be
    written, MeasurementError if the run holds no trial, or if there is no room.
    """
    return rebuild(run_folder.load(run_dir, from_records=True), out or run_dir)


def rebuild(run: Run, folder: Path, *, baseline: str | None = None) -> Path:
    """Do what `build` does for a run that was read from its records. Its tables are written if it is from `folder`.

    Ratios are to `baseline`, or to what `rank` takes. Raises UsageError if `baseline` was not measured.
    """
    if folder.resolve() == run.path and run_folder.has_records(folder):
        run_folder.write_tables(run)
    return write(run, rank(run, baseline), folder)


def write(run: Run, found: Ranking, folder: Path) -> Path:
    """Draw a run that is ranked, write plots and report to a folder, and return the path of the report.

    Raises UsageError if the folder cannot be written, MeasurementError if there is no room.
    """
    drawn = gallery.draw(run, found)
    others = to_other_baselines(run, found, drawn)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        gallery.write(drawn, folder / PLOTS_FOLDER)
        write_atomically(folder / REPORT_FILE, render(run, found, drawn, others, folder))
    except OSError as error:
        raise unwritable(folder, error, "choose another folder with --out") from error
    return folder / REPORT_FILE


def to_other_baselines(run: Run, found: Ranking, drawn: Sequence[gallery.Picture]) -> list[gallery.Redrawn]:
    """Draw the first figure of the page again for each other baseline that a reader may choose."""
    name = next((picture.name for picture in drawn if picture.name in OF_RATIOS), None)
    return [] if name is None else gallery.redraw(run, name, rebase.to_other_baselines(found))


def render(
    run: Run,
    found: Ranking,
    drawn: Sequence[gallery.Picture],
    others: Sequence[gallery.Redrawn] = (),
    folder: Path | None = None,
) -> str:
    """Render the report of a run.

    `others` are its first figure to other baselines, which a reader may choose. Raw files in the `folder` where the
    page will be are linked.
    """
    return filled(
        "page.html.j2",
        **_said(run, found),
        **_numbers(run, found),
        **_figures(run, found, drawn, others),
        **_behind(run, found, folder),
        js=Markup((_HERE / "page.js").read_text(encoding="utf-8")),  # noqa: S704 - it is our own
    )


def _said(run: Run, found: Ranking) -> dict[str, Any]:
    """Return what the page says in sentences: which run it is, which server to choose, and where they break."""
    title, said = answer(found)
    return {
        "run": run.id,
        "partial": _partial(run),
        "damage": run.damage,
        "origin": _origin(run),
        "title": title,
        "thresholds": judge(run),
        "answer": said,
        "breaking": breaking(run, found),
        "limits": limits(found),
        "alone": alone(found),
        "scope": scope(run, found),
        "comparison": remarks.comparison(found),
        "wandering": remarks.wandering(wander(run, found)),
        "teaching": remarks.TEACHING,
    }


def _numbers(run: Run, found: Ranking) -> dict[str, Any]:
    """Return the tables of the page with their words: the choice at each load, who leads, every metric."""
    chosen, led = choices(found), leads(found)
    return {
        "question": found.question.noun,
        "question_title": found.question.title,
        "choices": chosen,
        "leads": led if len(led) > len(chosen) else [],  # else the first screen has them all
        "metrics": [metric.title for metric in metrics.TABLE],
        "load_tables": load_tables(run, found),
        "level": units.share(LEVEL),
        "level_sign": remarks.LEVEL_SIGN,
    }


def _figures(
    run: Run, found: Ranking, drawn: Sequence[gallery.Picture], others: Sequence[gallery.Redrawn]
) -> dict[str, Any]:
    """Return the figures, those that open the page first, and what is said of those that were not drawn."""
    first = (*OF_RATIOS, "p99" if found.sweep.open_loop else "throughput")
    return {
        "plots": [_figure(picture) for picture in sorted(drawn, key=lambda picture: picture.name not in first)],
        "baseline": found.baseline,
        "others": [
            {"baseline": one.baseline, "title": one.title, "svg": inline(one.svg, f"to-{place}")}
            for place, one in enumerate(others)
        ],
        "undrawn": undrawn(found),
        "left_out": heat.left_out(run),
        "closer": closer(run, found),
    }


def _behind(run: Run, found: Ranking, folder: Path | None) -> dict[str, Any]:
    """Return what stands behind the numbers: the servers, doubts and failures, the machine, the plan, raw files."""
    return {
        "servers": servers(run, found, folder),
        "trials": len(run.trials),
        "measured": len(run.measured),
        "doubts": doubts(run),
        "failures": failures(run),
        "facts": facts(run.info),
        "commands": list(commands(run)),
        "plan": plan_text(run.info),
        "seed": run.info.get("plan", {}).get("seed"),
        "raw": of_run(folder),
    }


def _figure(picture: gallery.Picture) -> Mapping[str, Any]:
    return {
        "name": picture.name,
        "title": picture.title,
        "svg": inline(picture.svg, picture.name),
        "reading": picture.reading,
    }


def _partial(run: Run) -> str:
    """Say that the run did not get to its end, or not yet; empty if it did."""
    state = run.info.get("state", State.COMPLETE)
    if state == State.COMPLETE:
        return ""
    cells = set(zip(run.trials["server"], run.trials["workload"], strict=True))
    unseen = len(set(run.planned) - cells)
    why = "it is being written, or was killed" if state == State.RUNNING else "it was interrupted"
    missing = f"{unseen} of {len(run.planned)} cells have no trial" if unseen else "every cell has a trial"
    return f"partial: {why}, and {missing}"


def _moment(iso: str | None) -> str:
    """Write a time of ISO 8601 for people, in its own zone; empty if it is not known."""
    if not iso:
        return ""
    moment = datetime.fromisoformat(iso)
    zone = moment.tzname() or ""
    return f"{moment.day} {moment:%B %Y, %H:%M} {zone}".strip()


def _origin(run: Run) -> str:
    """Say in a line when and where the run was made, and how much of it there is."""
    machine = run.info.get("machine", {})
    interpreters = sorted(set(run.trials["interpreter"].dropna()))
    measured = int((run.trials["status"] == Status.MEASURED).sum())
    parts = [
        _moment(run.info.get("started_at")),
        f"{measured} of {len(run.trials)} trials measured",
        str(machine.get("cpu_model") or ""),
        f"{machine['cpus']} CPUs" if machine.get("cpus") else "",
        "; ".join(name.split(",")[0] for name in interpreters),
    ]
    return " · ".join(part for part in parts if part)
