"""The limits beyond which a number is doubted or refused. Imports nothing of ours; judges read it and keep none."""

from __future__ import annotations

STEAL_SHARE = 0.05
"""Of the machine's CPU time, taken away by the hypervisor."""
