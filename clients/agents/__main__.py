"""`python -m clients.agents CLUSTER`: hold a cluster, and carry load after load for a bench that asks on stdin.

    here    AGENTS and a line of JSON: agents (their names), is_networked; or REFUSED, and the end with status 2
    bench   a line of JSON: address, workload, hlog (a file or null), tag (of the log's lines)
    here    CONNECTED established requested lead_ns
    bench   GO start_ns, which is lead_ns ahead at least
    here    RESULT and a line of JSON: what `python -m clients --agents --json` prints
    or      LOST, FAILED or REFUSED, at any time, and a line of JSON: said (a sentence), agent (of LOST: its name)

With `--survey` it carries nothing, and says SURVEY and a line of JSON: what `Session.survey` knows of each agent.

It ends when standard input does. Dask is loaded once, and a cluster that is made here lasts until then. SIGINT ends the
window under way; its result comes all the same. `session.py` does the work.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clients.agents.line import AgentLostError
from clients.agents.session import session
from clients.coordination import interruptible, word_to_go
from clients.reference import LoadError
from clients.target import parse_target
from clients.workload import Workload, WorkloadError

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from clients.agents.session import Session

WRONG_USE, INVALID = 2, 4


def main(argv: Sequence[str] | None = None) -> int:
    """Carry loads until standard input ends, and return the exit status."""
    made = argparse.ArgumentParser(prog="python -m clients.agents", description="Carry loads for a bench.")
    made.add_argument("cluster", metavar="CLUSTER", help="as `python -m clients --agents` has it")
    made.add_argument("--insecure-cluster", action="store_true")
    made.add_argument("--survey", action="store_true", help="say what each agent is like, and end")
    options = made.parse_args(argv)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is for the load under way
    try:
        with session(options.cluster, is_insecure=options.insecure_cluster) as agents:
            if options.survey:
                _say("SURVEY", agents.survey())
                return 0
            _say("AGENTS", {"agents": agents.agents, "is_networked": agents.is_networked})
            while line := sys.stdin.readline():
                with interruptible(agents.interrupt) as interrupts:
                    _say(*_carried(agents, json.loads(line), interrupts))
                signal.signal(signal.SIGINT, signal.SIG_IGN)
    except (WorkloadError, LoadError) as error:
        _say(*_why_not(error))
        return WRONG_USE if isinstance(error, WorkloadError) else INVALID
    return 0


def _carried(agents: Session, asked: dict[str, Any], interrupts: socket.socket) -> tuple[str, dict[str, Any]]:
    """Return the word and the object that tell how a load went."""

    def announce(established: int, requested: int) -> int | None:
        print(f"CONNECTED {established} {requested} {agents.lead_ns}", flush=True)
        return word_to_go(interrupts, agents.look)

    try:
        target = parse_target(asked["address"])
        carried = agents.carry(target, Workload.from_json(asked["workload"]), announce)
    except (WorkloadError, LoadError) as error:
        return _why_not(error)
    if asked["hlog"] is not None:
        carried.write_log(Path(asked["hlog"]), asked["tag"])
    return "RESULT", {"address": target.where, **carried.result.to_json(), **carried.to_json()}


def _why_not(error: WorkloadError | LoadError) -> tuple[str, dict[str, Any]]:
    """Return the word and the object that tell what went wrong. The sentence does not say the word again."""
    if isinstance(error, AgentLostError):
        return "LOST", {"said": error.sentence, "agent": error.name}
    return "REFUSED" if isinstance(error, WorkloadError) else "FAILED", {"said": str(error)}


def _say(word: str, what: dict[str, Any]) -> None:
    print(word, json.dumps(what), flush=True)


if __name__ == "__main__":
    sys.exit(main())
