"""The limits beyond which a number is doubted or refused: a row for each question, a column for each judge.

There are three judges. They differ in what it costs when they are wrong:

- `doctor` looks at the machine before anything is measured. It warns, or says that a measurement would be bad.
- `trial` looks at the numbers of one trial, and raises a doubt. A doubt costs little, because it changes no number. So
  these limits are strict.
- `regress` looks at all pairs of a cell or of the host, and refuses the comparison. A refusal costs all that was
  measured, and a disturbance of both trials of a pair cancels in their ratio. So these limits let more pass.

`why` gives the reason for the limit, and the reason for a difference between judges. A judge reads its limits here and
keeps none of its own. Only limits of readings are here. The levels of statistical tests stand where the tests are.
Imports nothing of ours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

NOT_ASKED = math.nan
"""The limit of a judge that does not ask the question. Every comparison with NaN is false, so it refuses nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """One question with the limit of each judge. `doctor_warns` and `doctor_bad` are two grades of one judge."""

    question: str
    why: str
    doctor_warns: float = NOT_ASKED
    doctor_bad: float = NOT_ASKED
    trial: float = NOT_ASKED
    regress: float = NOT_ASKED


STEAL = Limit(
    question="share of the machine's CPU time that the hypervisor took away",
    doctor_warns=0.01,
    doctor_bad=0.05,
    trial=0.05,
    regress=0.90,
    why="Stolen time comes in pauses, and a single trial has nothing to cancel them with. A comparison has: on whose"
    " slice or trial a pause falls is chance, so it widens the interval and moves it nowhere. Simulated comparisons of"
    " equal code give no more false words at nine tenths than at nothing. More was not simulated. The doctor warns"
    " earlier, while waiting still costs nothing.",
)
FOREIGN_CPU = Limit(
    question="share of the CPU time that other processes used (doctor: of the busiest CPU; others: of the machine)",
    doctor_warns=0.05,
    doctor_bad=0.20,
    trial=0.10,
    regress=0.90,
    why="Other processes fall on both arms of a comparison alike, or on one of them by chance. A single trial has"
    " nothing to cancel them with. The simulation and its end are those of stolen time.",
)
THROTTLED = Limit(
    question="CPU seconds per second for which the quota of the cgroup stopped its processes",
    trial=0.0,
    regress=0.10,
    why="A stop lasts up to a period of the quota, which is 100 ms by default, so a single one is in the high"
    " percentiles of a trial. On whose slice a stop falls is not chance, as it is with stolen time: it comes when the"
    " CPU time of a period is used up, and who uses more is stopped more. So a comparison bears little of it.",
)
ERRORS = Limit(
    question="share of the requests that failed",
    trial=0.0,
    regress=0.001,
    why="A doubt reports every failure. A comparison bears one in a thousand: failures are in no latency, and so few of"
    " them change no rate.",
)
GENERATOR_BUSY = Limit(
    question="share of its cores that the load generator used, spinning excluded; from there on it may be the limit",
    trial=0.95,
    regress=0.85,
    why="A trial is doubted where the generator was the limit. In a comparison only CPU per reply decides from there"
    " on, which is earlier, because near its limit the generator already hides a part of what a slower server costs.",
)
SERVER_BUSY = Limit(
    question="share of a core that the server used; from there on it is the limit, however busy the generator is",
    trial=0.85,
    regress=0.85,
    why="If the server has no time left, its rate falls when it gets slower. The question is the same for both judges.",
)
NEAR_CEILING = Limit(
    question="share of the generator's calibrated ceiling; a rate from there on is limited by the generator",
    trial=0.90,
    why="A ceiling is a median with an interval of some percent. So a rate that lies some percent below it may be the"
    " highest that there is. A comparison does not ask, because its generator is often not calibrated.",
)
LATENESS = Limit(
    question="99th percentile of send lateness, as a share of the median response time",
    trial=0.10,
    regress=0.10,
    why="A late request makes its response time that much longer. The question is the same for both judges.",
)
LATENESS_NS = Limit(
    question="99th percentile of send lateness, in ns, below which a trial is never doubted",
    trial=100_000.0,
    why="To wake from a sleep takes some tens of microseconds. This is more than a tenth of a short response time, and"
    " no fault of the load. A comparison asks for the share alone, whatever the response time is.",
)
OFFERED = Limit(
    question="share of the asked load that was offered, at least",
    regress=0.99,
    why="Arms that got different loads cannot be compared. A trial keeps `offered_per_s` beside `rate_per_s` instead.",
)
OUR_FAULTS = Limit(
    question="connections that this machine could not make, as a share of the requests",
    trial=0.0,
    regress=0.001,
    why="They are no fault of the server, and the load was another than was asked for. The judges differ as they do"
    " about failures.",
)
CLOSES = Limit(
    question="connections that the server ended, per reply",
    trial=0.9,
    why="A server that closes after each reply ends one for each. Some are still open when the window ends. One that"
    " closes after two replies or more ends half as many at most.",
)
SLOW_CONNECT_NS = Limit(
    question="longest time to connect, in ns",
    trial=1e9,
    why="Linux sends a lost SYN again after 1 s. Nothing is lost on a healthy network but where the queue of"
    " connections that wait to be accepted is full.",
)
DELAYED_ACK_NS = Limit(
    question="median service time, in ns, from where on it may be a delayed ACK",
    trial=39e6,
    why="Linux delays an ACK for 40 ms, and its clock of 1 ms to 4 ms adds to that.",
)
DELAYED_ACK_END_NS = Limit(
    question="median service time, in ns, up to which it may be a delayed ACK",
    trial=50e6,
    why="40 ms, a step of the slowest clock that a kernel has (10 ms), less than which an echo takes.",
)
IDLE_SIDE = Limit(
    question="share of a core below which a side of the load counts as idle",
    trial=0.5,
    why="Where neither side is busy, a queue in front of one is no reason for 40 ms.",
)
LOST_TRIALS = Limit(
    question="share of the planned trials that failed",
    regress=0.05,
    why="If a server often fails, the rest would judge it by the launches in which it did well.",
)
IDLE_CPU = Limit(
    question="share of a core that a server used while other servers of its block had their turn",
    trial=0.01,
    regress=0.01,
    why="What it uses then, the server whose turn it is lacks. A hundredth of a core is as much as the smallest change"
    " that a comparison is asked to tell.",
)
DRIFT = Limit(
    question="change of the rate from the first third of the window to the last, as a fraction",
    trial=0.02,
    regress=0.02,
    why="A drift of this size is as large as the smallest change that a comparison is asked to tell. Both judges act"
    " only if the whole interval lies beyond the limit. The interval of a trial comes from its slices. That of a"
    " comparison comes from all trials of the cell, so it sees smaller drifts.",
)
CPUS = Limit(
    question="cores that a job has, at least",
    doctor_bad=2,
    why="With one core, server and load generator share it. Every trial then carries the doubt cores-shared.",
)
DESCRIPTORS = Limit(
    question="descriptors that a process may open, at least",
    doctor_warns=10_100,
    doctor_bad=1_100,
    why="The largest preset opens 10,000 connections, the others 1,000. A process needs about 100 more.",
)
PORTS = Limit(
    question="ephemeral ports that are free, at least",
    doctor_warns=10_000,
    doctor_bad=1_000,
    why="Each connection needs a port. The largest preset opens 10,000 connections, the others 1,000.",
)
BACKLOG = Limit(
    question="connections that may wait to be accepted, at least",
    doctor_warns=4_096,
    doctor_bad=1_000,
    why="Linux gives 4,096 since version 5.4. Below 1,000, the usual presets connect faster than a server accepts.",
)
CONNTRACK = Limit(
    question="share of the firewall's table of connections that is in use",
    doctor_warns=0.5,
    doctor_bad=0.9,
    why="If the table is full, packets are dropped without an error.",
)
CLOCK_READ_NS = Limit(
    question="ns that a reading of the clock takes",
    doctor_warns=200.0,
    why="A reading in user space takes some tens of ns. As a system call it takes some hundreds, in every request.",
)
AGENT_CLOCK_NS = Limit(
    question="ns to which the clock of an agent is known",
    doctor_warns=10e6,
    why="This is a tenth of the shortest slice of a timeline. A load asks by its own slices: see `clocks-apart`.",
)
TIMER_SLACK_NS = Limit(
    question="ns by which the kernel may end a sleep late",
    doctor_warns=50_000,
    why="This is the default of Linux.",
)
