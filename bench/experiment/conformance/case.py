"""What a conformance case is, and what running one gave: values only.

Nothing here opens a socket, starts a process or formats for people. A case is a function whose docstring states one
behaviour of an echo server, as an order to it; whoever has read them has read the contract (after trio's
`check_two_way_stream`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Self

Behaviour = Callable[..., str | None]
"""A case's function: takes the target and its parameters, returns a remark or nothing, raises BrokenError."""


class BrokenError(Exception):
    """The server did not behave as the case states: a sentence that says what happened instead."""


class UntriedError(Exception):
    """The case cannot be tried on this machine, which says nothing about the server: why not."""


class Group(StrEnum):
    """What a case costs: BASIC comes before every measurement, STANDARD takes seconds, HEAVY up to minutes."""

    BASIC = "basic"
    STANDARD = "standard"
    HEAVY = "heavy"


class Outcome(StrEnum):
    """How a case ended.

    LIMITED: the server declares a limit below what the case needs, and it is exactly that. SKIPPED: the case is not for
    this server, or needs one that did not pass. UNTRIED: this machine did not let us try, so nothing is known.
    """

    PASSED = "passed"
    FAILED = "failed"
    LIMITED = "limited"
    SKIPPED = "skipped"
    UNTRIED = "untried"


class Access(StrEnum):
    """What a case must be able to do to the server's process: nothing, look at it, or end and restrict it."""

    NONE = "none"
    OBSERVE = "observe"
    OWN = "own"


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseResult:
    """What one case gave for one server. `detail` is one sentence; empty if there is nothing to say.

    `because_of` names the case without which a skipped one could not be run, if that is why it was skipped.
    """

    case: str
    outcome: Outcome
    detail: str = ""
    seconds: float = 0.0
    because_of: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A behaviour, its price, and what it needs.

    limit_s      the whole case must be over by then
    connections  how many stand at once; a server that declares fewer is held to its declaration instead
    needs        the cases that must have passed first: without them this one could say nothing new
    fresh        run in a process of its own, because it looks at memory or leaves the process changed
    parameters   keyword arguments of the function: how many, how long
    """

    name: str
    behaviour: Behaviour
    group: Group
    limit_s: float
    connections: int = 1
    needs: tuple[str, ...] = ()
    access: Access = Access.NONE
    fresh: bool = False
    parameters: Mapping[str, float] = field(default_factory=dict)

    @property
    def statement(self) -> str:
        """The behaviour in words."""
        return " ".join((self.behaviour.__doc__ or "").split())

    def scaled(self, *, connections: int | None = None, **parameters: float) -> Self:
        """Return the same behaviour with other numbers."""
        return replace(self, connections=connections or self.connections, parameters={**self.parameters, **parameters})


CASES: dict[str, Case] = {}
"""Every case by its name, in the order in which they run."""


def case(
    name: str,
    *,
    group: Group,
    limit_s: float,
    connections: int = 1,
    needs: tuple[str, ...] = (),
    access: Access = Access.NONE,
    fresh: bool = False,
    **parameters: float,
) -> Callable[[Behaviour], Behaviour]:
    """Register a function as a case; stacked, the same behaviour becomes several cases with other numbers."""

    def register(behaviour: Behaviour) -> Behaviour:
        if name in CASES:
            raise ValueError(f"two cases are named {name!r}")
        CASES[name] = Case(
            name=name,
            behaviour=behaviour,
            group=group,
            limit_s=limit_s,
            connections=connections,
            needs=needs,
            access=access,
            fresh=fresh,
            parameters=parameters,
        )
        return behaviour

    return register
