"""Raw rows, one per answered request, on request only: they cost memory and time that a plain run does not spend.

Columns: `due_ns`, `sent_ns`, `done_ns`, int64 nanoseconds of CLOCK_MONOTONIC, in the order in which replies came. Rows
of the warm-up are left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from clients.recorder import RawRecorder

COLUMNS = ("due_ns", "sent_ns", "done_ns")


def save_part(recorder: RawRecorder, window_ns: tuple[int, int], path: Path) -> None:
    """Keep one worker's rows of the window in a numpy file."""
    columns = [np.array(getattr(recorder, name), dtype=np.int64) for name in COLUMNS]
    inside = (columns[2] >= window_ns[0]) & (columns[2] <= window_ns[1])
    np.save(path, np.stack([column[inside] for column in columns]))


def write_parquet(parts: Iterable[Path], path: Path) -> None:
    """Join the workers' rows, ordered by `done_ns`, into one parquet file. Raise ImportError without pyarrow."""
    # Imported when the load is over, so that no process that measures ever holds it.
    import pyarrow as pa  # noqa: PLC0415  # see above
    import pyarrow.parquet as pq  # noqa: PLC0415  # see above

    none = np.empty((len(COLUMNS), 0), dtype=np.int64)
    rows = np.concatenate([none, *(np.load(part) for part in parts)], axis=1)
    rows = rows[:, np.argsort(rows[2], kind="stable")]
    pq.write_table(pa.table(dict(zip(COLUMNS, rows, strict=True))), path)
