"""What an echo server must do, as named cases that anybody can point at their own; they come before any stopwatch.

    echoes      bytes come back, whole and in order          pressure    clients that do not read
    departures  clients that leave, in every way             crowds      many at once, and declared limits
    extremes    no descriptors left, and the order to end    suite       runs cases and yields values

A case is added by writing a function in one of the first five, with a server in tests/known_bad that it alone catches.
Nothing here renders, and nothing depends on the insides of `clients`: a suite that shared code with the load generator
would share its faults.
"""

from bench.experiment.conformance import (  # noqa: F401 - to import them is to register their cases
    crowds,
    departures,
    echoes,
    extremes,
    pressure,
)
from bench.experiment.conformance.case import CASES, Case, CaseResult, Group, Outcome
from bench.experiment.conformance.suite import START, basic, cases_of, check, exit_code

__all__ = ["CASES", "START", "Case", "CaseResult", "Group", "Outcome", "basic", "cases_of", "check", "exit_code"]
