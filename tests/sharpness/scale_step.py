"""One step of `nox -s scale` in a process of its own, whose peak memory is that of the step. Prints one JSON object."""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

from bench.analysis.report import page
from bench.analysis.runs import run_folder


def main(step: str, run: Path) -> None:
    """Print wall and CPU seconds of the step `frames` or `page`, and the peak of resident memory in bytes."""
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    if step == "frames":
        run_folder.load(run, from_records=True)
    else:
        page.build(run)
    found = {"wall_s": time.perf_counter() - wall_s, "cpu_s": time.process_time() - cpu_s}
    unit = 1 if sys.platform == "darwin" else 1024
    print(json.dumps({**found, "peak_bytes": unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
