"""The closer look of the page: its data, script and style, ready to be inlined. Computes nothing and draws nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup

from bench.analysis.figures import library, live

if TYPE_CHECKING:
    from bench.analysis.estimates.ranking import Ranking
    from bench.analysis.runs.run_folder import Run

_HERE = Path(__file__).parent


def closer(run: Run, ranking: Ranking) -> dict[str, Markup]:
    """Return the contents of the elements: `data` as JSON, `js` (the library and our script) and `css`."""
    js = f"{library.script()}\n{(_HERE / 'closer.js').read_text(encoding='utf-8')}"
    css = f"{library.style()}\n{(_HERE / 'closer.css').read_text(encoding='utf-8')}"
    data = live.as_json(live.live(run, ranking))
    return {"data": Markup(data), "js": Markup(js), "css": Markup(css)}  # noqa: S704 - escaped by as_json, or our own
