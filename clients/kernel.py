"""A scheduler of native coroutines, small enough to be read at one sitting.

Its laws:

1. Coroutines and the kernel are two worlds. A coroutine asks for something by yielding a `Trap`; `traps.py` lists all.
   Only the kernel resumes a coroutine, and the kernel never awaits.
2. Coroutines yield in one place, `traps.suspend`. The loops of `conversations.py` are generators and yield the same
   traps by themselves, because a call for each reply would cost speed. Nothing else in this room yields to the kernel.
3. A wake-up is a hint. A task that sleeps is resumed early if its descriptor becomes ready. A task that waits for a
   condition therefore checks it after each wake-up.
4. A descriptor is registered once and stays registered. When it is ready, the task that watches it is resumed directly,
   with no queue and no call in between: every reply takes this path.
5. An exception that leaves a task is a fault of this program: it ends the run. Faults of a server are values.
6. What falls due more often than alarms can serve is one `Timer`: plain code that the kernel calls between two tasks.

Sockets, messages, statistics and policies belong elsewhere. If a feature can be built on top, it may not be added here.
"""

from __future__ import annotations

import heapq
from collections import deque
from itertools import count
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from clients.clock import NowNs, Poller, best_poller, now_ns

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    Trap = tuple[Callable[["Kernel", "Task[Any]", Any], None], Any] | None
    """What the kernel does for the task that yields it, and the argument. None: wait for the task's descriptor."""

T = TypeVar("T")

NEVER_NS = 2**63
SPIN_NS = 200_000
"""The last stretch before an alarm is spun: on a virtual machine a sleeping process wakes up some 50 to 150 us late."""
# The longest wait of the poller. A signal handler runs when a wait ends, and so does what it asks for.
_WAIT_MAX_NS = 100_000_000


class Cancelled(BaseException):
    """Thrown into a task that must end now; not an Exception, so that no handler of faults catches it."""


class Task(Generic[T]):
    """A coroutine that runs, and its result when it has ended."""

    __slots__ = ("alarm_ns", "coroutine", "done", "joiners", "result", "send")

    def __init__(self, coroutine: Coroutine[Any, Any, T]) -> None:
        self.coroutine = coroutine
        self.send: Callable[[Any], Any] = coroutine.send
        self.alarm_ns: int | None = None
        self.done = False
        self.result: T | None = None
        self.joiners: list[Task[Any]] = []


# A task that does nothing when it is resumed. It takes the place of a watcher that was removed while the kernel still
# holds an event of its descriptor.
_NOBODY: Task[None] = Task.__new__(Task)
_NOBODY.send = lambda _: None


class Timer(Protocol):
    """What the kernel calls when it is time, outside of any task."""

    next_ns: int
    """When to be called; may change at any moment. `NEVER_NS`: not at all."""

    def fire(self, time_ns: int) -> None:
        """Do what is due at `time_ns`, which is the time now, and set `next_ns` anew."""


class _NoTimer:
    next_ns = NEVER_NS

    def fire(self, time_ns: int) -> None:
        raise AssertionError(time_ns)


class Kernel:
    """Runs coroutines over one poller and one clock. Both are given, so that a test can move time by hand.

    `spun_ns` is the time for which the kernel polled without a pause because an alarm, or the timer's time, was near.
    """

    def __init__(self, *, clock: NowNs = now_ns, poller: Poller | None = None) -> None:
        self._now_ns = clock
        self._poller = best_poller() if poller is None else poller
        self._runnable: deque[Task[Any]] = deque()
        self._alarms: list[tuple[int, int, Task[Any]]] = []
        self._alarm_numbers = count()  # equal times wake in the order in which they were asked for
        self._watchers: dict[int, Task[Any]] = {}
        self._tasks: set[Task[Any]] = set()
        self._timer: Timer = _NoTimer()
        self.spun_ns = 0

    # ---- what ordinary code calls

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Return or raise what `main` does, after ending every task that it left."""
        task = self.spawn(main)
        # When main ends, this puts an entry into the run queue, so the loop stops at once instead of waiting.
        task.joiners.append(_NOBODY)
        try:
            while not task.done:
                self._turn()
        finally:
            for left in tuple(self._tasks):
                left.coroutine.close()
            self._poller.close()
        return task.result  # type: ignore[return-value]  # done, so it is what main returned

    def spawn(self, coroutine: Coroutine[Any, Any, T]) -> Task[T]:
        """Start a task; it runs for the first time on the next turn."""
        task = Task(coroutine)
        self._tasks.add(task)
        self._runnable.append(task)
        return task

    def cancel(self, task: Task[Any], exception: BaseException | None = None) -> None:
        """Throw `exception` (Cancelled unless given) into another task where it is suspended, before returning."""
        if not task.done:
            task.alarm_ns = None
            self._resume(task, task.coroutine.throw, exception or Cancelled())

    def hand(self, fd: int, value: object) -> None:
        """Resume the task that watches `fd`, and is suspended, with a value, before returning."""
        task = self._watchers[fd]
        self._resume(task, task.send, value)

    def set_timer(self, timer: Timer | None) -> None:
        """Call this timer from now on instead of the last one; None for no timer."""
        self._timer = timer or _NoTimer()

    def want_write(self, fd: int, *, wanted: bool) -> None:
        """Resume the task that watches `fd` when it is writable too, or no longer."""
        self._poller.want_write(fd, wanted=wanted)

    def unwatch(self, fd: int) -> None:
        """Forget a descriptor. Call this before closing it."""
        if self._watchers.get(fd, _NOBODY) is not _NOBODY:
            self._watchers[fd] = _NOBODY
            self._poller.unregister(fd)

    # ---- one turn

    def _turn(self) -> None:
        """Run what can run, then resume whose time has come or whose descriptor is ready, until something can run."""
        runnable, alarms, watchers, poll = self._runnable, self._alarms, self._watchers, self._poller.poll
        for _ in range(len(runnable)):
            self._wake(runnable.popleft())
        while True:  # one loop and few calls, because this is what lies between a trap's due time and its send
            now_ns = self._now_ns()
            if alarms and alarms[0][0] <= now_ns:
                now_ns = self._ring(now_ns)
            if self._timer.next_ns <= now_ns:
                self._timer.fire(now_ns)
                events = poll()
            else:
                events = poll() if runnable else self._wait(now_ns)
            for fd, _ in events:
                task = watchers[fd]
                try:  # this is `_resume`, written out: law 4
                    trap = task.send(None)
                except (StopIteration, Cancelled) as reason:
                    self._end(task, reason)
                else:
                    if trap is not None:
                        trap[0](self, task, trap[1])
            if runnable:
                return

    def _ring(self, now_ns: int) -> int:
        """Resume the tasks whose alarms are due, and return the time after that.

        All due alarms are taken out first. A task that asks again for a time gone by must not keep descriptors waiting.
        """
        due = []
        while self._alarms and self._alarms[0][0] <= now_ns:
            due.append(heapq.heappop(self._alarms))
        for due_ns, _, task in due:
            if task.alarm_ns == due_ns:  # else the task was resumed before, and may have asked for another alarm
                self._wake(task)
        return self._now_ns()

    def _wait(self, now_ns: int) -> list[tuple[int, int]]:
        """Wait for events until the next alarm or the timer's time is due; spin for the last stretch."""
        alarms, poll = self._alarms, self._poller.poll
        while alarms and alarms[0][2].alarm_ns != alarms[0][0]:
            heapq.heappop(alarms)  # nobody waits for it any more, so it is no reason to spin
        due_ns = self._timer.next_ns
        if alarms and alarms[0][0] < due_ns:
            due_ns = alarms[0][0]
        if due_ns - now_ns > SPIN_NS:
            return self._poller.wait(min(due_ns - now_ns - SPIN_NS, _WAIT_MAX_NS))
        begin_ns = now_ns
        while not (ready := poll()) and (now_ns := self._now_ns()) < due_ns:
            pass
        self.spun_ns += now_ns - begin_ns
        return ready

    def _wake(self, task: Task[Any]) -> None:
        task.alarm_ns = None
        self._resume(task, task.send, None)

    def _resume(self, task: Task[Any], step: Callable[[Any], Any], value: object) -> None:
        """Resume a task by its `send` or its `throw`, and do what it asks for then."""
        try:
            trap = step(value)
        except (StopIteration, Cancelled) as reason:
            self._end(task, reason)
        else:
            if trap is not None:
                trap[0](self, task, trap[1])

    def _end(self, task: Task[Any], reason: BaseException) -> None:
        task.done = True
        task.alarm_ns = None
        task.send = _NOBODY.send  # the task may still be queued, or watch a descriptor
        task.result = getattr(reason, "value", None)
        self._tasks.discard(task)
        self._runnable.extend(task.joiners)

    # ---- what traps lead to

    def on_watch(self, task: Task[Any], fd: int) -> None:
        """Have `fd` resume the task from now on."""
        if self._watchers.get(fd, _NOBODY) is _NOBODY:
            self._poller.register(fd)
        self._watchers[fd] = task
        self._runnable.append(task)

    def on_alarm(self, task: Task[Any], due_ns: int) -> None:
        """Resume the task at that time, unless it is resumed earlier."""
        task.alarm_ns = due_ns
        heapq.heappush(self._alarms, (due_ns, next(self._alarm_numbers), task))

    def on_join(self, task: Task[Any], other: Task[Any]) -> None:
        """Resume the task when the other one has ended."""
        other.joiners.append(task)
