"""One object per trial, with the meaning of every column.

The run's own description is there too. What is not known is null.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from bench.analysis.export._table import rows
from bench.experiment import schema

if TYPE_CHECKING:
    from bench.analysis.runs.run_folder import Run


def render(run: Run) -> dict[str, str]:
    """Return one file."""
    whole = {
        "run": run.id,
        "info": run.info,
        "columns": {column.name: column.meaning for column in schema.TRIALS},
        "trials": json.loads(rows(run).to_json(orient="records", double_precision=15)),
    }
    return {"trials.json": json.dumps(whole, indent=1) + "\n"}
