"""`python -m clients.blocks`: load block after block for a bench that asks for each on standard input.

    bench   a line of JSON: servers (address, pid, tag of each), workload, generator, hlog
    here    CONNECTED established requested PID
    bench   GO start_ns
    here    LOADED, after the last slice: the connections still stand
    bench   any line: end them
    here    CLOSED: they have ended, and the servers may
    here    a line of JSON: a result for each server, with its slices
    here    ENDED status

A line with one `address` and `tag` in place of the servers asks for a load of that server alone, as `python -m clients`
makes it. Then neither LOADED nor CLOSED is said, and the last line of JSON is its result.

Python and the libraries are loaded once, because that takes longer than many a block. Each block is loaded by a fork of
this process, so that none inherits what another left in memory. `block.py` and `load.py` have the loads themselves.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clients import hlog, memory
from clients.block import BlockLoad
from clients.coordination import coordinated, interruptible
from clients.limits import raise_descriptors
from clients.load import Load
from clients.recorder import Recorder
from clients.reference_block import ReferenceBlock
from clients.sliced import sliced, write_log
from clients.slices import Slicing
from clients.target import parse_target
from clients.workload import Workload

if TYPE_CHECKING:
    from clients.sliced import Sliced


def main() -> int:
    """Load blocks until standard input ends, and return the exit status."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is for the block under way
    memory.keep_freed()
    raise_descriptors()
    while line := sys.stdin.readline():
        child = os.fork()
        if not child:
            os._exit(_child(line))
        _, status = os.waitpid(child, 0)
        print(f"ENDED {os.waitstatus_to_exitcode(status)}", flush=True)
    return 0


def _child(line: str) -> int:
    """Load one block, and return the exit status of its process."""
    try:
        asked = json.loads(line)
        print(json.dumps(load_block(asked) if "servers" in asked else load_alone(asked)), flush=True)
    except BaseException as error:  # noqa: BLE001  # a fork must not return into its parent's loop
        print(f"clients: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        return 1
    return 0


def load_block(asked: dict[str, Any]) -> dict[str, Any]:
    """Load the block that was asked for, once the word to go has come, and return its results as plain JSON types."""
    workload, servers = Workload.from_json(asked["workload"]), asked["servers"]
    slicing = Slicing.of(workload)
    targets = [parse_target(server["address"]) for server in servers]
    kind = ReferenceBlock if asked["generator"] == "reference" else BlockLoad
    load = kind(targets, workload, slicing, pids=[server["pid"] for server in servers])
    began_s = time.time()
    with interruptible(load.interrupt) as interrupts:
        load.run(partial(coordinated, interrupts), _loaded)
    print("CLOSED", flush=True)
    found = [sliced(number, workload, load.opened[number], load.records) for number in range(len(load.opened))]
    _write_logs(asked["hlog"], [server["tag"] for server in servers], found, began_s)
    return {
        "servers": [one.to_json() for one in found],
        "slicing": slicing.to_json(),
        "interrupted": load.is_interrupted,
    }


def load_alone(asked: dict[str, Any]) -> dict[str, Any]:
    """Load one server without slices, once the word to go has come, and return its result as plain JSON types."""
    workload, target = Workload.from_json(asked["workload"]), parse_target(asked["address"])
    with Path(asked["hlog"]).open("w") as stream:
        stream.write(hlog.header(time.time()))
        log = hlog.IntervalLog(stream, asked["tag"])
        load = Load(target, workload, recorder=Recorder(open_loop=workload.is_open_loop), log=log)
        with interruptible(load.interrupt) as interrupts:
            result = load.run(partial(coordinated, interrupts))
    return {"address": target.where, **result.to_json()}


def _loaded() -> None:
    """Say that the load is over, and let the bench read what the servers have used, before their connections end."""
    print("LOADED", flush=True)
    sys.stdin.readline()


def _write_logs(path: str | None, tags: list[str], found: list[Sliced], began_s: float) -> None:
    with nullcontext() if path is None else Path(path).open("w") as stream:
        if stream is not None:
            stream.write(hlog.header(began_s))
            for tag, one in zip(tags, found, strict=True):
                write_log(hlog.IntervalLog(stream, tag), one, began_s)


if __name__ == "__main__":
    sys.exit(main())
