"""A scheduler of native coroutines, small enough to be read at one sitting.

Its laws:

1. Coroutines and the kernel are two worlds. A coroutine asks for something by awaiting one of the five requests below;
   only the kernel resumes a coroutine, and it never awaits.
2. One thing suspends: `_Request`, and its equal, the `yield` of the hot loops in `conversations.py`. Nothing else in
   this room may yield to the kernel.
3. A wake-up is a hint. A coroutine may be resumed early (its descriptor became ready while it slept), so whoever waits
   for a condition looks at it again.
4. A descriptor is registered once and stays registered. When it is ready, the coroutine that watches it is resumed
   directly, with nothing in between: this is the path that every reply takes.
5. An exception that leaves a task is a fault of this program: it ends the run. Faults of a server are values.
6. What falls due more often than alarms can serve is one `Timer`, plain code that is called between two tasks.
7. A task whose descriptor is the only one may wait in its own system call instead of being suspended, until `next_ns`.

Sockets, messages, statistics and policies belong elsewhere. If a feature can be built on top, it may not be added here.
"""

from __future__ import annotations

import heapq
from collections import deque
from itertools import count
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, cast

from clients.clock import NowNs, Poller, best_poller, now_ns

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator

T = TypeVar("T")

# The longest wait, so that a signal handler's wish is heard soon.
_PATIENCE_NS = 100_000_000
# A sleeping process wakes up some 50 to 150 us late on a virtual machine: the last stretch before an alarm is spun.
_SPIN_NS = 200_000


class Cancelled(BaseException):
    """Thrown into a task that must end now; not an Exception, so that no handler of faults eats it."""


class _Request(tuple[Any, ...]):
    """What a coroutine awaits to be suspended: the kernel receives its one item and decides when to resume.

    The iterator of a one-item tuple is the cheapest thing that suspends exactly once: it is made and run in C.
    """

    __slots__ = ()
    __await__ = cast("Callable[[_Request], Generator[Any, None, None]]", tuple.__iter__)


class Task(Generic[T]):
    """A coroutine under way, and afterwards its result."""

    __slots__ = ("alarm_ns", "coroutine", "done", "joiners", "result", "send")

    def __init__(self, coroutine: Coroutine[Any, None, T]) -> None:
        self.coroutine = coroutine
        self.send: Callable[[Any], Any] = coroutine.send
        self.alarm_ns: int | None = None
        self.done = False
        self.result: T | None = None
        self.joiners: list[Task[Any]] = []


class Timer(Protocol):
    """What a kernel calls when it is time, outside of any task."""

    next_ns: int
    """When to be called; may change at any moment, `NEVER_NS` for not at all."""

    def fire(self, time_ns: int) -> None:
        """Do what is due at `time_ns`, which is the time, and set the next one."""


NEVER_NS = 2**63


class _Silent:
    next_ns = NEVER_NS

    def fire(self, time_ns: int) -> None:
        raise AssertionError(time_ns)


# Stands in for the watcher of a descriptor that was unwatched while the batch at hand still holds an event of it.
_NOBODY: Task[None] = Task.__new__(Task)
_NOBODY.send = lambda _: None


class Kernel:
    """Runs coroutines over one poller and one clock, both given, so that a test can move time by hand.

    `spun_ns` is the time spent looking for events without a pause because an alarm was near, or the timer's time.
    """

    def __init__(self, *, clock: NowNs = now_ns, poller: Poller | None = None) -> None:
        self._now_ns = clock
        self._poller = best_poller() if poller is None else poller
        self._look = self._poller.look
        self._runnable: deque[Task[Any]] = deque()
        self._alarms: list[tuple[int, int, Task[Any]]] = []
        self._alarm_numbers = count()  # equal times wake in the order in which they were asked for
        self._watchers: dict[int, Task[Any]] = {}
        self._tasks: set[Task[Any]] = set()
        self._timer: Timer = _Silent()
        self.spun_ns = 0

    # ---- the side that ordinary code calls

    def run(self, main: Coroutine[Any, None, T]) -> T:
        """Return or raise what `main` does, after ending every task that it left."""
        task = self.spawn(main)
        task.joiners.append(_NOBODY)  # something to run at its end, which therefore no wait delays
        try:
            while not task.done:
                self._turn()
        finally:
            for left in tuple(self._tasks):
                left.coroutine.close()
            self._poller.close()
        return task.result  # type: ignore[return-value]  # done, so it is what main returned

    def spawn(self, coroutine: Coroutine[Any, None, T]) -> Task[T]:
        """Start a task; it runs for the first time on the next turn."""
        task = Task(coroutine)
        self._tasks.add(task)
        self._runnable.append(task)
        return task

    def cancel(self, task: Task[Any], exception: BaseException | None = None) -> None:
        """Throw `exception` (Cancelled unless given) into another task where it is suspended, before returning."""
        self._step(task, exception or Cancelled())

    def set_timer(self, timer: Timer | None) -> None:
        """Call this timer from now on instead of the last one, or none."""
        self._timer = timer or _Silent()

    def hand(self, fd: int, value: object) -> None:
        """Resume the watcher of `fd`, which is suspended, with a value, before returning."""
        task = self._watchers[fd]
        try:  # as in `_turn`, and not by a call: an open loop comes by here with every request
            request = task.send(value)
        except (StopIteration, Cancelled) as reason:
            self._end(task, reason)
        else:
            if request is not None:
                request[0](self, task, request[1])

    @property
    def next_ns(self) -> int:
        """When there is something to do but for ready descriptors: until then, a task may keep the thread."""
        if self._runnable:
            return 0
        return min(self._alarms[0][0], self._timer.next_ns) if self._alarms else self._timer.next_ns

    def want_write(self, fd: int, *, wanted: bool) -> None:
        """Resume the watcher of `fd` when it is writable too, or no longer."""
        self._poller.want_write(fd, wanted=wanted)

    def unwatch(self, fd: int) -> None:
        """Forget a descriptor; call it before closing one."""
        if self._watchers.get(fd, _NOBODY) is not _NOBODY:
            self._watchers[fd] = _NOBODY
            self._poller.unregister(fd)

    # ---- one turn

    def _turn(self) -> None:
        """Run what can run, and then what its time or its descriptor resumes, until something can run again."""
        runnable, alarms, watchers, look = self._runnable, self._alarms, self._watchers, self._look
        for _ in range(len(runnable)):
            self._step(runnable.popleft())
        while True:  # one loop and few calls, for this is between a request's due time and its send
            now_ns = self._now_ns()
            if alarms and alarms[0][0] <= now_ns:
                now_ns = self._ring(now_ns)
            if self._timer.next_ns <= now_ns:
                self._timer.fire(now_ns)
                events = look()
            else:
                events = look() if runnable else self._wait(now_ns)
            for fd, _ in events:
                task = watchers[fd]
                try:
                    request = task.send(None)
                except (StopIteration, Cancelled) as reason:
                    self._end(task, reason)
                else:
                    if request is not None:
                        request[0](self, task, request[1])
            if runnable:
                return

    def _ring(self, now_ns: int) -> int:
        """Resume the tasks whose alarms are due, and return the time after that.

        The due ones are taken out first: a task that asks again for a time gone by must not keep descriptors waiting.
        """
        due = []
        while self._alarms and self._alarms[0][0] <= now_ns:
            due.append(heapq.heappop(self._alarms))
        for due_ns, _, task in due:
            if task.alarm_ns == due_ns:  # else it has asked for another since, or was rung before
                self._step(task)
        return self._now_ns()

    def _wait(self, now_ns: int) -> list[tuple[int, int]]:
        """Wait for events, until it is time for an alarm or the timer: the last stretch by looking again and again."""
        alarms, look = self._alarms, self._look
        while alarms and alarms[0][2].alarm_ns != alarms[0][0]:
            heapq.heappop(alarms)  # nobody waits for it any more, so it is no reason to spin
        due_ns = self._timer.next_ns
        if alarms and alarms[0][0] < due_ns:
            due_ns = alarms[0][0]
        if due_ns - now_ns > _SPIN_NS:
            return self._poller.wait(min(due_ns - now_ns - _SPIN_NS, _PATIENCE_NS))
        begin_ns = now_ns
        while not (ready := look()) and (now_ns := self._now_ns()) < due_ns:
            pass
        self.spun_ns += now_ns - begin_ns
        return ready

    def _step(self, task: Task[Any], exception: BaseException | None = None) -> None:
        if task.done:
            return
        task.alarm_ns = None
        try:
            request = task.send(None) if exception is None else task.coroutine.throw(exception)
        except (StopIteration, Cancelled) as reason:
            self._end(task, reason)
        else:
            if request is not None:
                request[0](self, task, request[1])

    def _end(self, task: Task[Any], reason: BaseException) -> None:
        task.done = True
        task.alarm_ns = None
        task.send = _NOBODY.send  # it may still be the watcher of a descriptor
        task.result = getattr(reason, "value", None)
        self._tasks.discard(task)
        self._runnable.extend(task.joiners)

    # ---- what the requests do

    def _watch(self, task: Task[Any], fd: int) -> None:
        if self._watchers.get(fd, _NOBODY) is _NOBODY:
            self._poller.register(fd)
        self._watchers[fd] = task
        self._runnable.append(task)

    def _alarm(self, task: Task[Any], due_ns: int) -> None:
        task.alarm_ns = due_ns
        heapq.heappush(self._alarms, (due_ns, next(self._alarm_numbers), task))

    def _join(self, task: Task[Any], other: Task[Any]) -> None:
        if other.done:
            self._runnable.append(task)
        else:
            other.joiners.append(task)


# ---- the side that coroutines await

ready = _Request((None,))
"""Await it to be resumed when the watched descriptor is ready (or earlier)."""


def watch(fd: int) -> _Request:
    """Make the awaiting task the one that `fd` resumes, and go on."""
    return _Request(((Kernel._watch, fd),))  # noqa: SLF001  # a request names the kernel's side of itself


def alarm(due_ns: int) -> _Request:
    """Be resumed at `due_ns`, or when the watched descriptor is ready, whichever is first."""
    return _Request((until(due_ns),))


def until(due_ns: int) -> tuple[Any, ...]:
    """Return what a coroutine that yields by itself yields for `await alarm(due_ns)`."""
    return (Kernel._alarm, due_ns)  # noqa: SLF001  # as above


async def sleep_until(due_ns: int, clock: NowNs) -> None:
    """Return once the clock reads `due_ns` or more."""
    while clock() < due_ns:
        await alarm(due_ns)


async def join(task: Task[T]) -> T:
    """Return what another task returned, once it has ended; None if it was cancelled."""
    while not task.done:
        await _Request(((Kernel._join, task),))  # noqa: SLF001  # as above
    return task.result  # type: ignore[return-value]  # done, so it is what the task returned
