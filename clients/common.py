"""What all connections of a load share: target, workload, kernel, recorder, clock, and the fast conversations' buffers.

Values only. What acts on them belongs to who uses them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from clients.inflight import RECEIVE_BYTES_MAX
from clients.messages import STAMP_BYTES, messages
from clients.recorder import RawRecorder

if TYPE_CHECKING:
    from clients.clock import NowNs
    from clients.kernel import Kernel
    from clients.recorder import Recorder
    from clients.target import Target
    from clients.turnstile import Turnstile
    from clients.workload import Workload


class Buffers(NamedTuple):
    """The message and the room for its echo that the fast conversations of a load share.

    `stamp` is the beginning of the message; writing to it costs half of a `pack_into`.
    """

    message: bytearray
    stamp: memoryview
    reply: bytearray

    @classmethod
    def of(cls, workload: Workload) -> Buffers:
        """Return new buffers for the messages of a workload."""
        message = bytearray(next(messages(workload, 0)))
        return cls(message, memoryview(message)[:STAMP_BYTES].cast("Q"), bytearray(len(message)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """What all connections of a load have in common.

    `buffers` is None if the fast conversations do not suit the load. `is_alone` says that there is one connection only,
    which keeps nobody waiting. `turnstile` says when the connections of a closed loop in a block may converse; None
    outside.
    """

    target: Target
    workload: Workload
    kernel: Kernel
    recorder: Recorder
    clock: NowNs
    buffers: Buffers | None
    is_alone: bool
    turnstile: Turnstile | None = None


def in_common(
    *,
    target: Target,
    workload: Workload,
    kernel: Kernel,
    recorder: Recorder,
    clock: NowNs,
    is_alone: bool,
    turnstile: Turnstile | None = None,
) -> Common:
    """Return what the connections of such a load share."""
    return Common(
        target=target,
        workload=workload,
        kernel=kernel,
        recorder=recorder,
        clock=clock,
        buffers=Buffers.of(workload) if _is_fast(workload, target, recorder) else None,
        is_alone=is_alone,
        turnstile=turnstile,
    )


def _is_fast(workload: Workload, target: Target, recorder: Recorder) -> bool:
    """Say whether the fast loops can hold such conversations."""
    fits = STAMP_BYTES <= workload.message_bytes <= RECEIVE_BYTES_MAX
    return workload.is_uniform and fits and target.tls is None and not isinstance(recorder, RawRecorder)
