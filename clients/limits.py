"""The limits of this process, raised as far as they may be. Nothing about loads may be added here."""

from __future__ import annotations

import resource


def raise_descriptors() -> int:
    """Let this process open as many descriptors as its hard limit allows, and return that number."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard
